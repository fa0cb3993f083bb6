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
pub use compress::{Compress, CompressOptions};
pub use error_pages::{ErrorPage, ErrorPages, InvalidStatuses, Statuses};
pub use headers::{
    Direction, Edit, EditProblem, Edits, Headers, HeadersOptions, InvalidEdit, Verb,
};

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
    /// To the next station.
    #[default]
    Continue,
    /// Back: this is the response, and no station behind this one sees the exchange.
    Answer(Box<Response>),
}

/// A middleware of a program that uses the library. Neither method may block the thread: it serves a whole core.
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
    use crate::exchange::{Body, Peer, RequestId};
    use dream_http::{Name, RequestHead};
    use std::time::Instant;

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
        let mut request = Request {
            head: RequestHead::new().into(),
            body: Body::Empty,
            peer: Peer::local().into(),
            id: RequestId::from_uuid(uuid::Uuid::now_v7()),
            received: Instant::now(),
            interim: None,
            account: None,
            values: Vec::new(),
        };
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
