//! What gives the answer to a request: files, a proxy, a redirect, or fixed text.

pub mod files;
pub mod fixed;
pub mod proxy;

use crate::exchange::{Request, Response};
use crate::upstream::Pools;
use ipnet::IpNet;
use std::rc::Rc;

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
            Handler::Files(files) => {
                let path = stripped(request.head.path(), strip);
                files.answer(&state.files, request, path).await
            }
            Handler::Proxy(proxy) => {
                if strip > 0 {
                    let path = stripped(request.head.path(), strip).to_vec();
                    let query = request.head.query().map(<[u8]>::to_vec);
                    request.head.set_path(&path, query.as_deref());
                }
                proxy.answer(&state.pools, trusted, request).await
            }
            Handler::Redirect(redirect) => redirect.answer(request),
            Handler::Respond(respond) => respond.answer(request),
        }
    }

    /// The operator's own page for a request that is not valid, if there is one.
    pub async fn bad_request(&self, state: &State) -> Option<Response> {
        match self {
            Handler::Files(files) => files.bad_request(&state.files).await,
            Handler::Proxy(_) | Handler::Redirect(_) | Handler::Respond(_) => None,
        }
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
