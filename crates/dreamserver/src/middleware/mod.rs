//! What a request passes between the router and the handler, and its response on the way back.
//!
//! Each middleware has two methods, one for each direction. The built-in ones are variants of one narrow enum,
//! so that the usual chain is walked without boxes; [`Custom`] is the door for everybody else's.

mod clients;
mod compress;
mod error_pages;
mod headers;

use std::sync::Arc;

use crate::exchange::{Request, Response};

pub use clients::Clients;
pub use compress::Compress;
pub use error_pages::{ErrorPage, ErrorPages, InvalidStatuses, Statuses};
pub use headers::{Direction, Edit, Edits, Headers, HeadersOptions, InvalidEdit, Verb};

/// One station of a route's chain. Shared by all cores, so it keeps no state of an exchange.
#[derive(Clone)]
pub enum Middleware {
    /// Sets, adds and removes fields.
    Headers(Headers),
    /// Lets nobody in who was not asked for a certificate.
    Clients(Clients),
    /// Shows the operator's own pages for errors.
    ErrorPages(Arc<ErrorPages>),
    /// Makes bodies smaller for clients that take them so.
    Compress(Compress),
    /// Somebody else's.
    Custom(Arc<dyn Custom>),
}

/// Where a request goes after a middleware saw it.
#[derive(Default)]
pub enum Flow {
    /// To the next middleware, or the handler.
    #[default]
    Continue,
    /// Back: this is the response, and whoever is behind this middleware does not see the exchange.
    Answer(Box<Response>),
}

/// A middleware of a program that uses the library: what stands between the requests and the handlers that are added to a
/// [`Mux`](crate::Mux) behind it ([`Mux::wrap`](crate::Mux::wrap)).
///
/// One is shared by all cores, so it keeps no state of an exchange. Neither method may block the thread, which serves a whole core.
/// [`on_response`](Custom::on_response) runs for exactly those whose [`on_request`](Custom::on_request) has run, in reverse order; the one
/// that answered is among them.
///
/// ```
/// use dreamserver::{Flow, Middleware, Mux, Name, Request, Response};
///
/// /// Lets in who knows the word.
/// struct Door;
///
/// impl Middleware for Door {
///     fn on_request(&self, request: &mut Request) -> Flow {
///         match request.head.fields.get(Name::Authorization) {
///             Some(b"Bearer sesame") => Flow::Continue,
///             _ => Flow::Answer(Box::new(Response::text("Who are you?\n").with_status(403))),
///         }
///     }
/// }
///
/// let mut mux = Mux::new();
/// mux.handle("/", async |_: &mut Request| "Anybody reads this.\n");
/// mux.wrap(Door);
/// mux.handle("/treasure", async |_: &mut Request| "Gold!\n");
/// ```
pub trait Custom: Send + Sync {
    /// Sees the request on its way in, and may change or answer it.
    fn on_request(&self, request: &mut Request) -> Flow {
        let _ = request;
        Flow::Continue
    }

    /// Sees the response on its way out, and may change it. `request` is as the handler left it.
    fn on_response(&self, request: &Request, response: &mut Response) {
        let _ = (request, response);
    }
}

impl Middleware {
    /// On the way in.
    pub fn on_request(&self, request: &mut Request) -> Flow {
        match self {
            Middleware::Headers(headers) => headers.on_request(request),
            Middleware::Clients(clients) => clients.on_request(request),
            Middleware::ErrorPages(_) => Flow::Continue,
            Middleware::Compress(compress) => compress.on_request(request),
            Middleware::Custom(custom) => custom.on_request(request),
        }
    }

    /// On the way out.
    pub fn on_response(&self, request: &Request, response: &mut Response) {
        match self {
            Middleware::Headers(headers) => headers.on_response(response),
            Middleware::Clients(_) => {}
            Middleware::ErrorPages(pages) => pages.dress(request, response),
            Middleware::Compress(compress) => compress.on_response(request, response),
            Middleware::Custom(custom) => custom.on_response(request, response),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dream_http::{Name, RequestHead};

    /// Lets in who names the door.
    struct Door;

    impl Custom for Door {
        fn on_request(&self, request: &mut Request) -> Flow {
            match request.head.fields.get(Name::Authorization) {
                Some(b"sesame") => Flow::Continue,
                _ => Flow::Answer(Box::new(Response::new(401))),
            }
        }

        fn on_response(&self, _: &Request, response: &mut Response) {
            response.head.set_status(202);
        }
    }

    #[test]
    fn a_custom_one_answers_or_lets_pass_and_sees_the_response() {
        let door = Middleware::Custom(Arc::new(Door));
        let mut request = Request::of_nobody(RequestHead::new());
        let Flow::Answer(answer) = door.on_request(&mut request) else {
            panic!("the door stood open");
        };
        assert_eq!(answer.head.status, 401);
        let fields = &mut request.head.fields;
        fields.append(Name::Authorization, b"sesame").unwrap();
        assert!(matches!(door.on_request(&mut request), Flow::Continue));
        let mut response = Response::new(200);
        door.on_response(&request, &mut response);
        assert_eq!(response.head.status, 202);
    }
}
