//! Async functions as handlers.

use crate::exchange::{Request, Response};
use crate::handler::{Answering, Custom};
use crate::router::PathPattern;

/// A function, and the pattern of the paths that it is for.
pub(super) struct Function<F> {
    pub(super) pattern: PathPattern,
    pub(super) function: F,
}

impl<F, R> Custom for Function<F>
where
    F: AsyncFn(&mut Request) -> R + Send + Sync,
    R: Into<Response>,
{
    fn answer<'a>(&'a self, request: &'a mut Request) -> Answering<'a> {
        request.values = self.pattern.values(request.head.path());
        Box::pin(async { (self.function)(request).await.into() })
    }
}
