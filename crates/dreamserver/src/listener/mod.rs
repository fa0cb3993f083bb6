//! The sockets that clients connect to, and who may.

mod bind;
mod gate;
mod inherited;

pub use bind::{Bound, Sharing, bind, busy_by};
pub use gate::{Gate, Permit};
pub use inherited::{Inherited, Kind, Taken, Unfit};

use crate::exchange::{Peer, Scheme};
use crate::protocol::h1::{refuse_crowd, serve_connection};
use crate::serve::Core;
use crate::stream::{Stream, Watched, watch};
use crate::time::{TICK, Timer};
use crate::tls;
use rustix::io::Errno;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::spawn_local;

/// Connections taken in one go before the others on this core have their turn.
const BATCH: usize = 64;

/// A connection that a client made, not yet served.
pub struct Accepted {
    socket: OwnedFd,
    remote: SocketAddr,
    local: SocketAddr,
    scheme: Scheme,
    permit: Option<Permit>,
}

/// What a listener serves with.
#[derive(Clone)]
pub struct Place {
    /// The core that it is on.
    pub core: Rc<Core>,
    /// What secure connections go by.
    pub terms: tls::Current,
    /// Who may come in.
    pub gate: Arc<Gate>,
}

/// Hands connections to the cores in turn, where the kernel does not share a port out among them.
#[derive(Clone)]
pub struct Dealer {
    cores: Rc<[mpsc::Sender<Accepted>]>,
    turn: Rc<Cell<usize>>,
}

impl Dealer {
    /// A dealer to these mailboxes, the own one among them.
    pub fn new(cores: Vec<mpsc::Sender<Accepted>>) -> Dealer {
        Dealer {
            cores: cores.into(),
            turn: Rc::default(),
        }
    }

    /// Gives the connection to the core whose turn it is; back if that one is busy or has ended.
    fn deal(&self, accepted: Accepted) -> Result<(), Accepted> {
        let turn = self.turn.get();
        self.turn.set((turn + 1) % self.cores.len());
        self.cores[turn]
            .try_send(accepted)
            .map_err(|error| match error {
                TrySendError::Full(accepted) | TrySendError::Closed(accepted) => accepted,
            })
    }
}

/// Serves the connections that another core's [`Dealer`] hands over, until it is told to stop; then those that were handed
/// over already, too.
pub async fn receive(place: Place, mut dealt: mpsc::Receiver<Accepted>, stop: Rc<Notify>) {
    let _active = place.core.drain.enter();
    loop {
        tokio::select! {
            accepted = dealt.recv() => match accepted {
                Some(accepted) => serve(&place, accepted),
                None => return,
            },
            () = stop.notified() => break,
        }
    }
    // From here on, whoever accepts a connection keeps it.
    dealt.close();
    while let Some(accepted) = dealt.recv().await {
        serve(&place, accepted);
    }
}

/// Accepts connections on one socket until it is told to stop, and serves or deals them. Then it takes what the
/// kernel has accepted already and ends.
///
/// # Errors
/// What the runtime says if it cannot watch the socket.
pub async fn run(
    place: Place,
    bound: Bound,
    dealer: Option<Dealer>,
    stop: Rc<Notify>,
) -> io::Result<()> {
    let _active = place.core.drain.enter();
    let mut listener = Listener {
        socket: watch(Rc::new(bound.socket), Interest::READABLE)?,
        local: bound.address,
        scheme: bound.scheme,
        pause: Timer::new(&place.core.clock),
        place,
        dealer,
    };
    let mut stop = std::pin::pin!(stop.notified());
    poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => listener.poll(cx),
    })
    .await;
    // Those that wait in a socket that was handed over are not lost with ours.
    while !listener.place.core.drain.is_taken_over() && listener.accept() {}
    Ok(())
}

struct Listener {
    socket: Watched,
    local: SocketAddr,
    scheme: Scheme,
    pause: Timer,
    place: Place,
    dealer: Option<Dealer>,
}

impl Listener {
    /// Accepts for ever; pauses while the process has all the connections that it may have.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.pause.is_set() {
                ready!(self.pause.poll(cx));
                self.pause.clear();
            }
            let Ok(mut guard) = ready!(self.socket.poll_read_ready(cx)) else {
                return Poll::Ready(());
            };
            guard.retain_ready();
            let mut taken = 0;
            while taken < BATCH && self.accept() {
                taken += 1;
            }
            if taken == BATCH {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Accepts one connection; `false` if there is none, or none may be taken now.
    fn accept(&mut self) -> bool {
        if self.place.gate.is_full() {
            self.pause.set(TICK);
            return false;
        }
        match accept(&self.socket) {
            Ok((socket, remote)) => {
                self.admit(socket, remote);
                true
            }
            Err(Errno::AGAIN) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                if let Poll::Ready(Ok(mut guard)) = self.socket.poll_read_ready(&mut cx) {
                    guard.clear_ready();
                }
                false
            }
            // The client was gone before we came (accept(2)).
            Err(Errno::CONNABORTED | Errno::INTR) => true,
            Err(error) => {
                tracing::error!(%error, address = %self.local, "accepting connections pauses");
                self.pause.set(TICK);
                false
            }
        }
    }

    fn admit(&self, socket: OwnedFd, remote: SocketAddr) {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let Place { core, gate, .. } = &self.place;
        let permit = gate.enter(remote.ip(), &core.snapshot().trusted);
        let accepted = Accepted {
            socket,
            remote,
            local: self.local,
            scheme: self.scheme,
            permit,
        };
        let kept = match &self.dealer {
            Some(dealer) => dealer.deal(accepted),
            None => Err(accepted),
        };
        if let Err(accepted) = kept {
            serve(&self.place, accepted);
        }
    }
}

/// Serves a connection on this core.
fn serve(place: &Place, accepted: Accepted) {
    let Accepted {
        socket,
        remote,
        local,
        scheme,
        permit,
    } = accepted;
    let peer = Peer::new(remote, local, scheme);
    let stream = Stream::new(socket);
    let core = place.core.clone();
    let active = core.drain.enter();
    let visiting = core.log_visit(&peer);
    match (permit, scheme) {
        (Some(permit), Scheme::Http) => {
            spawn_local(serve_connection(
                core,
                stream,
                peer,
                (visiting, active, permit),
            ));
        }
        (Some(permit), Scheme::Https) => {
            let terms = place.terms.borrow().clone();
            spawn_local(tls::serve(
                core,
                terms,
                stream,
                peer,
                (visiting, active, permit),
            ));
        }
        (None, Scheme::Http) => drop(spawn_local(refuse_crowd(core, stream, peer, active))),
        // Saying it in words would take a handshake, which is what a crowd is after.
        (None, Scheme::Https) => {}
    }
}

#[cfg(target_os = "linux")]
fn accept(listener: &Watched) -> rustix::io::Result<(OwnedFd, SocketAddr)> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    let (socket, remote) = rustix::net::acceptfrom_with(listener, flags)?;
    Ok((socket, socket_address(remote)?))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &Watched) -> rustix::io::Result<(OwnedFd, SocketAddr)> {
    let (socket, remote) = rustix::net::acceptfrom(listener)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
    Ok((socket, socket_address(remote)?))
}

fn socket_address(address: Option<rustix::net::SocketAddrAny>) -> rustix::io::Result<SocketAddr> {
    address
        .and_then(|address| SocketAddr::try_from(address).ok())
        .ok_or(Errno::CONNABORTED)
}
