//! Which handler answers which request.

use super::function::Function;
use crate::coding::CompressOptions;
use crate::config::{
    FilesConfig, HandlerConfig, MiddlewareConfig, Own, ProxyConfig, RouteConfig, Strip,
};
use crate::exchange::{Request, Response};
use crate::middleware;
use crate::router::{Matcher, MethodSet, PathPattern};
use std::path::PathBuf;
use std::sync::Arc;

/// Handlers, and the requests that they are for. The most specific path wins, in whatever order they were added.
///
/// A pattern is a path, and before it the methods that are taken, such as `GET /users/{id}`, `PUT,DELETE /users/{id}` or
/// `/static/*`. GET includes HEAD; without a method all are taken. `{name}` stands for one segment, which
/// [`Request::value`] gives; `*` at the end for all that is below. A request whose path has handlers, but none for its method,
/// gets 405 with `Allow`.
///
/// What is wrong with a pattern, and two patterns that would both take the same request, are told when the server starts.
#[derive(Default)]
pub struct Mux {
    pub(super) routes: Vec<RouteConfig>,
    pub(super) not_found: Option<RouteConfig>,
    pub(super) problems: Vec<String>,
    chain: Vec<MiddlewareConfig>,
}

impl Mux {
    /// No handlers: everything gets 404.
    pub fn new() -> Mux {
        Mux::default()
    }

    /// Has `handler` answer the requests of `pattern`.
    ///
    /// It is shared by all cores, so it keeps no state of an exchange. It must not block the thread, which serves a whole core; what it
    /// waits for, it awaits. When the client goes away before there is an answer, the future is dropped.
    ///
    /// The body of the request may be read whole ([`Request::read_body`]), in pieces ([`Request::read_pieces`]), taken away, or left: what
    /// nobody reads is discarded. The body of the response may be made while it is sent
    /// ([`Body::from_source`](crate::Body::from_source)). Framing, Date and connection fields are not the handler's work; neither is the
    /// answer to HEAD, which is that to GET without its body.
    ///
    /// ```
    /// use dreamserver::{Mux, Request, Response, error};
    ///
    /// let mut mux = Mux::new();
    /// // Says what it was told, as long as that is short.
    /// mux.handle("POST /echo", async |request: &mut Request| {
    ///     match request.read_body(64 * 1024).await {
    ///         Ok(body) => Response::new(200).with_body(body),
    ///         Err(wrong) => error::body(&wrong, request),
    ///     }
    /// });
    /// ```
    pub fn handle<F, R>(&mut self, pattern: &str, handler: F) -> &mut Mux
    where
        F: AsyncFn(&mut Request) -> R + Send + Sync + 'static,
        R: Into<Response> + 'static,
    {
        self.add(pattern, |path| {
            let function = Function {
                pattern: path.clone(),
                function: handler,
            };
            HandlerConfig::Custom(Own::new(Arc::new(function)))
        })
    }

    /// Serves the files of `folder` below `pattern`, such as `/static/*`: `/static/a.css` is the file `a.css`.
    pub fn files(&mut self, pattern: &str, folder: impl Into<PathBuf>) -> &mut Mux {
        self.add(pattern, |_| HandlerConfig::Files(FilesConfig::of(folder)))
            .strip()
    }

    /// Passes the requests of `pattern` on to `endpoint`, such as `localhost:5665`, with their paths as they are.
    pub fn proxy(&mut self, pattern: &str, endpoint: &str) -> &mut Mux {
        match endpoint.parse() {
            Ok(endpoint) => self.add(pattern, |_| {
                HandlerConfig::Proxy(ProxyConfig::to(vec![endpoint]))
            }),
            Err(wrong) => self.problem(format!("the endpoint `{endpoint}`: {wrong}")),
        }
    }

    /// Puts `middleware` before all handlers that are added from now on, behind those that are there already.
    pub fn wrap(&mut self, middleware: impl middleware::Custom + 'static) -> &mut Mux {
        let middleware = Own::new(Arc::new(middleware) as Arc<dyn middleware::Custom>);
        self.chain.push(MiddlewareConfig::Custom(middleware));
        self
    }

    /// Makes answers of the handlers that are added from now on smaller, for clients that take them so: text and the like, in zstd,
    /// brotli or gzip (RFC 9110 §12.5.3). It stands before all other middleware.
    ///
    /// Not for pages that hold a secret beside what a stranger may choose: the length of a compressed page tells of its parts.
    pub fn compress(&mut self) -> &mut Mux {
        let compress = MiddlewareConfig::Compress(CompressOptions::default());
        self.chain.insert(0, compress);
        self
    }

    /// Has `handler` answer what nothing else is for, in place of the page that says 404.
    pub fn not_found<F, R>(&mut self, handler: F) -> &mut Mux
    where
        F: AsyncFn(&mut Request) -> R + Send + Sync + 'static,
        R: Into<Response> + 'static,
    {
        let matcher = Matcher::path(PathPattern::all());
        let function = Function {
            pattern: PathPattern::all(),
            function: handler,
        };
        let handler = HandlerConfig::Custom(Own::new(Arc::new(function)));
        self.not_found = Some(self.route(matcher, handler));
        self
    }

    fn add(
        &mut self,
        pattern: &str,
        handler: impl FnOnce(&PathPattern) -> HandlerConfig,
    ) -> &mut Mux {
        match read(pattern) {
            Ok(matcher) => {
                let handler = handler(&matcher.path);
                let route = self.route(matcher, handler);
                self.routes.push(route);
                self
            }
            Err(wrong) => self.problem(format!("the pattern `{pattern}`: {wrong}")),
        }
    }

    fn route(&self, matcher: Matcher, handler: HandlerConfig) -> RouteConfig {
        RouteConfig {
            matcher,
            strip: None,
            max_body: None,
            chain: self.chain.clone(),
            handler,
        }
    }

    /// Takes what is fixed of the path of the last route away.
    fn strip(&mut self) -> &mut Mux {
        if let Some(route) = self.routes.last_mut() {
            route.strip = Strip::before(&route.matcher.path);
        }
        self
    }

    fn problem(&mut self, problem: String) -> &mut Mux {
        self.problems.push(problem);
        self
    }
}

/// What a pattern matches, or what is wrong with it.
fn read(pattern: &str) -> Result<Matcher, String> {
    let (methods, path) = match pattern.split_once(' ') {
        Some((methods, path)) => (Some(methods), path.trim_start()),
        None => (None, pattern),
    };
    let path = path.parse::<PathPattern>();
    let path = path.map_err(|wrong| format!("{}: {}", wrong.message, wrong.help))?;
    let mut set = MethodSet::EMPTY;
    for name in methods.into_iter().flat_map(|methods| methods.split(',')) {
        let method = MethodSet::method(name);
        set = set.with(method.ok_or(format!("there is no method `{name}`; they are in capitals"))?);
    }
    Ok(Matcher {
        methods: (!set.is_empty()).then_some(set),
        ..Matcher::path(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_methods_and_a_path() {
        for (pattern, methods, path) in [
            ("GET /a/{b}", Some("GET, HEAD"), "/a/{b}"),
            ("PUT,DELETE /a", Some("PUT, DELETE"), "/a"),
            ("/a/*", None, "/a/*"),
        ] {
            let matcher = read(pattern).unwrap();
            assert_eq!(matcher.path.to_string(), path);
            assert_eq!(
                matcher
                    .methods
                    .map(|methods| methods.to_string())
                    .as_deref(),
                methods
            );
        }
        for wrong in [
            "",
            "GET",
            "get /",
            "GET a",
            "GET,/ /",
            "/a*",
            "/{",
            "GET  POST /",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
