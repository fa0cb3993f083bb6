//! The live view: what was announced, how it does, and a way to add and remove, in a browser on this machine.
//!
//! The same engine serves it as everything else: a core of its own on the control thread, with one route to one handler
//! (`View`). It knows nothing of the table: it asks the control plane through a channel ([`Ask`]), and is given samples to
//! show. A slow browser holds up its own connection, and nothing else.

mod guard;
mod model;
mod view;

pub use model::{Certificate, Certificates, Failure, Name, Names};

use crate::exchange::{Peer, Scheme};
use crate::handler::{Handler, State, files};
use crate::limits::{Limits, Timeouts};
use crate::log;
use crate::protocol::h1::{refuse_crowd, serve_connection};
use crate::router::{HostPattern, Matcher, PathPattern, SiteRoutes, Table};
use crate::serve::{Cause, Core, Route, Snapshot};
use crate::stream::Stream;
use crate::time::{Clock, TICK};
use crate::upstream::Pools;
use bytes::Bytes;
use dream_control::Reply;
use guard::Guard;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_local;
use view::View;

/// So many browsers' connections at once; each page holds one, and takes another for what it loads.
const MOST: usize = 64;

/// What the view wants to know from the control plane.
pub enum Ask {
    /// May this peer change anything?
    MayChange(Ends, oneshot::Sender<bool>),
    /// Carry out an announcement that this peer sends.
    Say(Vec<u8>, Ends, oneshot::Sender<Reply>),
    /// Give samples of the names that match, as long as there is a receiver.
    Follow(String, oneshot::Sender<Samples>),
}

/// The two ends of a connection, by which the system tells whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The browser's.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

/// The latest sample, a [`Names`] as JSON; nothing until there is one.
pub type Samples = watch::Receiver<Option<Bytes>>;

/// Where browsers' connections are taken in.
pub struct Door {
    core: Rc<Core>,
    seats: Arc<Semaphore>,
    ticks: Cell<bool>,
}

impl Door {
    /// A door to a view that asks through `asks`.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(asks: mpsc::Sender<Ask>) -> io::Result<Rc<Door>> {
        let view = View::new(asks, Guard::new()?);
        let snapshot = snapshot(view);
        let clock = Clock::new(Instant::now());
        let state = State {
            files: files::Store::new(0),
            pools: Pools::new(clock.clone(), &snapshot.limits, &snapshot.timeouts),
        };
        let off = log::Options {
            target: log::Target::Off,
            ..log::Options::default()
        };
        let log = log::Writer::start(&off)?.sink();
        Ok(Rc::new(Door {
            core: Rc::new(Core::new(clock, state, log, Arc::new(snapshot))),
            seats: Arc::new(Semaphore::new(MOST)),
            ticks: Cell::new(false),
        }))
    }

    /// Serves a connection, of which nothing has been read; ends at once, and the connection is served in the background.
    pub fn serve(self: &Rc<Self>, socket: OwnedFd, ends: Ends) {
        let peer = Peer::new(ends.remote, ends.local, Scheme::Http);
        let (core, stream) = (self.core.clone(), Stream::new(socket));
        let active = self.core.drain.enter();
        match self.seats.clone().try_acquire_owned() {
            Ok(seat) => spawn_local(serve_connection(core, stream, peer, (active, seat))),
            Err(_) => spawn_local(refuse_crowd(core, stream, peer, active)),
        };
        if !self.ticks.replace(true) {
            spawn_local(self.clone().tick());
        }
    }

    /// Breaks off all connections, of which there will be no more.
    pub fn close(&self) {
        self.core.drain.begin(Cause::TakenOver);
        self.core.drain.cut();
        self.core.clock.wake_all();
    }

    /// Moves the clock as long as there are connections.
    async fn tick(self: Rc<Self>) {
        #![allow(
            clippy::disallowed_methods,
            reason = "this thread serves nobody but the view"
        )]
        while !self.core.drain.is_over() {
            self.core.clock.advance(Instant::now(), SystemTime::now());
            tokio::time::sleep(TICK).await;
        }
        self.ticks.set(false);
    }
}

/// One site for every host, as the view looks at the host itself.
fn snapshot(view: View) -> Snapshot {
    let route = Route {
        strip: 0,
        chain: Vec::new(),
        handler: Handler::Custom(Arc::new(view)),
    };
    let site = SiteRoutes {
        hosts: vec![HostPattern::Any],
        routes: vec![(Matcher::path(PathPattern::all()), Arc::new(route))],
    };
    let Ok(table) = Table::build(vec![site]) else {
        unreachable!("one route has no conflict")
    };
    Snapshot {
        table,
        not_found: None,
        pages: None,
        limits: Limits::default(),
        timeouts: Timeouts {
            keep_alive: KEEP_ALIVE,
            write: PATIENCE,
            ..Timeouts::default()
        },
        trusted: Vec::new(),
    }
}

/// A browser that is looked at again soon has its connection still; one that is not gives its seat back.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A browser that reads nothing for so long, a page in a sleeping tab perhaps, asks again when it wakes.
const PATIENCE: Duration = Duration::from_secs(20);
