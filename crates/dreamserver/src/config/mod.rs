//! The configuration: from `dreamserver.toml` to plain data, or to every error at once.
//!
//! Three steps: `file.rs` says what may be written and reads it, `meaning.rs` turns that into what the server
//! does, `report.rs` shows what is wrong. Nothing here is looked at while a request is served.

mod acme;
mod errors;
mod file;
mod meaning;
mod own;
pub mod reference;
mod report;
#[cfg(test)]
mod tests;
mod uploads;

pub use errors::read_error_page;
pub use own::Own;
pub use report::Errors;

use crate::address::{EndpointAddress, ListenAddress};
use crate::coding::CompressOptions;
use crate::handler::files::{CacheRules, Candidate, TagOf};
use crate::handler::{self, demo::Demo};
use crate::limits::{Limits, Timeouts};
use crate::middleware::{self, Statuses};
use crate::options::Choices;
use crate::router::{HostPattern, Matcher, PathPattern};
use crate::template::Template;
use dream_http::Coding;
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All that a server is told to do: what a `dreamserver.toml` says, or the defaults for what it does not say.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub(crate) listen: Vec<ListenAddress>,
    /// Somebody has chosen that; else it is the default, and sockets that are there already win over it.
    pub(crate) chose_listen: bool,
    /// Where to listen for TLS; none if nobody chose, and then it is beside `listen`.
    pub(crate) listen_tls: Option<Vec<ListenAddress>>,
    /// Peers whose word on the client's address is taken.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Bounds on what peers may ask for.
    pub(crate) limits: Limits,
    /// Bounds on how long peers may take.
    pub(crate) timeouts: Timeouts,
    /// What is written down.
    pub(crate) log: LogOptions,
    /// What programs on this machine may announce.
    pub(crate) control: ControlOptions,
    /// Where certificates for public names come from.
    pub(crate) acme: AcmeOptions,
    /// The file says something of that.
    pub(crate) chose_acme: bool,
    /// Somebody has chosen what is served; else it is a folder that a program's own handlers take the place of.
    pub(crate) chose_sites: bool,
    /// What is served.
    pub(crate) sites: Vec<Site>,
    /// What is wrong with it if others than programs on this machine can reach the server.
    pub(crate) exposed: Option<Errors>,
    /// What answers that nothing else is for, where a program has said so.
    pub(crate) not_found: Option<RouteConfig>,
}

/// What programs on this machine may announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlOptions {
    /// Whether they may announce anything.
    pub enabled: bool,
    /// Whether names belong to users, if the file says so or not.
    pub owners: Option<bool>,
    /// Whether names may reach other machines.
    pub hosts: bool,
}

/// Certificates for public names, by ACME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeOptions {
    /// Whether certificates are ordered.
    pub enabled: bool,
    /// Whom they are ordered from.
    pub authority: Authority,
    /// And whom, if that one does not give any.
    pub fallback: Option<Authority>,
    /// Where the authorities may write to, as URIs.
    pub contact: Vec<String>,
    /// Whether their terms of service are agreed to.
    pub terms: bool,
    /// Who tells where names lead; the system if nobody is named.
    pub resolver: Option<SocketAddr>,
    /// Whether it is tried if a name leads here, before an order.
    pub preflight: bool,
    /// Whether orders stay below the limits of Let's Encrypt.
    pub budgets: bool,
    /// How long a handshake waits for a certificate.
    pub wait: Duration,
    /// How long an order may take.
    pub timeout: Duration,
    /// The port that http-01 asks.
    pub http_port: u16,
    /// The port that tls-alpn-01 asks.
    pub tls_port: u16,
}

/// An authority that gives certificates by ACME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The URL of its directory.
    pub directory: String,
    /// What its own HTTPS is trusted by; the system's roots if no file is named.
    pub root: Option<PathBuf>,
    /// The account that there is already.
    pub eab: Option<Eab>,
    /// The profile to order by.
    pub profile: Option<String>,
}

/// An account with an authority that was made elsewhere (RFC 8555 §7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Eab {
    /// The identifier of its key.
    pub id: String,
    /// The key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Eab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("Eab")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What is written down, where, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Where a line for each request goes.
    pub access: AccessLog,
    /// How it is written.
    pub format: LogFormat,
    /// Whether it holds the query.
    pub query: bool,
    /// Whether connections have lines of their own.
    pub connections: bool,
    /// Bytes of all files of the access log together.
    pub max_size: u64,
    /// Which events of the server are written to standard error.
    pub level: LogLevel,
}

/// Where a line for each request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To this file.
    File(PathBuf),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Choices for LogFormat {
    const CHOICES: &'static [(&'static str, LogFormat)] =
        &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

impl Choices for TagOf {
    const CHOICES: &'static [(&'static str, TagOf)] =
        &[("time", TagOf::Time), ("content", TagOf::Content)];
}

impl Choices for Coding {
    const CHOICES: &'static [(&'static str, Coding)] = &[
        ("zstd", Coding::Zstd),
        ("br", Coding::Brotli),
        ("gzip", Coding::Gzip),
    ];
}

/// The least important events that are still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the level it names")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Choices for LogLevel {
    const CHOICES: &'static [(&'static str, LogLevel)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
}

/// A set of hosts and what is served there.
#[derive(Clone, Debug)]
pub struct Site {
    /// The hosts.
    pub hosts: Vec<HostPattern>,
    /// The routes, in the order of the file.
    pub routes: Vec<RouteConfig>,
    /// What its handshakes go by, if it says anything of that.
    pub tls: Option<TlsConfig>,
    /// Its own pages for errors; those of its routes are in their chains.
    pub errors: Option<ErrorPagesConfig>,
}

/// Pages for errors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorPagesConfig {
    /// The file of each, no status twice.
    pub pages: Vec<(Statuses, PathBuf)>,
}

/// What the handshakes of a site go by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsConfig {
    /// Its certificates; without any, they are made when somebody asks for them.
    pub pairs: Vec<Pair>,
    /// Whose certificates its clients must show, if they must.
    pub clients: Option<ClientsConfig>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The chain, the leaf first.
    pub cert: PathBuf,
    /// The key of the leaf.
    pub key: PathBuf,
}

/// Which clients a site talks to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientsConfig {
    /// The certificates of those who issue theirs.
    pub ca: PathBuf,
    /// Whether a client may come without one.
    pub optional: bool,
}

/// Matcher, middleware chain and handler.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Which requests it is for.
    pub matcher: Matcher,
    /// The prefix that the handler does not see; the matcher guarantees that the path begins with it.
    pub strip: Option<Strip>,
    /// Bytes of a request body → 413; `limits.max_body` if it says nothing.
    pub max_body: Option<u64>,
    /// What requests pass on the way in, and responses in reverse order on the way out.
    pub chain: Vec<MiddlewareConfig>,
    /// What answers.
    pub handler: HandlerConfig,
}

/// A prefix of whole path segments, such as `/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Strip(String);

impl Strip {
    /// What is fixed at the front of a pattern, if anything is.
    pub fn before(pattern: &PathPattern) -> Option<Strip> {
        let fixed = pattern.literal();
        (!fixed.is_empty()).then_some(Strip(fixed))
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One station between router and handler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MiddlewareConfig {
    /// Changes fields.
    Headers(HeaderEdits),
    /// Lets nobody in who was not asked for a certificate by this policy.
    Clients(ClientsConfig),
    /// Shows pages for errors.
    ErrorPages(ErrorPagesConfig),
    /// Bodies made smaller.
    Compress(CompressOptions),
    /// One of a program that uses the library.
    Custom(Own<dyn middleware::Custom>),
}

/// Changes to the fields of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderEdits {
    /// On the way in.
    pub request: FieldEdits,
    /// On the way out.
    pub response: FieldEdits,
}

/// Changes to a list of fields, done in this order: remove, set, add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldEdits {
    /// Names of fields to remove.
    pub remove: Vec<String>,
    /// Fields that take the place of all with their name.
    pub set: Vec<(String, String)>,
    /// Fields to add to those that are there.
    pub add: Vec<(String, String)>,
}

/// What answers a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HandlerConfig {
    /// A folder.
    Files(FilesConfig),
    /// Endpoints.
    Proxy(ProxyConfig),
    /// Another place.
    Redirect(RedirectConfig),
    /// A fixed response.
    Respond(RespondConfig),
    /// A handler of the toolbox.
    Demo(Demo),
    /// One of a program that uses the library.
    Custom(Own<dyn handler::Custom>),
}

/// A folder to serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FilesConfig {
    /// The folder; relative paths of a file were made absolute by the folder of the file.
    pub root: PathBuf,
    /// The file that stands for a folder, the first that is there.
    pub index: Vec<String>,
    /// Whether files whose name begins with a dot are served.
    pub hidden: bool,
    /// What stands for a request, the first that is there; without any, what was asked for.
    pub candidates: Vec<Candidate>,
    /// What caches are told of which files.
    pub cache: CacheRules,
    /// What entity tags are made of.
    pub tag_of: TagOf,
    /// The media type of all files, if not that of their names.
    pub content_type: Option<String>,
    /// Whether folders that have no index are listed.
    pub browse: bool,
    /// What clients may change, if they may change anything.
    pub upload: Option<UploadConfig>,
}

/// What clients may change in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadConfig {
    /// Bytes of one upload.
    pub max_body: u64,
    /// Bytes of all files of the folder together.
    pub max_total: Option<u64>,
    /// Whether files may be removed.
    pub delete: bool,
}

impl FilesConfig {
    /// This folder, and the defaults for everything else.
    pub fn of(root: impl Into<PathBuf>) -> FilesConfig {
        FilesConfig {
            root: root.into(),
            ..file::FilesTable::default().into_config()
        }
    }
}

/// Endpoints to pass requests to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// The endpoints; at least one, none twice.
    pub endpoints: Vec<EndpointAddress>,
    /// What handshakes with those go by that are spoken to over TLS.
    pub tls: EndpointTls,
    /// Whether redirects of an endpoint to itself are followed here, for GET and HEAD.
    pub follow_redirects: bool,
    /// Whether redirects that name the endpoint's own address are made to name ours.
    pub rewrite_redirects: bool,
    /// The protocols that a client may switch to, in lower case.
    pub upgrade: Vec<String>,
}

/// What handshakes with endpoints go by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointTls {
    /// Whose word on an endpoint's name is taken.
    pub issuers: IssuersConfig,
    /// What is shown to an endpoint that asks who we are.
    pub pair: Option<Pair>,
    /// Whom the endpoint's certificate names, if not the host of its address.
    pub server_name: Option<String>,
}

/// Whose word on the name of an endpoint is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum IssuersConfig {
    /// That of those whom the system trusts.
    #[default]
    System,
    /// That of those whose certificates are in this file.
    File(PathBuf),
    /// Whoever answers is the endpoint.
    Anybody,
}

impl ProxyConfig {
    /// These endpoints, and the defaults for everything else.
    pub fn to(endpoints: Vec<EndpointAddress>) -> ProxyConfig {
        ProxyConfig {
            endpoints,
            ..file::RouteTable::default().proxy_config()
        }
    }
}

/// Another place to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectConfig {
    /// The place.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// A fixed response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RespondConfig {
    /// The status, 200 to 599.
    pub status: u16,
    /// The body; empty where the status allows none.
    pub body: String,
    /// The type of the body.
    pub content_type: String,
}

/// Zero configuration: port 8080 on every address serves the folder `staticfiles`.
impl Default for Config {
    fn default() -> Config {
        Config::files("staticfiles")
    }
}

impl Config {
    /// One folder on every host.
    pub(crate) fn files(root: impl Into<PathBuf>) -> Config {
        Config::serving(HandlerConfig::Files(FilesConfig::of(root)))
    }

    /// Nothing but the usual limits and time-outs, and no announcements.
    pub(crate) fn empty() -> Config {
        let mut config = file::FileTable::default().into_config();
        config.control.enabled = false;
        config
    }

    /// Endpoints behind every host.
    pub(crate) fn proxy(endpoints: Vec<EndpointAddress>) -> Config {
        Config::serving(HandlerConfig::Proxy(ProxyConfig::to(endpoints)))
    }

    /// Nothing but what programs announce, on the port that browsers ask.
    pub(crate) fn core() -> Config {
        Config {
            listen: vec![ListenAddress::Any(80)],
            ..file::FileTable::default().into_config()
        }
    }

    fn serving(handler: HandlerConfig) -> Config {
        let route = RouteConfig {
            matcher: Matcher::path(PathPattern::all()),
            strip: None,
            max_body: None,
            chain: vec![MiddlewareConfig::Compress(CompressOptions::default())],
            handler,
        };
        Config {
            sites: vec![Site {
                hosts: vec![HostPattern::Any],
                routes: vec![route],
                tls: None,
                errors: None,
            }],
            ..file::FileTable::default().into_config()
        }
    }

    /// The same, unless it lets everybody do what only this machine may, at the addresses where it listens now.
    ///
    /// # Errors
    /// What is to be added first.
    pub(crate) fn checked(self) -> Result<Config, Errors> {
        let tls = self.listen_tls.iter().flatten();
        let is_exposed = !self
            .listen
            .iter()
            .chain(tls)
            .all(ListenAddress::is_loopback);
        match self.exposed.as_ref().filter(|_| is_exposed) {
            Some(errors) => Err(errors.clone()),
            None => Ok(self),
        }
    }

    /// The configuration that `source` says, as if it stood in the file `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(source: &str, path: &Path) -> Result<Config, Errors> {
        meaning::parse(source, path)
    }

    /// The configuration of the file `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Config, Errors> {
        let source = std::fs::read(path).map_err(|error| Errors::unreadable(path, &error))?;
        let source = String::from_utf8(source).map_err(|error| Errors::not_text(path, &error))?;
        Config::parse(&source, path)
    }
}

/// The configuration file to use: the one that was asked for, else the first that is there.
pub fn find(explicit: Option<&Path>) -> Option<PathBuf> {
    let known = || PLACES.iter().map(PathBuf::from).find(|path| path.exists());
    explicit.map(Path::to_owned).or_else(known)
}

/// Where a configuration file is looked for.
pub const PLACES: [&str; 2] = ["dreamserver.toml", "/etc/dreamserver/dreamserver.toml"];
