//! What gives the answer to a request: files, a proxy, a redirect, fixed text, or a handler of the toolbox.

mod custom;
pub mod demo;
pub mod files;
pub mod fixed;
pub mod proxy;

pub use custom::{Answering, Custom};

use crate::exchange::{Body, Request, Response};
use crate::upstream::Pools;
use dream_http::Method;
use ipnet::IpNet;
use std::rc::Rc;
use std::sync::Arc;

/// The end of a route.
pub enum Handler {
    /// A folder of files.
    Files(files::Files),
    /// Endpoints.
    Proxy(proxy::Proxy),
    /// Another address for the client to go to.
    Redirect(fixed::Redirect),
    /// Fixed text.
    Respond(fixed::Respond),
    /// One of the toolbox.
    Demo(demo::Demo),
    /// Somebody else's.
    Custom(Arc<dyn Custom>),
}

/// What a core holds for its handlers.
pub struct State {
    /// Hot small files.
    pub files: files::Store,
    /// Connections to endpoints.
    pub pools: Rc<Pools>,
}

impl Handler {
    /// Answers `request`; files and endpoints do not see the first `strip` bytes of its path.
    pub async fn answer(
        &self,
        state: &State,
        trusted: &[IpNet],
        request: &mut Request,
        strip: usize,
    ) -> Response {
        match self {
            Handler::Files(files) if files.changes_by(request.head.method) => {
                let path = stripped(request.head.path(), strip).to_vec();
                // Boxed, as it is rare and large: the memory of a connection is that of its largest wait.
                Box::pin(files.change(request, &path)).await
            }
            Handler::Files(files) => {
                let path = stripped(request.head.path(), strip);
                files.answer(&state.files, request, path).await
            }
            Handler::Proxy(proxy) => {
                strip_path(request, strip);
                proxy.answer(&state.pools, trusted, request).await
            }
            Handler::Redirect(redirect) => redirect.answer(request),
            Handler::Respond(respond) => respond.answer(request),
            Handler::Demo(demo) => {
                // Boxed, as the memory of a connection is that of its largest wait.
                let mut response = Box::pin(demo.answer(request, strip)).await;
                measure_for_head(request, &mut response);
                response
            }
            Handler::Custom(custom) => {
                strip_path(request, strip);
                let mut response = custom.answer(request).await;
                measure_for_head(request, &mut response);
                response
            }
        }
    }

    /// The operator's own page for a request that is not valid, if there is one.
    pub async fn bad_request(&self, state: &State) -> Option<Response> {
        match self {
            Handler::Files(files) => files.bad_request(&state.files).await,
            Handler::Proxy(_)
            | Handler::Redirect(_)
            | Handler::Respond(_)
            | Handler::Demo(_)
            | Handler::Custom(_) => None,
        }
    }
}

/// The answer to HEAD tells the length of the body that GET would bring (RFC 9110 §9.3.2).
fn measure_for_head(request: &Request, response: &mut Response) {
    let head = &mut response.head;
    let is_measured = head.content_length.is_some() || matches!(response.body, Body::Empty);
    if request.head.method == Method::Head && !is_measured {
        head.content_length = response.body.len();
    }
}

/// Takes the first `strip` bytes from the path of a request.
fn strip_path(request: &mut Request, strip: usize) {
    if strip > 0 {
        let path = stripped(request.head.path(), strip).to_vec();
        let query = request.head.query().map(<[u8]>::to_vec);
        request.head.set_path(&path, query.as_deref());
    }
}

/// The path without its first `strip` bytes, which end where a segment ends.
fn stripped(path: &[u8], strip: usize) -> &[u8] {
    match path.get(strip..) {
        Some([]) => b"/",
        Some(rest @ [b'/', ..]) => rest,
        _ => path,
    }
}
