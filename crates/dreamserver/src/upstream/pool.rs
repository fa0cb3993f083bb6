//! The idle connections of one core, by endpoint.

use super::{Connection, Endpoint, Failure, Upstream};
use crate::limits::{Limits, Timeouts};
use crate::time::{Clock, Timer};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Every connection of one core to endpoints that no exchange uses, and whose turn it is.
pub struct Pools {
    clock: Rc<Clock>,
    options: RefCell<Options>,
    idle: RefCell<Vec<Idle>>,
    turns: RefCell<Vec<usize>>,
}

/// The idle connections to one endpoint, the one used last at the end.
#[derive(Default)]
struct Idle {
    #[allow(
        clippy::vec_box,
        reason = "an exchange takes the box and gives it back"
    )]
    connections: Vec<Box<Connection>>,
    /// How few there were at the least since the last sweep: so many nobody needed.
    least: usize,
}

/// The limits and time-outs that concern endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    max_body: Option<u64>,
    pub(super) pool: usize,
    pub(super) response_head: usize,
    pub(super) connect: Duration,
    pub(super) idle: Duration,
    pub(super) head: Duration,
    pub(super) body: Duration,
    pub(super) write: Duration,
    pub(super) tunnel: Duration,
}

impl Options {
    fn new(limits: &Limits, timeouts: &Timeouts) -> Options {
        Options {
            max_body: limits.max_body,
            pool: limits.pool,
            response_head: limits.response_head,
            connect: timeouts.connect,
            idle: timeouts.pool,
            head: timeouts.response_head,
            body: timeouts.response_body,
            write: timeouts.write,
            tunnel: timeouts.tunnel,
        }
    }
}

impl Pools {
    /// Empty pools.
    pub fn new(clock: Rc<Clock>, limits: &Limits, timeouts: &Timeouts) -> Rc<Pools> {
        Rc::new(Pools {
            clock,
            options: RefCell::new(Options::new(limits, timeouts)),
            idle: RefCell::default(),
            turns: RefCell::default(),
        })
    }

    /// Goes by other limits from now on.
    pub fn configure(&self, limits: &Limits, timeouts: &Timeouts) {
        *self.options.borrow_mut() = Options::new(limits, timeouts);
    }

    /// Bytes of a request body, where the route has no limit of its own.
    pub fn max_body(&self) -> Option<u64> {
        self.options.borrow().max_body
    }

    /// The place in the group's list of the endpoint whose turn it is (round robin).
    pub fn turn(&self, upstream: &Upstream) -> usize {
        if upstream.endpoints.len() == 1 {
            return 0;
        }
        let mut turns = self.turns.borrow_mut();
        if turns.len() <= upstream.number {
            turns.resize(upstream.number + 1, 0);
        }
        let turn = &mut turns[upstream.number];
        *turn = (*turn + 1) % upstream.endpoints.len();
        *turn
    }

    /// An idle connection to `endpoint`, the one used last; those that died meanwhile are dropped.
    pub fn reuse(&self, endpoint: &Endpoint) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.get_mut(endpoint.number)?;
        let now = self.clock.elapsed();
        let found = loop {
            match idle.connections.pop() {
                Some(over) if !over.is_alive(now) => over.part(),
                found => break found,
            }
        };
        idle.least = idle.least.min(idle.connections.len());
        found
    }

    /// A new connection to `endpoint`.
    ///
    /// # Errors
    /// [`Failure::Connect`] or [`Failure::ConnectTimeout`]; [`Failure::Handshake`] or [`Failure::HandshakeTimeout`] where it is
    /// spoken to over TLS. Each of both has the time of `timeouts.connect`.
    pub async fn connect(self: &Rc<Self>, endpoint: &Endpoint) -> Result<Box<Connection>, Failure> {
        let timer = Timer::new(&self.clock);
        timer.set(self.options().connect);
        let mut connect = pin!(super::connect::connect(&endpoint.address));
        let stream = poll_fn(|cx| match connect.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(Failure::Connect)),
            Poll::Pending => timer.poll(cx).map(|()| Err(Failure::ConnectTimeout)),
        })
        .await?;
        let stream = match &endpoint.trust {
            None => stream,
            Some(trust) => {
                timer.set(self.options().connect);
                // Boxed, as a plain connection needs no room for it.
                Box::pin(super::tls::shake_hands(stream, trust, &timer)).await?
            }
        };
        Ok(Connection::new(stream, timer, self.clone(), endpoint))
    }

    /// Drops the idle connections whose time is over, which their endpoint closed, or which are more than `limits.pool` and
    /// were not needed since the last sweep. A busy moment may need more: to close those at once would mean to
    /// connect anew for the next requests.
    pub fn sweep(&self) {
        let now = self.clock.elapsed();
        let most = self.options().pool;
        for idle in self.idle.borrow_mut().iter_mut() {
            let unneeded = idle.least.saturating_sub(most);
            for connection in idle.connections.drain(..unneeded) {
                connection.part();
            }
            let over = |connection: &mut Box<Connection>| !connection.is_alive(now);
            for connection in idle.connections.extract_if(.., over) {
                connection.part();
            }
            idle.least = idle.connections.len();
        }
    }

    pub(super) fn options(&self) -> Options {
        *self.options.borrow()
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn keep(&self, connection: Box<Connection>) {
        let mut idle = self.idle.borrow_mut();
        let number = connection.endpoint();
        if idle.len() <= number {
            idle.resize_with(number + 1, Idle::default);
        }
        idle[number].connections.push(connection);
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }
}
