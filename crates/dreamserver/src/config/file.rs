//! What may be written in `dreamserver.toml`: every table, every key, its default and its reason.

use super::{LogFormat, LogLevel};
use crate::address::{EndpointAddress, ListenAddress};
use crate::handler::demo::Demo;
use crate::handler::files::TagOf;
use crate::limits::{Limits, Timeouts};
use crate::options::{
    Address, Choice, Count, Endpoint, Flag, Item, Kind, Listen, Located, Map, Network, OneOrMany,
    Problems, Short, Shorthand, Size, Table, Text, Time, options,
};
use dream_http::Coding;
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;
use toml::de::DeValue;

/// Names with texts, and where they stand.
pub(super) type Names = Vec<(Located<String>, Located<String>)>;

options! {
    /// Everything is optional. Without a site, the folder `staticfiles` is served.
    pub struct FileTable in "the file" {
        /// Where to listen, and whom to believe.
        pub listen: ListenTable as Short = {},
        /// Bounds on what peers may ask for.
        pub limits: Limits as Table = {},
        /// Bounds on how long peers may take.
        pub timeouts: Timeouts as Table = {},
        /// What is written down, and where.
        pub log: LogTable as Table = {},
        /// Whether programs on this machine may announce names (`add example.com 5665`), beside the sites below.
        pub control: ControlTable as Short = {},
        /// Where certificates for public names come from, in release mode.
        pub acme: AcmeTable as Short = {},
        /// What is served, by host: `[sites."example.com"]`, `[sites."*.example.com"]` for all names below, `[sites."*"]` for
        /// every other host. The most specific host wins. Once there is a site, hosts that have none get 404.
        pub sites: Vec<(Located<String>, Located<SiteTable>)> as Map<Table> = none,
    }

    /// Where to listen. `listen = ":8080"` and `listen = [":80", "10.0.0.1:8080"]` are short for `addresses`.
    pub struct ListenTable in "[listen]" {
        /// `":8080"` listens on every address, IPv4 and IPv6; port 0 lets the system choose. 8080 needs no privileges.
        pub addresses: Located<Vec<ListenAddress>> as OneOrMany<Listen> = ":8080",
        /// Where clients speak HTTPS, such as `":8443"`; `[]` is nowhere. By default beside `addresses`, 443 beside 80 and 8443
        /// beside 8080, as soon as there are certificates.
        pub tls: Option<Located<Vec<ListenAddress>>> as OneOrMany<Listen> = none,
        /// Proxies in front of this server: their `X-Forwarded-*` and `Forwarded` fields are believed, and connections from
        /// them are not counted. By default nobody is believed, loopback neither, because anyone can send these fields.
        pub trusted_proxies: Vec<IpNet> as OneOrMany<Network> = [],
    }

    /// What is written down.
    pub struct LogTable in "[log]" {
        /// One line a request: to `"stdout"`, `"off"`, or to the file of this path; `true` means `/var/log/dreamserver/access.log`.
        pub access: Located<AccessTarget> as Access = "stdout",
        /// `"text"` for people, `"json"` for programs.
        pub format: LogFormat as Choice = "text",
        /// Whether the line holds the query; switch it off where queries carry secrets.
        pub query: bool as Flag = true,
        /// Whether there is a line when a connection is opened, and one when it is closed. Off by default: what matters of them
        /// is in the lines of their requests.
        pub connections: bool as Flag = false,
        /// All files of the access log together; the oldest lines go first. At least 2 MiB. No small disk is full because of it.
        pub max_size: Located<u64> as Size = "200 MB",
        /// Which events of the server itself are written to standard error.
        pub level: LogLevel as Choice = "info",
    }

    /// What programs on this machine may announce. `control = false` is short for `enabled`.
    pub struct ControlTable in "[control]" {
        /// Whether announcements are taken.
        pub enabled: bool as Flag = true,
        /// Whether a name belongs to the user whose program listens on its port (Linux): then it moves only to ports of that
        /// user or of root, and only these two and the user of this server may remove it or end the server. Off by default,
        /// because where one person works it protects nobody; `dreamserver core --release` has it on.
        pub owners: Option<Located<bool>> as Flag = none,
        /// Whether a name may reach another machine: `add example.com 80 host=10.0.0.5`. Off by default, because then any
        /// program here can have the server connect to your network.
        pub hosts: bool as Flag = false,
    }

    /// Certificates for public names, by ACME (RFC 8555), for exactly the names that are served. `acme = false` is short for
    /// `enabled`.
    pub struct AcmeTable in "[acme]" {
        /// Whether certificates are ordered. Those that are there are used all the same.
        pub enabled: bool as Flag = true,
        /// The directory of the authority: Let's Encrypt, because browsers trust it and it asks for nothing. Its staging
        /// directory, for trying things out, is `https://acme-staging-v02.api.letsencrypt.org/directory`.
        pub directory: Located<String> as Text = "https://acme-v02.api.letsencrypt.org/directory",
        /// A PEM file with the certificates that the directory's own HTTPS is trusted by; the system's if it is not named.
        pub root: Option<Located<String>> as Text = none,
        /// Where the authority may write to, such as `"ann@example.com"`. Nobody by default: it is not needed.
        pub contact: Vec<Located<String>> as OneOrMany<Text> = [],
        /// Whether you agree to the authority's terms of service. Without that there is no account and no certificate. On by
        /// default, because naming a public site in release mode asks for its certificate; each authority's directory links its terms.
        pub terms: bool as Flag = true,
        /// The account that you have with the authority already, where it wants one (external account binding).
        pub eab: Option<Located<EabTable>> as Table = none,
        /// The authority's profile to order by, such as `"shortlived"`; its usual one if none is named.
        pub profile: Option<String> as Text = none,
        /// Another authority, for when the first cannot be reached, refuses or is asked too often.
        pub fallback: Option<Located<AuthorityTable>> as Table = none,
        /// The DNS server that tells where a name leads before anything is ordered, such as `"9.9.9.9:53"`; the system's if
        /// it is not named. One outside of your network sees what the authority will see.
        pub resolver: Option<SocketAddr> as Address = none,
        /// Whether a name is looked up, and this server asked for by it, before anything is ordered: a name that leads elsewhere
        /// then costs no failed validation. Switch it off where this machine cannot reach itself by its public address.
        pub preflight: bool as Flag = true,
        /// Whether orders stay below the limits of Let's Encrypt: 300 in 3 hours, 50 certificates a registered domain in 7 days,
        /// 5 of the same name in 7 days, 5 failed validations a name and hour. Going over costs hours of waiting. Switch it off
        /// for an authority of your own.
        pub budgets: bool as Flag = true,
        /// How long a handshake waits for the certificate of its name; the order goes on behind it. Browsers wait longer.
        pub wait: Duration as Time = "30s",
        /// How long an order may take in all. The authority looks from several places, which takes seconds, not minutes.
        pub timeout: Duration as Time = "2min",
        /// The port that the authority asks for `http-01`. All public ones ask port 80; another is for an authority of your own.
        pub http_port: u16 as Count = 80,
        /// The port that the authority asks for `tls-alpn-01`: 443, likewise.
        pub tls_port: u16 as Count = 443,
    }

    /// Another authority.
    pub struct AuthorityTable in "acme.fallback" {
        /// Its directory.
        pub directory: Option<Located<String>> as Text = none,
        /// A PEM file with the certificates that its HTTPS is trusted by; the system's if it is not named.
        pub root: Option<Located<String>> as Text = none,
        /// The account that you have with it already, where it wants one.
        pub eab: Option<Located<EabTable>> as Table = none,
        /// Its profile to order by.
        pub profile: Option<String> as Text = none,
    }

    /// An account that you have with an authority already (RFC 8555 §7.3.4).
    pub struct EabTable in "acme.eab" {
        /// The identifier of the key.
        pub id: Option<Located<String>> as Text = none,
        /// The key, in base64url as authorities give it. `"{env.EAB_KEY}"` keeps it out of the file.
        pub key: Option<Located<String>> as Text = none,
    }

    /// A site is a set of hosts. Its own `proxy`, `files`, `redirect`, `respond` or `demo` is its route `/*`; what else it says
    /// holds for all of its routes, unless a route says otherwise.
    pub struct SiteTable in "[sites.\"…\"]" {
        /// Other hosts of the same site.
        pub hosts: Vec<Located<String>> as OneOrMany<Text> = [],
        /// See the routes.
        pub proxy: Option<Located<Vec<EndpointAddress>>> as OneOrMany<Endpoint> = none,
        /// See the routes.
        pub proxy_tls: Option<Located<ProxyTlsTable>> as Table = none,
        /// See the routes.
        pub files: Option<Located<FilesTable>> as Short = none,
        /// See the routes.
        pub redirect: Option<Located<RedirectTable>> as Short = none,
        /// See the routes.
        pub respond: Option<Located<RespondTable>> as Short = none,
        /// See the routes.
        pub demo: Option<Located<Demo>> as Choice = none,
        /// Changes to fields, before those of a route on the way in and after them on the way out.
        pub headers: Option<HeadersTable> as Table = none,
        /// See the routes.
        pub compress: Option<Located<CompressTable>> as Short = none,
        /// See the routes.
        pub max_body: Option<u64> as Size = none,
        /// See the routes.
        pub follow_redirects: Option<Located<bool>> as Flag = none,
        /// See the routes.
        pub rewrite_redirects: Option<Located<bool>> as Flag = none,
        /// See the routes.
        pub upgrade: Option<Located<Vec<String>>> as OneOrMany<Text> = none,
        /// Certificates of its own, and which clients it talks to.
        pub tls: Option<Located<TlsTable>> as Table = none,
        /// See the routes.
        pub errors: Names as Map<Text> = none,
        /// The routes, in any order: the most specific path wins, and of one path the route that asks for more fields, then
        /// the one that names methods.
        pub routes: Vec<Located<RouteTable>> as OneOrMany<Table> = [],
    }

    /// HTTPS for a site. Without certificates of its own it has those that the server makes for it.
    pub struct TlsTable in "tls" {
        /// The file of the certificate in PEM, with the chain behind it; read again when it changes. Of several, each client gets
        /// one that it understands.
        pub cert: Vec<Located<String>> as OneOrMany<Text> = [],
        /// The file of the key in PEM (PKCS#8, PKCS#1 or SEC1); as many as there are certificates, in the same order.
        pub key: Vec<Located<String>> as OneOrMany<Text> = [],
        /// The file of the certificates that sign those of clients: then clients must show one, and their requests are passed on
        /// with its subject in `X-Client-Subject`. The site is not served without TLS then.
        pub client_ca: Option<Located<String>> as Text = none,
        /// Whether clients may come without a certificate all the same. Off by default: a door that may be left open is none.
        pub client_optional: bool as Flag = false,
    }

    /// A route matches requests and says what answers them: exactly one of `proxy`, `files`, `redirect`, `respond` and `demo`.
    pub struct RouteTable in "[[sites.\"…\".routes]]" {
        /// `"/v1"` is this path, `"/v1/*"` is `/v1/` and all below, `{name}` stands for one segment.
        pub path: Located<String> as Text = "/*",
        /// Methods that the route takes, such as `"GET"`, which includes HEAD; all if none is named.
        pub methods: Vec<Located<String>> as OneOrMany<Text> = [],
        /// Fields that the request must have, with exactly this value; `"*"` means any.
        pub fields: Names as Map<Text> = none,
        /// Whole segments at the front of the path that are taken away before the handler sees it, such as `"/v1"`.
        pub strip: Option<Located<String>> as Text = none,
        /// Endpoints to pass requests to. `"5665"` is short for `"localhost:5665"`; of several, each gets its turn.
        pub proxy: Option<Located<Vec<EndpointAddress>>> as OneOrMany<Endpoint> = none,
        /// Whom endpoints with `https://` may be. By default each proves the name that stands in `proxy`, by a certificate that the
        /// system trusts.
        pub proxy_tls: Option<Located<ProxyTlsTable>> as Table = none,
        /// A folder to serve.
        pub files: Option<Located<FilesTable>> as Short = none,
        /// Another place to send clients to.
        pub redirect: Option<Located<RedirectTable>> as Short = none,
        /// A fixed response.
        pub respond: Option<Located<RespondTable>> as Short = none,
        /// A handler for trying out clients, as `dreamserver demo` has them. What it is told stands behind the path's fixed part
        /// (`/status/{code}`), or in the query.
        pub demo: Option<Located<Demo>> as Choice = none,
        /// Changes to fields.
        pub headers: Option<HeadersTable> as Table = none,
        /// Whether bodies are made smaller for clients that take them so; `compress = false` switches it off.
        pub compress: Option<Located<CompressTable>> as Short = none,
        /// Bytes of a request body → 413, before the endpoint is contacted; `limits.max_body` if it says nothing.
        pub max_body: Option<u64> as Size = none,
        /// Follow redirects of an endpoint to itself here, for GET and HEAD, instead of passing them on. Off by default: clients
        /// expect to see them.
        pub follow_redirects: Option<Located<bool>> as Flag = none,
        /// Make redirects that name the endpoint's own address name ours. On by default: clients cannot reach that address.
        pub rewrite_redirects: Option<Located<bool>> as Flag = none,
        /// Protocols that a client may switch to; `["websocket"]` by default, since others let requests pass unseen.
        pub upgrade: Option<Located<Vec<String>>> as OneOrMany<Text> = none,
        /// Pages for errors of this server, such as an endpoint that is down, in the place of the built-in ones: files by status,
        /// `{ 404 = "lost.html", "5xx" = "sorry.html" }`. They are read when the configuration is, and kept in memory, so that nothing
        /// is needed when something fails. An endpoint's own errors pass as they are.
        pub errors: Names as Map<Text> = none,
    }

    /// Text, JSON and the like made smaller, by the coding that the client wants most. `compress = false` is short for `enabled`.
    pub struct CompressTable in "compress" {
        /// Whether it is done. On by default. Switch it off where a page holds a secret beside text that a stranger chooses (BREACH).
        pub enabled: bool as Flag = true,
        /// What clients may get, what is to be taken first in front. zstd gives most for its time, every client knows gzip.
        pub codings: Located<Vec<Coding>> as OneOrMany<Choice> = ["zstd", "br", "gzip"],
        /// Shorter bodies stay as they are: they fit into one packet either way.
        pub min_size: u64 as Size = 512,
        /// Media types that are made smaller too, such as `"application/x-ndjson"`. Text, JSON, XML, scripts, fonts and the like are by
        /// themselves; what is packed already, as pictures and films are, only takes time.
        pub types: Vec<Located<String>> as OneOrMany<Text> = [],
    }

    /// Endpoints that are spoken to over TLS: whom they may be, and who this server is to them. Files are read again when they change.
    pub struct ProxyTlsTable in "proxy_tls" {
        /// The file of the certificates (PEM) that sign those of the endpoints. Then nobody else's word is taken, not that of those
        /// whom the system trusts either.
        pub ca: Option<Located<String>> as Text = none,
        /// The file of the certificate (PEM, with the chain behind it) that is shown to endpoints that ask for one.
        pub cert: Option<Located<String>> as Text = none,
        /// The file of its key (PEM: PKCS#8, PKCS#1 or SEC1).
        pub key: Option<Located<String>> as Text = none,
        /// The name that the endpoints' certificates are for, if not that in `proxy`: it is what the handshake names, and the Host
        /// of requests.
        pub server_name: Option<Located<String>> as Text = none,
        /// Take whoever answers for the endpoint. Off by default, and for tests only: anybody on the way can read and change
        /// everything. The log says so at every start.
        pub insecure: Located<bool> as Flag = false,
    }

    /// A folder. A text is short for `root`.
    pub struct FilesTable in "files" {
        /// The folder; a relative path starts at the folder of the configuration file. A path that leads to a file when the
        /// configuration is read is that file, for all paths of the route.
        pub root: Option<Located<String>> as Text = none,
        /// The file that stands for a folder; of several, the first that is there.
        pub index: Vec<Located<String>> as OneOrMany<Text> = "index.html",
        /// Whether files whose names begin with a dot are served. Off by default: `.git` and `.env` hold secrets. `.well-known` always is.
        pub hidden: bool as Flag = false,
        /// What stands for a request, the first that is there: `{path}` is what was asked for, and `"/index.html"` a file below the root.
        /// `["{path}", "{path}.html"]` is for addresses without `.html`, `["{path}", "/index.html"]` for applications of one page.
        /// Just what was asked for, if there is none.
        pub r#try: Vec<Located<String>> as OneOrMany<Text> = [],
        /// What browsers and caches are told of how long they may keep a file (`Cache-Control`): one text for all files, or a table of
        /// patterns, of which the longest that fits holds: `{ "/assets/*" = "immutable", "/*" = "no-cache" }`. `"immutable"` is short
        /// for `"public, max-age=31536000, immutable"`: such a file has another name when it changes. Nothing by default, which
        /// lets browsers guess.
        pub cache: Names as Cache = {},
        /// What `ETag` is made of: `"time"` of the last change and size, which survives a restart and is the same on machines whose files have
        /// the same times, or `"content"`, which is the same wherever the content is. That means to read each file once more.
        pub etag: TagOf as Choice = "time",
        /// The media type of all files, such as `"application/octet-stream"`, in place of what their names say.
        pub content_type: Option<Located<String>> as Text = none,
        /// Whether a folder without an index is listed. Off by default: a listing shows what nobody was told of.
        pub browse: bool as Flag = false,
        /// Whether clients may create and replace files, by PUT and POST. Off by default: it is a folder to read. Where others than programs on
        /// this machine reach the server, clients must prove who they are, or `anonymous` says that they need not, and `max_total` is needed.
        pub upload: Located<bool> as Flag = false,
        /// Whether clients who may upload may also remove files, by DELETE. Off by default: what is gone is gone.
        pub delete: Located<bool> as Flag = false,
        /// Whether anybody may upload. Off by default: what strangers put there is served under your name.
        pub anonymous: bool as Flag = false,
        /// Bytes of one upload → 413. The route's `max_body` and that of the limits hold too. A photo or a document fits, a disk
        /// is not full after one mistake.
        pub max_body: Located<u64> as Size = "100 MB",
        /// Bytes of all files in the folder together, those that were there before too → 507. A file counts as whole blocks of 4 KiB, so that
        /// their number is bounded as well. As much as the disk has by default.
        pub max_total: Option<Located<u64>> as Size = none,
    }

    /// Another place. A text is short for `to`.
    pub struct RedirectTable in "redirect" {
        /// The place. `{host}`, `{path}` and `{query}` stand for those of the request; behind `{path}` the query is kept
        /// where the text has none.
        pub to: Option<Located<String>> as Text = none,
        /// 301, 302, 303, 307 or 308. 308 keeps the method, and browsers remember it.
        pub status: Located<u16> as Count = 308,
    }

    /// A fixed response. A text is short for `body`.
    pub struct RespondTable in "respond" {
        /// The status, 200 to 599.
        pub status: Located<u16> as Count = 200,
        /// The body.
        pub body: Located<String> as Text = "",
        /// The type of the body.
        pub content_type: Located<String> as Text = "text/plain; charset=utf-8",
    }

    /// Changes to fields.
    pub struct HeadersTable in "headers" {
        /// On the way in.
        pub request: FieldsTable as Table = {},
        /// On the way out.
        pub response: FieldsTable as Table = {},
    }

    /// Changes in this order: remove, set, add. Fields that frame a message belong to the protocol and stay as they are.
    pub struct FieldsTable in "headers.request, headers.response" {
        /// Fields to remove.
        pub remove: Vec<Located<String>> as OneOrMany<Text> = [],
        /// Fields that take the place of all with their name: `set = { X-Served-By = "dream" }`.
        pub set: Names as Map<Text> = none,
        /// Fields to add to those that are there.
        pub add: Names as Map<Text> = none,
    }
}

impl Shorthand for ListenTable {
    fn expects() -> String {
        <OneOrMany<Listen> as Kind<Vec<ListenAddress>>>::expects()
    }

    fn read_short(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<ListenTable> {
        Some(ListenTable {
            addresses: OneOrMany::<Listen>::read(item, problems)?,
            ..ListenTable::default()
        })
    }

    fn schema() -> Json {
        <OneOrMany<Listen> as Kind<Vec<ListenAddress>>>::schema()
    }
}

/// A table whose shorter way is `true` or `false` for `enabled`.
macro_rules! switch_for {
    ($Table:ident) => {
        impl Shorthand for $Table {
            fn expects() -> String {
                <Flag as Kind<bool>>::expects()
            }

            fn read_short(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<$Table> {
                if item.get_ref().as_bool().is_none() {
                    problems.mismatch::<Short, $Table>(item);
                }
                Some($Table {
                    enabled: item.get_ref().as_bool()?,
                    ..$Table::default()
                })
            }

            fn schema() -> Json {
                <Flag as Kind<bool>>::schema()
            }
        }
    };
}

switch_for!(ControlTable);
switch_for!(AcmeTable);
switch_for!(CompressTable);

/// A table whose shorter way is the text of one of its options.
macro_rules! text_for {
    ($Table:ident, $option:ident, $text:ident => $value:expr) => {
        impl Shorthand for $Table {
            fn expects() -> String {
                format!("a text for `{}`", stringify!($option))
            }

            fn read_short(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<$Table> {
                if item.get_ref().as_str().is_none() {
                    problems.mismatch::<Short, $Table>(item);
                    return None;
                }
                let $text = <Text as Kind<Located<String>>>::read(item, problems)?;
                Some($Table {
                    $option: $value,
                    ..$Table::default()
                })
            }

            fn schema() -> Json {
                json!({ "type": "string" })
            }
        }
    };
}

text_for!(FilesTable, root, text => Some(text));
text_for!(RedirectTable, to, text => Some(text));
text_for!(RespondTable, body, text => text);

/// A text for all files, or texts for some.
pub(super) struct Cache;

impl Kind<Names> for Cache {
    fn expects() -> String {
        "a text, or a table of patterns and texts".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Names> {
        if item.get_ref().as_table().is_some() {
            return Map::<Text>::read(item, problems);
        }
        if item.get_ref().as_str().is_none() {
            problems.mismatch::<Cache, Names>(item);
            return None;
        }
        let control = <Text as Kind<Located<String>>>::read(item, problems)?;
        let all = Located {
            value: "/*".to_owned(),
            span: control.span.clone(),
            clean: true,
        };
        Some(vec![(all, control)])
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "string" },
            { "type": "object", "additionalProperties": { "type": "string" } },
        ] })
    }
}

/// Where the access log goes, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AccessTarget {
    Off,
    Stdout,
    UsualFile,
    File(String),
}

/// `"stdout"`, `"off"`, a path, `true` or `false`.
pub(super) struct Access;

impl Kind<AccessTarget> for Access {
    fn expects() -> String {
        "`\"stdout\"`, `\"off\"`, a path, `true` or `false`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<AccessTarget> {
        match item.get_ref() {
            DeValue::Boolean(true) => Some(AccessTarget::UsualFile),
            DeValue::Boolean(false) => Some(AccessTarget::Off),
            DeValue::String(_) => Some(match problems.text(item)? {
                word if word == "off" => AccessTarget::Off,
                word if word == "stdout" => AccessTarget::Stdout,
                path => AccessTarget::File(path),
            }),
            _ => {
                problems.mismatch::<Access, AccessTarget>(item);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": ["string", "boolean"] })
    }
}
