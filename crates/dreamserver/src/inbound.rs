//! The receiving half of an HTTP/1.1 connection, whichever side we are on: a buffer, and the body in it.

use crate::pipe::Pipe;
use crate::spare::{self, INPUT};
use crate::stream::Stream;
use dream_http::h1::{BodyDecoder, Framing};
use dream_http::{Fields, Reject};
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

/// Large bodies come in pieces of this size: fewer system calls, still in the processor's cache.
const LARGE: usize = 64 * 1024;

/// What was received and not yet used.
///
/// Invariant: `shown` is decoded body that the reader has not taken; it lies
/// before `unread`, the bytes that were not looked at, and never overlaps them.
#[derive(Debug)]
pub struct Inbound {
    bytes: Vec<u8>,
    shown: Range<usize>,
    unread: Range<usize>,
    decoder: BodyDecoder,
    ended: bool,
}

/// Why nothing more can be received.
#[derive(Debug)]
pub enum InboundError {
    /// The peer broke a rule.
    Rejected(Reject),
    /// The connection broke.
    Io(io::Error),
}

impl Default for Inbound {
    fn default() -> Inbound {
        Inbound {
            bytes: Vec::new(),
            shown: 0..0,
            unread: 0..0,
            decoder: BodyDecoder::new(Framing::None),
            ended: false,
        }
    }
}

impl Inbound {
    /// The bytes that were received and not looked at.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.unread.clone()]
    }

    /// Takes `count` of the unread bytes.
    pub fn take(&mut self, count: usize) {
        self.unread.start += count;
    }

    /// Has the other side ended its sending?
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Receives more, at most until `limit` unread bytes are there; `false` is the end.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_fill(
        &mut self,
        stream: &Stream,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        // Memory is taken when there is something to put into it: idle connections have none.
        let room = self.room(limit);
        let read = stream.poll_read_into(room, cx);
        if read.is_pending() {
            self.rest();
        }
        let count = ready!(read)?;
        self.unread.end += count;
        self.ended = count == 0;
        Poll::Ready(Ok(count > 0))
    }

    /// Makes the room when it is asked for.
    fn room<'a>(&'a mut self, limit: usize) -> impl FnOnce() -> &'a mut [u8] {
        move || {
            self.make_room(limit);
            &mut self.bytes[self.unread.end..]
        }
    }

    /// Begins a body behind the head that was just taken.
    pub fn begin_body(&mut self, framing: Framing) {
        self.shown = self.unread.start..self.unread.start;
        self.decoder.reset(framing);
    }

    /// Has the whole body been received and consumed?
    pub fn body_is_consumed(&self) -> bool {
        self.shown.is_empty() && self.decoder.is_done()
    }

    /// Body bytes that are still to be consumed, where that is known.
    pub fn body_len(&self) -> Option<u64> {
        let shown = self.shown.len() as u64;
        if self.decoder.is_done() {
            return Some(shown);
        }
        self.decoder.remaining().map(|remaining| shown + remaining)
    }

    /// The trailers, once the body is done.
    pub fn trailers(&self) -> Option<&Fields> {
        self.decoder.is_done().then(|| self.decoder.trailers())
    }

    /// The body bytes that are there.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.shown.clone()]
    }

    /// Waits until body bytes are there, or the end.
    ///
    /// # Errors
    /// [`InboundError`] if the rest will never come.
    pub fn poll_body(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), InboundError>> {
        while self.shown.is_empty() && !self.decoder.is_done() {
            if self.unread.is_empty() || !self.decode()? {
                self.room_for_body();
                let more = ready!(self.poll_fill(stream, LARGE, cx)).map_err(InboundError::Io)?;
                if !more {
                    self.decoder
                        .end_of_input()
                        .map_err(InboundError::Rejected)?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes of the body that are still in the socket and stand there as they are, nothing of it in memory: the kernel can move
    /// them by itself.
    pub fn spliceable(&self, stream: &Stream) -> u64 {
        let nothing_here = self.shown.is_empty() && self.unread.is_empty();
        match nothing_here && !self.ended && stream.is_plain() {
            true => self.decoder.remaining().unwrap_or(0),
            false => 0,
        }
    }

    /// Moves some of the [`Inbound::spliceable`] bytes into an empty pipe, waiting if there are none yet; 0 is the end, which comes
    /// too early.
    ///
    /// # Errors
    /// [`InboundError`] if the rest will never come.
    pub fn poll_splice(
        &mut self,
        stream: &Stream,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, InboundError>> {
        self.rest();
        let most = self.spliceable(stream);
        let count = ready!(stream.poll_fill(pipe, most, cx)).map_err(InboundError::Io)?;
        self.decoder.skip(count as u64);
        if count == 0 {
            self.ended = true;
            self.decoder.end_of_input()?;
        }
        Poll::Ready(Ok(count))
    }

    /// Decodes what is there without receiving more; `true` if that brought anything.
    fn decode(&mut self) -> Result<bool, Reject> {
        let decoded = self.decoder.decode(&mut self.bytes[self.unread.clone()])?;
        let start = self.unread.start;
        self.shown = start..start + decoded.produced;
        self.unread.start += decoded.consumed;
        Ok(decoded.consumed > 0 || decoded.done)
    }

    /// Takes `count` of the shown body bytes.
    pub fn consume(&mut self, count: usize) {
        self.shown.start += count;
    }

    /// Discards the body that is there, without waiting; `true` if that was all of it.
    ///
    /// # Errors
    /// [`Reject`] if the body breaks a rule.
    pub fn discard_body(&mut self) -> Result<bool, Reject> {
        loop {
            self.shown = 0..0;
            if self.decoder.is_done() {
                return Ok(true);
            }
            if self.unread.is_empty() || !self.decode()? {
                return Ok(false);
            }
        }
    }

    /// Gives the memory back while nothing is expected, so that an idle connection costs little.
    pub fn rest(&mut self) {
        if self.shown.is_empty() && self.unread.is_empty() {
            spare::keep_input(std::mem::take(&mut self.bytes));
            (self.shown, self.unread) = (0..0, 0..0);
        }
    }

    /// Large bodies are read in large pieces.
    fn room_for_body(&mut self) {
        let large = self
            .decoder
            .remaining()
            .is_none_or(|more| more > INPUT as u64);
        let full = self.unread.end == self.bytes.len();
        if large && full && self.bytes.len() < LARGE {
            self.bytes.resize(LARGE, 0);
        }
    }

    /// Makes room behind the unread bytes: by forgetting the used ones, then by growing up to `limit`.
    fn make_room(&mut self, limit: usize) {
        if self.shown.is_empty() && self.unread.is_empty() {
            (self.shown, self.unread) = (0..0, 0..0);
        }
        if self.unread.end < self.bytes.len() {
            return;
        }
        let kept = if self.shown.is_empty() {
            self.unread.start
        } else {
            self.shown.start
        };
        self.bytes.copy_within(kept..self.unread.end, 0);
        self.shown = self.shown.start.saturating_sub(kept)..self.shown.end.saturating_sub(kept);
        self.unread = self.unread.start - kept..self.unread.end - kept;
        if self.bytes.is_empty() {
            self.bytes = spare::input();
        } else if self.unread.end == self.bytes.len() {
            let grown = (self.bytes.len() * 2).clamp(INPUT, limit.max(INPUT));
            let grown = grown.max(self.unread.end + 1);
            self.bytes.resize(grown, 0);
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        spare::keep_input(std::mem::take(&mut self.bytes));
    }
}

impl From<Reject> for InboundError {
    fn from(reject: Reject) -> InboundError {
        InboundError::Rejected(reject)
    }
}
