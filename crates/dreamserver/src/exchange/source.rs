//! Bodies that a program makes while they are sent: streams of events, exports, whatever is not there at once.
//!
//! A body is asked for its next piece only when the one before is with the kernel: whoever reads slowly is sent as much as it
//! reads, and costs one piece of memory. When the client is gone the body is dropped, which is how whoever makes it learns.

use super::{Body, BodyError, BodyHandle, BodyStream};
use crate::pipe::Pipe;
use bytes::{Buf, Bytes};
use dream_http::Fields;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// A body in the making.
///
/// A client that only closes its side may still read the answer, so the end of a connection shows when something is sent
/// ([RFC 9112 §9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)): a source that has nothing to say for long should say
/// something now and then, or be dropped late.
pub trait Source {
    /// The next piece; `None` is the end. An empty piece says nothing, and the next is asked for.
    ///
    /// # Errors
    /// The rest will never come: the connection is cut, so that nobody takes half a body for a whole one.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

    /// The bytes that are still to come, if that is known: the length is announced then, and has to be kept. Without one the
    /// body goes out in chunks, or by HTTP/1.0 until the connection's end.
    fn remaining(&self) -> Option<u64> {
        None
    }

    /// The trailers ([RFC 9110 §6.5](https://www.rfc-editor.org/rfc/rfc9110#section-6.5)), if there are any: asked for at the end.
    fn trailers(&self) -> Option<&Fields> {
        None
    }
}

/// What comes through a channel, until the last sender is gone. A channel with little room holds the senders up while the
/// client reads slowly.
impl Source for mpsc::Receiver<io::Result<Bytes>> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.poll_recv(cx)
    }
}

impl Body {
    /// A body that `source` makes while it is sent.
    pub fn from_source(source: impl Source + 'static) -> Body {
        Body::Stream(BodyHandle::from_source(source))
    }
}

impl BodyHandle {
    /// What `source` makes, as something that is read.
    pub(super) fn from_source(source: impl Source + 'static) -> BodyHandle {
        BodyHandle::new(Box::new(Made {
            source,
            piece: Bytes::new(),
            has_ended: false,
            limit: u64::MAX,
        }))
    }
}

/// A source, and the piece of it that is being sent.
struct Made<S> {
    source: S,
    piece: Bytes,
    has_ended: bool,
    /// So many bytes may still come.
    limit: u64,
}

impl<S: Source> BodyStream for Made<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while self.piece.is_empty() && !self.has_ended {
            match ready!(self.source.poll_next(cx)).transpose() {
                Ok(Some(piece)) => {
                    let left = self.limit.checked_sub(piece.len() as u64);
                    self.limit = left.ok_or(BodyError::TooLarge)?;
                    self.piece = piece;
                }
                Ok(None) => self.has_ended = true,
                Err(error) => return Poll::Ready(Err(BodyError::Source(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn data(&self) -> &[u8] {
        &self.piece
    }

    fn consume(&mut self, count: usize) {
        self.piece.advance(count);
    }

    fn remaining(&self) -> Option<u64> {
        let here = self.piece.len() as u64;
        match self.has_ended {
            true => Some(here),
            false => self.source.remaining().map(|rest| here + rest),
        }
    }

    fn spliceable(&self) -> u64 {
        0
    }

    fn poll_splice(&mut self, _: &mut Pipe, _: &mut Context<'_>) -> Poll<Result<usize, BodyError>> {
        // Nothing of it is in the kernel.
        Poll::Ready(Ok(0))
    }

    fn pause(&self) {}

    fn trailers(&self) -> Option<&Fields> {
        self.source.trailers()
    }

    fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    fn release(self: Box<Self>) {}
}
