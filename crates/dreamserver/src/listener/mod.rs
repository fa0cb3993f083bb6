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
    peer: Peer,
    permit: Option<Permit>,
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
pub async fn receive(core: Rc<Core>, mut dealt: mpsc::Receiver<Accepted>, stop: Rc<Notify>) {
    let _active = core.drain.enter();
    loop {
        tokio::select! {
            accepted = dealt.recv() => match accepted {
                Some(accepted) => serve(&core, accepted),
                None => return,
            },
            () = stop.notified() => break,
        }
    }
    // From here on, whoever accepts a connection keeps it.
    dealt.close();
    while let Some(accepted) = dealt.recv().await {
        serve(&core, accepted);
    }
}

/// Accepts connections on one socket until it is told to stop, and serves or deals them. Then it takes what the
/// kernel has accepted already and ends.
///
/// # Errors
/// What the runtime says if it cannot watch the socket.
pub async fn run(
    core: Rc<Core>,
    bound: Bound,
    gate: Arc<Gate>,
    dealer: Option<Dealer>,
    stop: Rc<Notify>,
) -> io::Result<()> {
    let _active = core.drain.enter();
    let mut listener = Listener {
        socket: watch(Rc::new(bound.socket), Interest::READABLE)?,
        local: bound.address,
        pause: Timer::new(&core.clock),
        core,
        gate,
        dealer,
    };
    let mut stop = std::pin::pin!(stop.notified());
    poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => listener.poll(cx),
    })
    .await;
    // Those that wait in a socket that was handed over are not lost with ours.
    while !listener.core.drain.is_taken_over() && listener.accept() {}
    Ok(())
}

struct Listener {
    socket: Watched,
    local: SocketAddr,
    pause: Timer,
    core: Rc<Core>,
    gate: Arc<Gate>,
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
        if self.gate.is_full() {
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
        let peer = Peer::new(remote, self.local, Scheme::Http);
        let permit = self.gate.enter(peer.ip(), &self.core.snapshot().trusted);
        let accepted = Accepted {
            socket,
            peer,
            permit,
        };
        let kept = match &self.dealer {
            Some(dealer) => dealer.deal(accepted),
            None => Err(accepted),
        };
        if let Err(accepted) = kept {
            serve(&self.core, accepted);
        }
    }
}

/// Serves a connection on this core.
fn serve(core: &Rc<Core>, accepted: Accepted) {
    let Accepted {
        socket,
        peer,
        permit,
    } = accepted;
    let stream = Stream::new(socket);
    let core = core.clone();
    let active = core.drain.enter();
    match permit {
        Some(permit) => spawn_local(serve_connection(core, stream, peer, (active, permit))),
        None => spawn_local(refuse_crowd(core, stream, peer, active)),
    };
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
