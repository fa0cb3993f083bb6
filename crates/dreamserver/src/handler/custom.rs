//! The door for everybody else's handlers.

use crate::exchange::{Request, Response};
use std::pin::Pin;

/// A handler of a program that uses the library.
///
/// One is shared by all cores, so it keeps no state of an exchange. It must not block the thread, which serves a whole core; what it
/// waits for, it awaits. When the client goes away before there is an answer, the future is dropped.
///
/// ```
/// use dreamserver::exchange::{Body, Request, Response};
/// use dreamserver::handler::{Answering, Custom};
///
/// /// Says what it was told, as long as that is short.
/// struct Echo;
///
/// impl Custom for Echo {
///     fn answer<'a>(&'a self, request: &'a mut Request) -> Answering<'a> {
///         Box::pin(async {
///             match request.read_body(64 * 1024).await {
///                 Ok(body) => Response { body: Body::from(body), ..Response::new(200) },
///                 Err(error) => dreamserver::error::body(&error, request),
///             }
///         })
///     }
/// }
/// ```
pub trait Custom: Send + Sync {
    /// Answers `request`, whose path is without what the route strips.
    ///
    /// The body of the request may be read whole ([`Request::read_body`]), taken away, or left: what nobody reads is discarded. The body of
    /// the response may be made while it is sent ([`Body::from_source`](crate::exchange::Body::from_source)). Framing, Date and
    /// connection fields are not its work; neither is the answer to HEAD, which is that to GET without its body.
    fn answer<'a>(&'a self, request: &'a mut Request) -> Answering<'a>;
}

/// An answer in the making, on the core that the request came to.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;
