//! From what is written to what is meant: the tables become a [`Config`], and what makes no sense is reported.

use super::file::{
    AccessTarget, CompressTable, ControlTable, FieldsTable, FileTable, FilesTable, HeadersTable,
    LogTable, Names, ProxyTlsTable, RedirectTable, RespondTable, RouteTable, SiteTable, TlsTable,
};
use super::uploads;
use super::{
    AccessLog, ClientsConfig, Config, ControlOptions, EndpointTls, ErrorPagesConfig, Errors,
    FieldEdits, FilesConfig, HandlerConfig, HeaderEdits, IssuersConfig, LogOptions,
    MiddlewareConfig, Pair, ProxyConfig, RedirectConfig, RespondConfig, RouteConfig, Site, Strip,
    TlsConfig,
};
use super::{acme, errors};
use crate::address::EndpointAddress;
use crate::certificates;
use crate::coding::CompressOptions;
use crate::exchange::Scheme;
use crate::handler::files::{
    CacheControl, CacheRules, Candidate, InvalidCandidate, InvalidRule, NamePattern,
};
use crate::log::Options as AccessOptions;
use crate::middleware::{Direction, Edit, Verb};
use crate::options::{Located, Options, Problem, Problems};
use crate::router::{
    Conflict, FieldMatch, HostPattern, InvalidHost, InvalidPath, Matcher, MethodSet, PathPattern,
    SiteRoutes, Table,
};
use dream_http::{Fields, Name, ResponseHead};
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// The configuration that `source` says; relative paths start at the folder of `path`.
pub(super) fn parse(source: &str, path: &Path) -> Result<Config, Errors> {
    let (table, syntax) = DeTable::parse_recoverable(source);
    let table = table.into_inner();
    let mut problems = Problems::new(source);
    let chose_acme = table.contains_key("acme");
    let file = FileTable::read(&table, &mut problems);
    let mut meaning = Meaning {
        folder: path.parent().unwrap_or(Path::new("")),
        problems,
        endpoint_tls: HashMap::new(),
        exposed: Vec::new(),
    };
    let mut config = meaning.config(file);
    config.chose_acme = chose_acme;
    if !meaning.exposed.is_empty() {
        config.exposed = Some(Errors::new(path, source, meaning.exposed));
    }
    let problems = with_syntax(syntax, meaning.problems.into_sorted(), source);
    match problems.is_empty() {
        true => Ok(config),
        false => Err(Errors::new(path, source, problems)),
    }
}

/// Syntax errors first; where the text could not be read, what follows from guessing at it is left out.
fn with_syntax(syntax: Vec<toml::de::Error>, found: Vec<Problem>, source: &str) -> Vec<Problem> {
    let Some(first) = syntax.iter().filter_map(toml::de::Error::span).next() else {
        return found;
    };
    let certain = source[..source.floor_char_boundary(first.start)].rfind('\n');
    let mut problems: Vec<Problem> = found
        .into_iter()
        .filter(|problem| certain.is_some_and(|line| problem.span.end <= line))
        .collect();
    problems.extend(syntax.into_iter().map(|error| {
        let span = error.span().unwrap_or_default();
        Problem::new(span, error.message())
    }));
    problems
}

/// The tables on their way to a configuration.
struct Meaning<'a> {
    folder: &'a Path,
    problems: Problems<'a>,
    /// What was made of each `proxy_tls`, by where it stands: that of a site holds for many routes and is looked at once.
    endpoint_tls: HashMap<usize, EndpointTls>,
    /// What is wrong only where others than programs on this machine reach the server.
    exposed: Vec<Problem>,
}

impl Meaning<'_> {
    fn config(&mut self, file: FileTable) -> Config {
        self.check_log(&file.log);
        self.check_control(&file.control);
        let addresses = &file.listen.addresses;
        if addresses.value.is_empty() && addresses.clean {
            self.problem(&addresses.span, "`listen` names no address");
        }
        let acme = acme::options(&file.acme, self.folder, &mut self.problems);
        let sites = self.sites(&file.sites);
        self.exposed = uploads::exposed(&file.sites);
        let mut config = file.into_config();
        if let AccessLog::File(path) = &mut config.log.access {
            *path = self.folder.join(&path);
        }
        config.acme = acme;
        config.chose_sites = !sites.is_empty();
        config.sites = match config.chose_sites {
            true => sites,
            false => Config::default().sites,
        };
        config
    }

    fn check_log(&mut self, log: &LogTable) {
        if log.max_size.value < AccessOptions::MIN_SIZE {
            self.problems.push(
                Problem::new(log.max_size.span.clone(), "the log is too small")
                    .help("2 MiB is the least that holds a few of the longest lines"),
            );
        }
        if log.access.value == AccessTarget::File(String::new()) {
            self.problem(&log.access.span, "the path of the access log is empty");
        }
    }

    /// What cannot be had must not look as if it were.
    fn check_control(&mut self, control: &ControlTable) {
        if let Some(owners) = control.owners.as_ref().filter(|owners| owners.value)
            && !cfg!(target_os = "linux")
        {
            self.problems.push(
                Problem::new(owners.span.clone(), "owners are known on Linux only")
                    .help("take it out: here every program may change every name"),
            );
        }
    }

    fn sites(&mut self, tables: &[(Located<String>, Located<SiteTable>)]) -> Vec<Site> {
        let mut sites = Vec::new();
        let mut places = Vec::new();
        for (name, table) in tables {
            let (site, place) = self.site(name, table);
            sites.push(site);
            places.push(place);
        }
        self.check_conflicts(&sites, &places);
        sites
    }

    fn site(&mut self, name: &Located<String>, table: &Located<SiteTable>) -> (Site, SitePlace) {
        let mut place = SitePlace::default();
        let mut site = Site {
            hosts: Vec::new(),
            routes: Vec::new(),
            tls: table.value.tls.as_ref().map(|tls| self.tls(tls)),
            errors: self.error_pages(&table.value.errors),
        };
        for host in [name].into_iter().chain(&table.value.hosts) {
            if let Some(pattern) = self.host(host) {
                site.hosts.push(pattern);
                place.hosts.push(host.span.clone());
            }
        }
        let headers = table.value.headers.as_ref();
        let shared = headers.map(|headers| self.headers(headers));
        for (span, mut route) in self.routes(name, table) {
            let shared = shared.clone().map(MiddlewareConfig::Headers);
            route.chain.splice(..0, shared);
            let clients = site.tls.as_ref().and_then(|tls| tls.clients.clone());
            let clients = clients.map(MiddlewareConfig::Clients);
            route.chain.splice(..0, clients);
            place_error_pages(&mut route, site.errors.as_ref());
            // Outermost: what is coded is what all others have made of the response.
            let is_inner = |middleware: &_| !matches!(middleware, MiddlewareConfig::Compress(_));
            route.chain.sort_by_key(is_inner);
            site.routes.push(route);
            place.routes.push(span);
        }
        self.check_endpoint_tls(table.value.proxy_tls.as_ref(), &site.routes);
        (site, place)
    }

    fn error_pages(&mut self, names: &Names) -> Option<ErrorPagesConfig> {
        errors::error_pages(names, self.folder, &mut self.problems)
    }

    fn host(&mut self, host: &Located<String>) -> Option<HostPattern> {
        let parsed = host.value.parse();
        parsed
            .map_err(|InvalidHost { message, help }| {
                let problem = Problem::new(host.span.clone(), message);
                self.problems.push(problem.label("not a host").help(help));
            })
            .ok()
    }

    /// The routes of a site, its own `/*` first, and where each stands.
    fn routes(
        &mut self,
        name: &Located<String>,
        site: &Located<SiteTable>,
    ) -> Vec<(Range<usize>, RouteConfig)> {
        let table = &site.value;
        let own = table.own_route();
        let has_own = own.handlers().next().is_some();
        let mut routes = Vec::new();
        if has_own {
            let span = own.handlers().next().map(|(_, span)| span.clone());
            let route = self.route(&own, span.as_ref().unwrap_or(&name.span), site, true);
            routes.extend(route.map(|route| (span.unwrap_or_default(), route)));
        }
        for route in &table.routes {
            let config = self.route(&route.value, &route.span, site, route.clean);
            routes.extend(config.map(|config| (route.span.clone(), config)));
        }
        if !has_own && table.routes.is_empty() && site.clean {
            self.problems.push(
                Problem::new(name.span.clone(), "the site serves nothing")
                    .help("give it `proxy`, `files`, `redirect`, `respond`, `demo` or `routes`"),
            );
        }
        routes
    }

    fn route(
        &mut self,
        route: &RouteTable,
        span: &Range<usize>,
        site: &Located<SiteTable>,
        clean: bool,
    ) -> Option<RouteConfig> {
        let matcher = self.matcher(route);
        let strip = self.strip(route, matcher.as_ref());
        let headers = route.headers.as_ref().map(|table| self.headers(table));
        let headers = headers.map(MiddlewareConfig::Headers);
        let pages = self.error_pages(&route.errors);
        let pages = pages.map(MiddlewareConfig::ErrorPages);
        let compress = route.compress.as_ref().or(site.value.compress.as_ref());
        let compress = self.compress(compress).map(MiddlewareConfig::Compress);
        let handler = self.handler(route, span, &site.value, clean);
        // A redirect has no body.
        let compress = compress.filter(|_| !matches!(handler, Some(HandlerConfig::Redirect(_))));
        let config = RouteConfig {
            matcher: matcher?,
            strip,
            max_body: route.max_body.or(site.value.max_body),
            chain: compress.into_iter().chain(pages).chain(headers).collect(),
            handler: handler?,
        };
        if route.proxy.is_some() {
            self.check_endpoint_tls(route.proxy_tls.as_ref(), std::slice::from_ref(&config));
        }
        Some(config)
    }

    fn matcher(&mut self, route: &RouteTable) -> Option<Matcher> {
        let path = self.path(&route.path);
        let mut methods = MethodSet::EMPTY;
        for name in &route.methods {
            match MethodSet::method(&name.value) {
                Some(method) => methods = methods.with(method),
                None => self.problems.push(
                    Problem::new(
                        name.span.clone(),
                        format!("unknown method `{}`", name.value),
                    )
                    .help("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, in capitals"),
                ),
            }
        }
        let mut fields = Vec::new();
        for (name, value) in &route.fields {
            self.check_field(name, value);
            let value = (value.value != "*").then_some(value.value.as_str());
            fields.push(FieldMatch::new(&name.value, value));
        }
        Some(Matcher {
            path: path?,
            methods: (!methods.is_empty()).then_some(methods),
            fields,
        })
    }

    fn path(&mut self, path: &Located<String>) -> Option<PathPattern> {
        let parsed = path.value.parse();
        parsed
            .map_err(|InvalidPath { message, help }| {
                let problem = Problem::new(path.span.clone(), message);
                self.problems.push(problem.help(help));
            })
            .ok()
    }

    fn strip(&mut self, route: &RouteTable, matcher: Option<&Matcher>) -> Option<Strip> {
        let Some(written) = route.strip.as_ref() else {
            return Strip::before(&matcher.filter(|_| route.demo.is_some())?.path);
        };
        let prefix = written.value.trim_end_matches('/');
        if prefix.is_empty() || !prefix.starts_with('/') {
            let problem = Problem::new(written.span.clone(), "`strip` begins with `/` and a name");
            self.problems.push(problem.help("write `strip = \"/v1\"`"));
            return None;
        }
        if !matcher?.path.is_below(prefix) {
            let message = format!("paths of this route do not begin with `{prefix}`");
            self.problems.push(
                Problem::new(written.span.clone(), message)
                    .also(route.path.span.clone(), "the path")
                    .help("`strip` takes whole segments, which stand at the front of `path`"),
            );
            return None;
        }
        Some(Strip(prefix.to_owned()))
    }

    fn handler(
        &mut self,
        route: &RouteTable,
        span: &Range<usize>,
        site: &SiteTable,
        clean: bool,
    ) -> Option<HandlerConfig> {
        let handlers: Vec<(&str, &Range<usize>)> = route.handlers().collect();
        match handlers[..] {
            [] if clean => self.problems.push(
                Problem::new(span.clone(), "the route has no handler")
                    .help("give it one of `proxy`, `files`, `redirect`, `respond`, `demo`"),
            ),
            [(first, at), (second, span), ..] => self.problems.push(
                Problem::new(
                    span.clone(),
                    format!("`{first}` and `{second}` cannot both answer"),
                )
                .also(at.clone(), format!("`{first}` stands here"))
                .help("a route has one handler; write a second route for the other"),
            ),
            _ => {}
        }
        if route.proxy.is_none() {
            self.check_proxy_options(route);
        }
        let proxy = route.proxy.as_ref().map(|to| self.proxy(to, route, site));
        let files = route.files.as_ref().map(|table| self.files(table));
        let redirect = route.redirect.as_ref().map(|table| self.redirect(table));
        let respond = route.respond.as_ref().map(|table| self.respond(table));
        let demo = route.demo.as_ref();
        let demo = demo.map(|demo| Some(HandlerConfig::Demo(demo.value)));
        let handlers = [proxy, files, redirect, respond, demo];
        handlers.into_iter().flatten().next().flatten()
    }

    fn check_proxy_options(&mut self, route: &RouteTable) {
        let follow = route.follow_redirects.as_ref().map(|option| &option.span);
        let rewrite = route.rewrite_redirects.as_ref().map(|option| &option.span);
        let upgrade = route.upgrade.as_ref().map(|option| &option.span);
        let tls = route.proxy_tls.as_ref().map(|option| &option.span);
        for span in [follow, rewrite, upgrade, tls].into_iter().flatten() {
            self.problem(span, "this option needs a `proxy` in the same route");
        }
    }

    fn proxy(
        &mut self,
        to: &Located<Vec<EndpointAddress>>,
        route: &RouteTable,
        site: &SiteTable,
    ) -> Option<HandlerConfig> {
        let route = route.with_defaults_of(site);
        let mut proxy = route.proxy_config();
        for endpoint in &to.value {
            if proxy.endpoints.contains(endpoint) {
                let message = format!("the endpoint `{endpoint}` is named twice");
                self.problem(&to.span, message);
            }
            proxy.endpoints.push(endpoint.clone());
        }
        if to.value.is_empty() && to.clean {
            self.problem(&to.span, "`proxy` names no endpoint");
        }
        if let Some(table) = &route.proxy_tls {
            proxy.tls = self.endpoint_tls(table);
        }
        for endpoint in proxy.endpoints.iter().filter(is_secure) {
            self.check_endpoint(endpoint, &proxy.tls, &to.span);
        }
        Some(HandlerConfig::Proxy(proxy))
    }

    /// What can be known of an endpoint before it is asked.
    fn check_endpoint(&mut self, endpoint: &EndpointAddress, tls: &EndpointTls, at: &Range<usize>) {
        if tls.server_name.is_none()
            && let Err(error) = certificates::proven_name(endpoint, tls)
        {
            self.problem(at, error.to_string());
        }
        if tls.issuers == IssuersConfig::System
            && let Err(error) = certificates::system_issuers()
        {
            self.problem(at, error.to_string());
        }
    }

    /// Options that would do nothing are a mistake: a table for endpoints of which none speaks TLS.
    fn check_endpoint_tls(
        &mut self,
        table: Option<&Located<ProxyTlsTable>>,
        routes: &[RouteConfig],
    ) {
        let is_used = |route: &RouteConfig| match &route.handler {
            HandlerConfig::Proxy(proxy) => proxy.endpoints.iter().any(|to| is_secure(&to)),
            _ => false,
        };
        if let Some(table) = table.filter(|_| !routes.iter().any(is_used)) {
            self.problems.push(
                Problem::new(
                    table.span.clone(),
                    "none of these endpoints is spoken to over TLS",
                )
                .help("write `https://` in front of their address"),
            );
        }
    }

    /// What can be read now is checked now, as for [`Meaning::tls`].
    fn endpoint_tls(&mut self, table: &Located<ProxyTlsTable>) -> EndpointTls {
        if let Some(known) = self.endpoint_tls.get(&table.span.start) {
            return known.clone();
        }
        let ProxyTlsTable {
            ca,
            cert,
            key,
            server_name,
            insecure,
        } = &table.value;
        let tls = EndpointTls {
            issuers: self.issuers(ca.as_ref(), insecure),
            pair: self.own_pair(table, cert.as_ref(), key.as_ref()),
            server_name: server_name
                .as_ref()
                .map(|name| name.value.to_ascii_lowercase()),
        };
        if let Some(name) = server_name
            && ServerName::try_from(name.value.as_str()).is_err()
        {
            let message = format!("`{}` is not a name that a certificate can have", name.value);
            self.problems.push(
                Problem::new(name.span.clone(), message)
                    .help("a host or an address, without scheme and port"),
            );
        }
        self.endpoint_tls.insert(table.span.start, tls.clone());
        tls
    }

    fn issuers(&mut self, ca: Option<&Located<String>>, insecure: &Located<bool>) -> IssuersConfig {
        let Some(ca) = ca else {
            return match insecure.value {
                true => IssuersConfig::Anybody,
                false => IssuersConfig::System,
            };
        };
        if insecure.value {
            self.problems.push(
                Problem::new(
                    insecure.span.clone(),
                    "`insecure` asks nobody for a certificate",
                )
                .also(ca.span.clone(), "and this file says whose to take")
                .help("take one of them out"),
            );
        }
        let file = self.folder.join(&ca.value);
        if let Err(error) = certificates::load_issuers(&file) {
            self.problem(&ca.span, error.to_string());
        }
        IssuersConfig::File(file)
    }

    fn own_pair(
        &mut self,
        table: &Located<ProxyTlsTable>,
        cert: Option<&Located<String>>,
        key: Option<&Located<String>>,
    ) -> Option<Pair> {
        match (cert, key) {
            (Some(cert), Some(key)) => Some(self.pair(cert, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                if table.clean {
                    self.problem(&table.span, "`cert` and `key` are of use only together");
                }
                None
            }
        }
    }

    fn pair(&mut self, cert: &Located<String>, key: &Located<String>) -> Pair {
        let pair = Pair {
            cert: self.folder.join(&cert.value),
            key: self.folder.join(&key.value),
        };
        if let Err(error) = certificates::load_pair(&pair) {
            let at = if error.is_of_key() { key } else { cert };
            self.problem(&at.span, error.to_string());
        }
        pair
    }

    fn files(&mut self, table: &Located<FilesTable>) -> Option<HandlerConfig> {
        for index in &table.value.index {
            if index.value.is_empty() || index.value.contains(['/', '\0']) {
                self.problem(&index.span, "an index is the name of one file");
            }
        }
        uploads::check(&table.value, &mut self.problems);
        if let Some(name) = &table.value.content_type
            && !may_be_sent("Content-Type", &name.value)
        {
            self.problem(&name.span, "this cannot stand in a field");
        }
        let Some(root) = &table.value.root else {
            if table.clean {
                self.problem(&table.span, "`files` needs a `root`");
            }
            return None;
        };
        if root.value.is_empty() || root.value.contains('\0') {
            self.problem(&root.span, "this is not the path of a folder");
        }
        let mut files = table.value.clone().into_config();
        files.root = self.folder.join(&root.value);
        files.candidates = self.candidates(&table.value.r#try);
        files.cache = self.cache(&table.value.cache);
        Some(HandlerConfig::Files(files))
    }

    fn candidates(&mut self, texts: &[Located<String>]) -> Vec<Candidate> {
        let parsed = texts.iter().map(|text| {
            let parsed: Result<_, InvalidCandidate> = text.value.parse();
            parsed
                .map_err(|invalid| self.problem(&text.span, invalid.to_string()))
                .ok()
        });
        parsed.collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    fn cache(&mut self, rules: &Names) -> CacheRules {
        let mut read = Vec::new();
        for (pattern, control) in rules {
            let parsed: Result<NamePattern, InvalidRule> = pattern.value.parse();
            let parsed = parsed.map_err(|invalid| self.problem(&pattern.span, invalid.to_string()));
            let value: Result<CacheControl, InvalidRule> = control.value.parse();
            let value = value.map_err(|invalid| self.problem(&control.span, invalid.to_string()));
            read.extend(parsed.ok().zip(value.ok()));
        }
        CacheRules::new(read)
    }

    fn redirect(&mut self, table: &Located<RedirectTable>) -> Option<HandlerConfig> {
        let status = &table.value.status;
        if !matches!(status.value, 301 | 302 | 303 | 307 | 308) {
            let problem = Problem::new(
                status.span.clone(),
                format!("{} is not the status of a redirect", status.value),
            );
            self.problems.push(problem.help(
                "301 and 302 may change the method, 303 makes it GET, 307 and 308 keep it; 301 and 308 are for good",
            ));
        }
        let Some(to) = &table.value.to else {
            if table.clean {
                self.problem(&table.span, "`redirect` needs a `to`");
            }
            return None;
        };
        match to.value.parse() {
            Ok(to) => Some(HandlerConfig::Redirect(RedirectConfig {
                to,
                status: status.value,
            })),
            Err(message) => {
                self.problem(&to.span, message);
                None
            }
        }
    }

    fn respond(&mut self, table: &Located<RespondTable>) -> Option<HandlerConfig> {
        let RespondTable {
            status,
            body,
            content_type,
        } = &table.value;
        if !(200..=599).contains(&status.value) {
            let message = format!("{} is not the status of a response", status.value);
            let problem = Problem::new(status.span.clone(), message);
            self.problems.push(problem.help("use 200 to 599"));
        }
        let no_body = status.value >= 200
            && !ResponseHead::may_have_body(status.value, dream_http::Method::Get);
        if no_body && !body.value.is_empty() {
            let message = format!("a response with status {} has no body", status.value);
            self.problem(&body.span, message);
        }
        let type_fits = Fields::new().append(Name::ContentType, content_type.value.as_bytes());
        if type_fits.is_err() {
            self.problem(&content_type.span, "this cannot stand in a field");
        }
        Some(HandlerConfig::Respond(RespondConfig {
            status: status.value,
            body: body.value.clone(),
            content_type: content_type.value.clone(),
        }))
    }

    /// What can be read now is checked now: a wrong file is reported where it is named.
    fn tls(&mut self, table: &Located<TlsTable>) -> TlsConfig {
        let TlsTable {
            cert,
            key,
            client_ca,
            client_optional,
        } = &table.value;
        if cert.len() != key.len() && table.clean {
            let message = format!(
                "there are {} certificates and {} keys",
                cert.len(),
                key.len()
            );
            self.problems.push(
                Problem::new(table.span.clone(), message)
                    .help("`cert` and `key` name as many files, in the same order"),
            );
        }
        let pairs = cert.iter().zip(key);
        let pairs = pairs.map(|(cert, key)| self.pair(cert, key)).collect();
        if *client_optional && client_ca.is_none() {
            let message = "`client_optional` without `client_ca`: no client is asked for anything";
            self.problem(&table.span, message.to_owned());
        }
        let clients = client_ca.as_ref().map(|ca| {
            let clients = ClientsConfig {
                ca: self.folder.join(&ca.value),
                optional: *client_optional,
            };
            if let Err(error) = certificates::load_policy(&clients) {
                self.problem(&ca.span, error.to_string());
            }
            clients
        });
        TlsConfig { pairs, clients }
    }

    /// What is compressed; by default everything that is worth it.
    fn compress(&mut self, table: Option<&Located<CompressTable>>) -> Option<CompressOptions> {
        let Some(table) = table else {
            return Some(CompressOptions::default());
        };
        let CompressTable {
            enabled,
            codings,
            min_size,
            types,
        } = &table.value;
        if codings.value.is_empty() && codings.clean {
            self.problems.push(
                Problem::new(codings.span.clone(), "no coding is named")
                    .help("to switch compression off, write `compress = false`"),
            );
        }
        enabled.then(|| CompressOptions {
            codings: codings.value.clone(),
            min_size: *min_size,
            types: types.iter().map(|name| name.value.clone()).collect(),
        })
    }

    fn headers(&mut self, headers: &HeadersTable) -> HeaderEdits {
        HeaderEdits {
            request: self.edits(Direction::Request, &headers.request),
            response: self.edits(Direction::Response, &headers.response),
        }
    }

    fn edits(&mut self, direction: Direction, table: &FieldsTable) -> FieldEdits {
        for name in &table.remove {
            self.check_edit(direction, Verb::Remove, name, "");
        }
        for (name, value) in &table.set {
            self.check_edit(direction, Verb::Set, name, &value.value);
        }
        for (name, value) in &table.add {
            self.check_edit(direction, Verb::Add, name, &value.value);
        }
        let pairs = |names: &Names| {
            names
                .iter()
                .map(|(name, value)| (name.value.clone(), value.value.clone()))
                .collect()
        };
        FieldEdits {
            remove: table.remove.iter().map(|name| name.value.clone()).collect(),
            set: pairs(&table.set),
            add: pairs(&table.add),
        }
    }

    /// Lets the middleware itself say what can be, so that start and check cannot disagree.
    fn check_edit(
        &mut self,
        direction: Direction,
        verb: Verb,
        name: &Located<String>,
        value: &str,
    ) {
        if let Err(invalid) = Edit::new(direction, verb, &name.value, value) {
            self.problem(&name.span, invalid.to_string());
        }
    }

    fn check_field(&mut self, name: &Located<String>, value: &Located<String>) {
        if !may_be_sent(&name.value, &value.value) {
            self.problem(&name.span, NOT_A_FIELD);
        }
    }

    /// Lets the router itself say what clashes, so that start and check cannot disagree.
    fn check_conflicts(&mut self, sites: &[Site], places: &[SitePlace]) {
        let routes = |site: &Site| {
            let matchers = site.routes.iter().map(|route| (route.matcher.clone(), ()));
            SiteRoutes {
                hosts: site.hosts.clone(),
                routes: matchers.collect(),
            }
        };
        let conflicts = Table::build(sites.iter().map(routes).collect())
            .err()
            .unwrap_or_default();
        for conflict in conflicts {
            self.problems.push(explain(&conflict, sites, places));
        }
    }

    fn problem(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::new(span.clone(), message));
    }
}

/// Puts the pages of the site, and over them those that are the route's own, at the front of its chain: there they see the errors of
/// all that stands behind. An answer that is spelled out is nobody's error.
fn place_error_pages(route: &mut RouteConfig, site: Option<&ErrorPagesConfig>) {
    let mut own = None;
    route.chain.retain(|middleware| match middleware {
        MiddlewareConfig::ErrorPages(pages) => {
            own = Some(pages.clone());
            false
        }
        _ => true,
    });
    let is_spelled_out =
        matches!(&route.handler, HandlerConfig::Respond(text) if !text.body.is_empty());
    let pages = errors::with_defaults(own, site).filter(|_| !is_spelled_out);
    route
        .chain
        .splice(..0, pages.map(MiddlewareConfig::ErrorPages));
}

/// Where the parts of a site stand in the file.
#[derive(Default)]
struct SitePlace {
    hosts: Vec<Range<usize>>,
    routes: Vec<Range<usize>>,
}

fn explain(conflict: &Conflict, sites: &[Site], places: &[SitePlace]) -> Problem {
    match conflict {
        Conflict::Host {
            host,
            first,
            second,
        } => {
            let span = |site: usize| {
                let place = sites[site].hosts.iter().position(|other| other == host);
                places[site].hosts[place.unwrap_or_default()].clone()
            };
            Problem::new(span(*second), format!("two sites answer for `{host}`"))
                .also(span(*first), "the first one")
                .help("put their routes into one site")
        }
        Conflict::Route {
            site,
            first,
            second,
        } => {
            let path = &sites[*site].routes[*second].matcher.path;
            let span = |route: &usize| places[*site].routes[*route].clone();
            Problem::new(
                span(second),
                format!("two routes match the same requests to `{path}`"),
            )
            .also(span(first), "the first one")
            .help("give them different paths, methods or fields")
        }
    }
}

impl FileTable {
    /// All but the sites, which take checks.
    pub(super) fn into_config(self) -> Config {
        Config {
            // In a file a value stands behind its key; the default is a text of its own.
            chose_listen: self.listen.addresses.span.start > 0,
            listen: self.listen.addresses.value,
            listen_tls: self.listen.tls.map(|addresses| addresses.value),
            control: self.control.into_options(),
            acme: super::AcmeOptions::default(),
            chose_acme: false,
            chose_sites: false,
            trusted_proxies: self.listen.trusted_proxies,
            limits: self.limits,
            timeouts: self.timeouts,
            log: self.log.into_options(),
            sites: Vec::new(),
            exposed: None,
            not_found: None,
        }
    }
}

impl ControlTable {
    fn into_options(self) -> ControlOptions {
        ControlOptions {
            enabled: self.enabled,
            owners: self.owners.map(|owners| owners.value),
            hosts: self.hosts,
        }
    }
}

impl LogTable {
    fn into_options(self) -> LogOptions {
        LogOptions {
            access: match self.access.value {
                AccessTarget::Off => AccessLog::Off,
                AccessTarget::Stdout => AccessLog::Stdout,
                AccessTarget::UsualFile => AccessLog::File(PathBuf::from(USUAL_LOG)),
                AccessTarget::File(path) => AccessLog::File(PathBuf::from(path)),
            },
            format: self.format,
            query: self.query,
            connections: self.connections,
            max_size: self.max_size.value,
            level: self.level,
        }
    }
}

impl FilesTable {
    pub(super) fn into_config(self) -> FilesConfig {
        FilesConfig {
            content_type: self.content_type.as_ref().map(|name| name.value.clone()),
            browse: self.browse,
            upload: uploads::options(&self),
            root: self.root.map(|root| root.value).unwrap_or_default().into(),
            index: self.index.into_iter().map(|name| name.value).collect(),
            hidden: self.hidden,
            candidates: Vec::new(),
            cache: CacheRules::default(),
            tag_of: self.etag,
        }
    }
}

impl SiteTable {
    /// What the site itself says, as its route `/*`.
    fn own_route(&self) -> RouteTable {
        RouteTable {
            proxy: self.proxy.clone(),
            files: self.files.clone(),
            redirect: self.redirect.clone(),
            respond: self.respond.clone(),
            demo: self.demo.clone(),
            ..RouteTable::default()
        }
    }
}

impl RouteTable {
    /// The handlers that are written, and where; a route should have one.
    fn handlers(&self) -> impl Iterator<Item = (&'static str, &Range<usize>)> {
        let proxy = self.proxy.as_ref().map(|option| &option.span);
        let files = self.files.as_ref().map(|option| &option.span);
        let redirect = self.redirect.as_ref().map(|option| &option.span);
        let respond = self.respond.as_ref().map(|option| &option.span);
        let demo = self.demo.as_ref().map(|option| &option.span);
        [
            ("proxy", proxy),
            ("files", files),
            ("redirect", redirect),
            ("respond", respond),
            ("demo", demo),
        ]
        .into_iter()
        .filter_map(|(name, span)| Some((name, span?)))
    }

    /// The route with what its site says where it says nothing itself.
    fn with_defaults_of(&self, site: &SiteTable) -> RouteTable {
        let follow = self.follow_redirects.as_ref();
        let rewrite = self.rewrite_redirects.as_ref();
        let upgrade = self.upgrade.as_ref();
        let tls = self.proxy_tls.as_ref();
        RouteTable {
            follow_redirects: follow.or(site.follow_redirects.as_ref()).cloned(),
            rewrite_redirects: rewrite.or(site.rewrite_redirects.as_ref()).cloned(),
            upgrade: upgrade.or(site.upgrade.as_ref()).cloned(),
            proxy_tls: tls.or(site.proxy_tls.as_ref()).cloned(),
            ..RouteTable::default()
        }
    }

    /// How its proxy behaves, without the endpoints.
    pub(super) fn proxy_config(&self) -> ProxyConfig {
        let value = |option: &Option<Located<bool>>| option.as_ref().map(|option| option.value);
        let upgrade = self.upgrade.as_ref().map(|option| option.value.as_slice());
        ProxyConfig {
            endpoints: Vec::new(),
            tls: EndpointTls::default(),
            follow_redirects: value(&self.follow_redirects).unwrap_or(false),
            rewrite_redirects: value(&self.rewrite_redirects).unwrap_or(true),
            upgrade: match upgrade {
                Some(names) => names.iter().map(|name| name.to_lowercase()).collect(),
                None => vec!["websocket".to_owned()],
            },
        }
    }
}

fn is_secure(endpoint: &&EndpointAddress) -> bool {
    endpoint.scheme() == Scheme::Https
}

/// May the field be sent (RFC 9110 §5)?
fn may_be_sent(name: &str, value: &str) -> bool {
    Fields::new()
        .append_text(name.as_bytes(), value.as_bytes())
        .is_ok()
}

const NOT_A_FIELD: &str = "this is not a field: a name is made of letters, digits and hyphens, a value has no control characters";

/// Where the access log goes if it is only switched on.
const USUAL_LOG: &str = "/var/log/dreamserver/access.log";
