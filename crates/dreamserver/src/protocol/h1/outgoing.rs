//! The sending side of a client's connection: interim responses, then the response.

use crate::exchange::{Body, Interim};
use crate::outbound::{Outbound, OutboundError};
use crate::serve::Drain;
use crate::stream::Stream;
use crate::time::{Clock, Timer};
use dream_http::ResponseHead;
use dream_http::h1::encode_interim;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A client that does not read gets no more interim responses than this.
const MAX_INTERIM: usize = 64 * 1024;

/// The sending side, shared by the connection and whoever has an interim response for the client.
pub(super) struct Outgoing {
    stream: Rc<Stream>,
    outbound: RefCell<Outbound>,
    timer: Timer,
    progress: Cell<u64>,
    /// HTTP/1.0 clients know no interim responses (RFC 9110 §15.2).
    interim_allowed: Cell<bool>,
}

impl Outgoing {
    pub(super) fn new(stream: Rc<Stream>, clock: &Rc<Clock>) -> Rc<Outgoing> {
        Rc::new(Outgoing {
            stream,
            outbound: RefCell::default(),
            timer: Timer::new(clock),
            progress: Cell::new(0),
            interim_allowed: Cell::new(false),
        })
    }

    pub(super) fn allow_interim(&self, allowed: bool) {
        self.interim_allowed.set(allowed);
    }

    /// Adds to what is to be sent, and readies the body that follows.
    pub(super) fn begin(&self, encode: impl FnOnce(&mut Outbound)) {
        self.interim_allowed.set(false);
        encode(&mut self.outbound.borrow_mut());
    }

    /// Sends everything up to the end of `body`.
    ///
    /// # Errors
    /// [`OutboundError`]; the connection cannot be used further.
    pub(super) fn poll_send(
        &self,
        body: &mut Body,
        timeout: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), OutboundError>> {
        let mut outbound = self.outbound.borrow_mut();
        if let Poll::Ready(result) = outbound.poll_body(&self.stream, body, cx) {
            self.timer.clear();
            return Poll::Ready(result);
        }
        if !outbound.is_blocked() {
            self.timer.clear();
            return Poll::Pending;
        }
        let sent = outbound.total_sent();
        if self.progress.replace(sent) != sent || !self.timer.is_set() {
            self.timer.set(timeout);
        }
        self.timer.poll(cx).map(|()| {
            let slow = io::Error::new(
                io::ErrorKind::TimedOut,
                "the client read nothing for too long",
            );
            Err(OutboundError::Io(slow))
        })
    }

    /// Ready when the server's time to finish is over.
    pub(super) fn poll_cut(&self, drain: &Drain, cx: &mut Context<'_>) -> Poll<()> {
        if drain.is_cut() {
            return Poll::Ready(());
        }
        self.timer.attend(cx);
        Poll::Pending
    }

    /// Bytes of the last body that were sent.
    pub(super) fn body_sent(&self) -> u64 {
        self.outbound.borrow().body_sent()
    }

    /// Gives memory back while nothing is to be sent.
    pub(super) fn rest(&self) {
        self.outbound.borrow_mut().rest();
    }
}

impl Interim for Outgoing {
    fn send(&self, head: &ResponseHead) {
        let mut outbound = self.outbound.borrow_mut();
        if !self.interim_allowed.get() || outbound.bytes().len() > MAX_INTERIM {
            return;
        }
        encode_interim(head, outbound.bytes());
        // What does not fit now goes out before the final response.
        let mut cx = Context::from_waker(Waker::noop());
        let _ = outbound.poll_flush(&self.stream, false, &mut cx);
    }
}
