//! The receiving side of a client's connection: heads, and bodies that whoever answers may carry away.

use crate::exchange::{BodyError, BodyStream};
use crate::inbound::{Inbound, InboundError};
use crate::limits::Timeouts;
use crate::pipe::Pipe;
use crate::stream::Stream;
use crate::time::{Clock, Timer};
use dream_http::Fields;
use dream_http::h1::Framing;
use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Where the receiving side is while nobody reads a body from it.
pub(super) type Home = Rc<Cell<Option<Box<Incoming>>>>;

/// The receiving side. It leaves its [`Home`] as the body of a request and returns when that is released.
pub(super) struct Incoming {
    pub(super) stream: Rc<Stream>,
    pub(super) inbound: Inbound,
    pub(super) timer: Timer,
    /// Weak, or a connection and its receiving side would keep each other alive.
    home: Weak<Cell<Option<Box<Incoming>>>>,
    pace: Pace,
    limit: u64,
    received: u64,
}

impl Incoming {
    pub(super) fn new(stream: Rc<Stream>, clock: &Rc<Clock>, home: &Home) -> Incoming {
        Incoming {
            stream,
            inbound: Inbound::default(),
            timer: Timer::new(clock),
            home: Rc::downgrade(home),
            pace: Pace::default(),
            limit: u64::MAX,
            received: 0,
        }
    }

    /// Begins the body of the request whose head was just taken.
    pub(super) fn begin_body(&mut self, framing: Framing, timeouts: &Timeouts) {
        self.inbound.begin_body(framing);
        self.timer.clear();
        self.pace = Pace::new(timeouts);
        self.limit = u64::MAX;
        self.received = 0;
    }

    /// What the wait for the client brought, if it did not take too long.
    fn in_time<T>(
        &mut self,
        polled: Poll<Result<T, InboundError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, BodyError>> {
        match polled {
            Poll::Ready(result) => {
                self.pace.received(&self.timer);
                Poll::Ready(result.map_err(client_error))
            }
            Poll::Pending => {
                self.pace.waits(&self.timer, self.received);
                self.timer.poll(cx).map(|()| Err(BodyError::ClientTimeout))
            }
        }
    }

    /// Bytes of body that were taken.
    pub(super) fn received(&self) -> u64 {
        self.received
    }
}

impl BodyStream for Incoming {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let polled = self.inbound.poll_body(&self.stream, cx);
        ready!(self.in_time(polled, cx))?;
        let there = self.inbound.body().len() as u64;
        if self.received + there > self.limit {
            return Poll::Ready(Err(BodyError::TooLarge));
        }
        Poll::Ready(Ok(()))
    }

    fn data(&self) -> &[u8] {
        self.inbound.body()
    }

    fn consume(&mut self, count: usize) {
        self.received += count as u64;
        self.inbound.consume(count);
    }

    fn remaining(&self) -> Option<u64> {
        self.inbound.body_len()
    }

    fn spliceable(&self) -> u64 {
        let spliceable = self.inbound.spliceable(&self.stream);
        match self.received + spliceable > self.limit {
            true => 0,
            false => spliceable,
        }
    }

    fn poll_splice(
        &mut self,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, BodyError>> {
        let polled = self.inbound.poll_splice(&self.stream, pipe, cx);
        let count = ready!(self.in_time(polled, cx))?;
        self.received += count as u64;
        Poll::Ready(Ok(count))
    }

    fn pause(&self) {
        self.stream.pause();
    }

    fn trailers(&self) -> Option<&Fields> {
        self.inbound.trailers()
    }

    fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    fn release(self: Box<Self>) {
        self.timer.clear();
        // Without a home the connection has ended.
        if let Some(home) = self.home.upgrade() {
            home.set(Some(self));
        }
    }
}

/// How slowly a body may come: some grace, then a least rate. Only the time in which we wait counts, so that
/// a slow endpoint is never held against the client.
#[derive(Default)]
struct Pace {
    grace: Duration,
    rate: u64,
    waited: Duration,
    waiting_since: Option<Duration>,
}

impl Pace {
    fn new(timeouts: &Timeouts) -> Pace {
        Pace {
            grace: timeouts.body_grace,
            rate: timeouts.body_rate.max(1),
            ..Pace::default()
        }
    }

    fn waits(&mut self, timer: &Timer, received: u64) {
        if self.waiting_since.is_none() {
            self.waiting_since = Some(timer.clock().elapsed());
            let earned = Duration::from_secs(received / self.rate);
            timer.set((self.grace + earned).saturating_sub(self.waited));
        }
    }

    fn received(&mut self, timer: &Timer) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += timer.clock().elapsed().saturating_sub(since);
            timer.clear();
        }
    }
}

fn client_error(error: InboundError) -> BodyError {
    match error {
        InboundError::Rejected(reject) => BodyError::Rejected(reject),
        InboundError::Io(error) => BodyError::Client(error),
    }
}
