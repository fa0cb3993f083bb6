//! The door for everybody else's handlers.

use crate::exchange::{Request, Response};
use std::pin::Pin;

/// A handler of a program that uses the library. One is shared by all cores, so it keeps no state of an exchange.
pub trait Custom: Send + Sync {
    /// Answers `request`, whose path is without what the route strips.
    fn answer<'a>(&'a self, request: &'a mut Request) -> Answering<'a>;
}

/// An answer in the making, on the core that the request came to.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;
