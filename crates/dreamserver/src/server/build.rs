//! From the configuration to what the cores serve by.

use crate::address::EndpointAddress;
use crate::certificates::{TrustError, Trusts, policy_id};
use crate::coding::CompressOptions;
use crate::config::{
    AccessLog, Config, ErrorPagesConfig, FieldEdits, HandlerConfig, LogFormat, LogLevel,
    MiddlewareConfig, ProxyConfig, RouteConfig, Site, Strip, UploadConfig, read_error_page,
};
use crate::handler::proxy::{self, Proxy};
use crate::handler::{Handler, files, fixed};
use crate::limits::Limits;
use crate::log;
use crate::middleware::{
    Clients, Compress, Edits, ErrorPages, Headers, HeadersOptions, InvalidEdit, Middleware,
    Statuses,
};
use crate::router::{Conflict, Matcher, PathPattern, SiteRoutes, Table};
use crate::serve::{Route, Snapshot};
use crate::upstream::{Reach, Registry, Upstream};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::level_filters::LevelFilter;

/// What the configuration's own checks let through and yet cannot be built.
#[derive(Debug)]
pub(super) enum BuildError {
    /// Two sites or routes would answer the same request.
    Conflicts(Vec<Conflict>),
    /// A field that may not be changed.
    Edit(InvalidEdit),
    /// An endpoint cannot be spoken to over TLS.
    Trust(TrustError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Conflicts(conflicts) => {
                write!(
                    f,
                    "sites or routes that answer the same requests: {conflicts:?}"
                )
            }
            BuildError::Edit(error) => error.fmt(f),
            BuildError::Trust(error) => error.fmt(f),
        }
    }
}

/// What routes use and the next configuration's routes go on to use.
pub(super) struct Lasting {
    pub(super) registry: Registry,
    /// What handshakes with endpoints go by.
    pub(super) trusts: Trusts,
    /// Compressed versions of files.
    pub(super) kept: Arc<files::Kept>,
}

impl Lasting {
    /// Nothing yet, within these limits.
    pub(super) fn new(limits: &Limits) -> Lasting {
        Lasting {
            registry: Registry::default(),
            trusts: Trusts::default(),
            kept: files::Kept::new(limits.compressed_store),
        }
    }
}

/// What the cores serve by.
///
/// # Errors
/// [`BuildError`], all of which the configuration should have found before.
pub(super) fn snapshot(config: &Config, lasting: &mut Lasting) -> Result<Snapshot, BuildError> {
    let mut builder = Builder {
        limits: &config.limits,
        lasting,
        built: HashMap::new(),
    };
    let sites = config.sites.iter().map(|site| builder.site(site));
    let sites = sites.collect::<Result<_, _>>()?;
    let not_found = config.not_found.as_ref();
    Ok(Snapshot {
        not_found: not_found.map(|route| builder.route(route)).transpose()?,
        table: Table::build(sites).map_err(BuildError::Conflicts)?,
        pages: site_pages(config)?,
        limits: config.limits.clone(),
        timeouts: config.timeouts.clone(),
        trusted: config.trusted_proxies.clone(),
    })
}

/// The level of server events.
pub(super) fn level(config: &Config) -> LevelFilter {
    match config.log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Where the log is found.
pub(super) fn log_place(config: &Config) -> log::Place {
    log::Place::of(&log(config).target)
}

/// Where access lines go.
pub(super) fn log(config: &Config) -> log::Options {
    log::Options {
        target: match &config.log.access {
            AccessLog::Off => log::Target::Off,
            AccessLog::Stdout => log::Target::Stdout,
            AccessLog::File(path) => log::Target::File(path.clone()),
        },
        format: match config.log.format {
            LogFormat::Text => log::Format::Text,
            LogFormat::Json => log::Format::Json,
        },
        query: config.log.query,
        connections: config.log.connections,
        max_size: config.log.max_size,
    }
}

/// A dynamic route, that of an announced name: it does what a site with `proxy` and nothing else does.
pub(super) fn dynamic_route(target: &EndpointAddress, registry: &Registry) -> Route {
    let options = ProxyConfig::to(vec![target.clone()]);
    let reach = Reach {
        address: target.clone(),
        trust: None,
    };
    let compress = Compress::new(CompressOptions::default());
    Route {
        strip: 0,
        chain: vec![Middleware::Compress(compress)],
        handler: Handler::Proxy(proxy(&options, None, registry.upstream(&[reach]))),
    }
}

/// Builds routes. Those that do the same are one: a hundred thousand of them would not stay in the processor's caches.
struct Builder<'a> {
    limits: &'a Limits,
    lasting: &'a mut Lasting,
    built: HashMap<Deeds<'a>, Arc<Route>>,
}

/// What a route does, whatever it is for.
#[derive(PartialEq, Eq, Hash)]
struct Deeds<'a> {
    strip: Option<&'a Strip>,
    max_body: Option<u64>,
    chain: &'a [MiddlewareConfig],
    handler: &'a HandlerConfig,
}

impl<'a> Builder<'a> {
    fn site(&mut self, site: &'a Site) -> Result<SiteRoutes<Arc<Route>>, BuildError> {
        let routes = site.routes.iter();
        let routes = routes.map(|route| Ok((route.matcher.clone(), self.route(route)?)));
        Ok(SiteRoutes {
            hosts: site.hosts.clone(),
            routes: routes.collect::<Result<_, _>>()?,
        })
    }

    fn route(&mut self, route: &'a RouteConfig) -> Result<Arc<Route>, BuildError> {
        let deeds = Deeds {
            strip: route.strip.as_ref(),
            max_body: route.max_body,
            chain: &route.chain,
            handler: &route.handler,
        };
        if let Some(built) = self.built.get(&deeds) {
            return Ok(built.clone());
        }
        let chain = route.chain.iter().map(middleware);
        let built = Arc::new(Route {
            strip: deeds.strip.map_or(0, |strip| strip.as_str().len()),
            chain: chain.collect::<Result<_, _>>()?,
            handler: self.handler(route)?,
        });
        self.built.insert(deeds, built.clone());
        Ok(built)
    }

    fn handler(&mut self, route: &RouteConfig) -> Result<Handler, BuildError> {
        Ok(match &route.handler {
            HandlerConfig::Files(options) => Handler::Files(files::Files::new(files::Options {
                root: options.root.clone(),
                index: options.index.clone(),
                hidden: options.hidden,
                candidates: options.candidates.clone(),
                cache: options.cache.clone(),
                tag_of: options.tag_of,
                content_type: options.content_type.clone(),
                browse: options.browse,
                upload: options
                    .upload
                    .as_ref()
                    .map(|upload| self.upload(upload, route)),
                versions: self.versions(&route.chain),
            })),
            HandlerConfig::Proxy(options) => {
                let upstream = self.upstream(options).map_err(BuildError::Trust)?;
                Handler::Proxy(proxy(options, route.max_body, upstream))
            }
            HandlerConfig::Redirect(redirect) => {
                Handler::Redirect(fixed::Redirect::new(redirect.to.clone(), redirect.status))
            }
            HandlerConfig::Respond(respond) => Handler::Respond(fixed::Respond::new(
                respond.status,
                respond.body.clone(),
                respond.content_type.clone(),
            )),
            HandlerConfig::Demo(demo) => Handler::Demo(*demo),
            HandlerConfig::Custom(own) => Handler::Custom(own.share()),
        })
    }

    fn upload(&self, options: &UploadConfig, route: &RouteConfig) -> files::UploadOptions {
        let others = [route.max_body, self.limits.max_body].into_iter().flatten();
        files::UploadOptions {
            max_body: others.fold(options.max_body, u64::min),
            max_total: options.max_total,
            delete: options.delete,
        }
    }

    /// Which compressed versions a folder's files have, where their route compresses.
    fn versions(&self, chain: &[MiddlewareConfig]) -> Option<files::Versions> {
        let options = chain.iter().find_map(|middleware| match middleware {
            MiddlewareConfig::Compress(options) => Some(options),
            _ => None,
        })?;
        Some(files::Versions {
            options: options.clone(),
            kept: Arc::clone(&self.lasting.kept),
        })
    }

    fn upstream(&mut self, options: &ProxyConfig) -> Result<Upstream, TrustError> {
        let endpoints = options.endpoints.iter();
        let members = endpoints.map(|address| self.lasting.trusts.reach(address, &options.tls));
        let members: Vec<Reach> = members.collect::<Result<_, _>>()?;
        Ok(self.lasting.registry.upstream(&members))
    }
}

fn middleware(config: &MiddlewareConfig) -> Result<Middleware, BuildError> {
    match config {
        MiddlewareConfig::Headers(edits) => Headers::new(&HeadersOptions {
            request: field_edits(&edits.request),
            response: field_edits(&edits.response),
        })
        .map(Middleware::Headers)
        .map_err(BuildError::Edit),
        MiddlewareConfig::Compress(options) => {
            Ok(Middleware::Compress(Compress::new(options.clone())))
        }
        MiddlewareConfig::Custom(own) => Ok(Middleware::Custom(own.share())),
        MiddlewareConfig::Clients(clients) => {
            Ok(Middleware::Clients(Clients::new(policy_id(clients))))
        }
        MiddlewareConfig::ErrorPages(pages) => Ok(Middleware::ErrorPages(error_pages(pages))),
    }
}

/// The pages of each site that has some, for all of its requests.
fn site_pages(config: &Config) -> Result<Option<Table<Arc<ErrorPages>>>, BuildError> {
    let sites = config.sites.iter().filter_map(|site| {
        let pages = error_pages(site.errors.as_ref()?);
        Some(SiteRoutes {
            hosts: site.hosts.clone(),
            routes: vec![(Matcher::path(PathPattern::all()), pages)],
        })
    });
    let sites: Vec<_> = sites.collect();
    if sites.is_empty() {
        return Ok(None);
    }
    let table = Table::build(sites).map_err(BuildError::Conflicts)?;
    Ok(Some(table))
}

/// A page that went missing since it was checked is the built-in one.
fn error_pages(config: &ErrorPagesConfig) -> Arc<ErrorPages> {
    let read = |(statuses, path): &(Statuses, PathBuf)| match read_error_page(path) {
        Ok(page) => Some((*statuses, page)),
        Err(error) => {
            tracing::warn!(%statuses, path = %path.display(), %error, "an error page cannot be read");
            None
        }
    };
    Arc::new(ErrorPages::new(
        config.pages.iter().filter_map(read).collect(),
    ))
}

fn field_edits(edits: &FieldEdits) -> Edits {
    Edits {
        set: edits.set.clone(),
        add: edits.add.clone(),
        remove: edits.remove.clone(),
    }
}

fn proxy(options: &ProxyConfig, max_body: Option<u64>, upstream: Upstream) -> Proxy {
    Proxy::new(proxy::Options {
        upstream,
        rewrite_redirects: options.rewrite_redirects,
        follow_redirects: options.follow_redirects,
        upgrade: options.upgrade.clone(),
        max_body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Found;
    use dream_http::{Fields, Method};

    #[test]
    fn routes_that_do_the_same_are_one() {
        let text = r#"
            [sites."a.example"]
            proxy = "localhost:4000"
            [sites."b.example"]
            proxy = "localhost:4000"
            [sites."c.example"]
            proxy = "localhost:4001"
        "#;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dreamserver.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let built = snapshot(&config, &mut Lasting::new(&config.limits));
        let built = built.unwrap_or_else(|_| panic!("it is fine"));
        let route =
            |host: &[u8]| match built
                .table
                .find(host, b"/", Method::Get, &Fields::default())
            {
                Found::Route(route) => route.clone(),
                _ => panic!("each site has a route"),
            };
        assert!(Arc::ptr_eq(&route(b"a.example"), &route(b"b.example")));
        assert!(!Arc::ptr_eq(&route(b"a.example"), &route(b"c.example")));
    }
}
