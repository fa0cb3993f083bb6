//! A body on its way through an encoder.
//!
//! It asks for more only when what came of the last piece is with the kernel, so a slow client slows the endpoint down, and a
//! body costs one encoder and one buffer however long it is.

use super::encoder::{Encoder, Step};
use crate::exchange::{Body, BodyError, BodyHandle, BodyStream};
use crate::pipe::Pipe;
use crate::spare;
use dream_http::Fields;
use std::task::{Context, Poll};

/// What is given to the encoder at once, in bytes.
const PIECE: usize = 32 * 1024;

/// Bytes of output that are worth a system call.
const FULL: usize = 8 * 1024;

/// After so many bytes of input others have their turn: about a millisecond of work.
const TURN: usize = 128 * 1024;

/// The body that comes out of `encoder`, where `body` goes in.
///
/// Where the end of `body` is not known, its parts may be messages of their own: what has come is sent before more is waited for.
pub fn compressed(body: Body, encoder: Encoder) -> Body {
    let flushes = body.len().is_none();
    let inner = match body.into_handle() {
        Ok(handle) => handle,
        Err(other) => return other,
    };
    Body::Stream(BodyHandle::new(Box::new(Compressing {
        inner,
        encoder,
        out: spare::buffer(),
        taken: 0,
        is_shown: false,
        holds: false,
        flushes,
        spent: 0,
        has_ended: false,
    })))
}

struct Compressing {
    inner: BodyHandle,
    encoder: Encoder,
    out: Vec<u8>,
    /// Bytes of `out` that the reader has.
    taken: usize,
    /// The reader may see what is in `out`.
    is_shown: bool,
    /// The encoder holds something back.
    holds: bool,
    /// Nothing is held back while `inner` waits.
    flushes: bool,
    /// Bytes of input since others had their turn.
    spent: usize,
    has_ended: bool,
}

impl Compressing {
    /// Feeds the encoder until there is something to show.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while self.out.len() < FULL && !self.has_ended {
            if self.spent >= TURN {
                self.spent = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.inner.poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending if self.holds && self.flushes => {
                    self.feed(0, Step::Flush)?;
                    // Nothing to show would be the end.
                    return match self.out.is_empty() {
                        true => Poll::Pending,
                        false => Poll::Ready(Ok(())),
                    };
                }
                Poll::Pending => return Poll::Pending,
            }
            match self.inner.data().len() {
                0 => self.feed(0, Step::End)?,
                count => self.feed(count.min(PIECE), Step::More)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn feed(&mut self, count: usize, step: Step) -> Result<(), BodyError> {
        let input = &self.inner.data()[..count];
        let encoded = self.encoder.encode(input, step, &mut self.out);
        encoded.map_err(BodyError::Source)?;
        self.inner.consume(count);
        self.spent += count;
        self.holds = step == Step::More;
        self.has_ended = step == Step::End;
        Ok(())
    }
}

impl BodyStream for Compressing {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.is_shown {
            return Poll::Ready(Ok(()));
        }
        let filled = self.poll_fill(cx);
        self.is_shown = matches!(filled, Poll::Ready(Ok(()))) && !self.out.is_empty();
        filled
    }

    fn data(&self) -> &[u8] {
        match self.is_shown {
            true => &self.out[self.taken..],
            false => &[],
        }
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.out.len() {
            self.out.clear();
            (self.taken, self.is_shown) = (0, false);
        }
    }

    fn remaining(&self) -> Option<u64> {
        let here = self.out.len() - self.taken;
        self.has_ended.then_some(here as u64)
    }

    fn spliceable(&self) -> u64 {
        0
    }

    fn poll_splice(&mut self, _: &mut Pipe, _: &mut Context<'_>) -> Poll<Result<usize, BodyError>> {
        // Nothing of it is in the kernel.
        Poll::Ready(Ok(0))
    }

    fn pause(&self) {
        self.inner.pause();
    }

    fn trailers(&self) -> Option<&Fields> {
        self.inner.trailers()
    }

    fn set_limit(&mut self, bytes: u64) {
        self.inner.set_limit(bytes);
    }

    fn release(mut self: Box<Self>) {
        spare::keep_buffer(std::mem::take(&mut self.out));
    }
}
