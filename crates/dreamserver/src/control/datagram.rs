//! Announcements by UDP, as most senders send them.

use super::StartError;
use super::answer::{Control, count};
use crate::listener::{Inherited, Kind, Taken};
use crate::sockets::{self, Sender};
use dream_control::Reply;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Bytes of announcements that the system keeps while we are busy, and twice that on Linux: some thousands of them, since each
/// counts with what the system needs for it. With more, whoever announces beside a flood would wait longer.
const QUEUE: usize = 1 << 20;
/// One byte more than the longest announcement, so that a longer one is seen to be.
const LONGEST: usize = 1025;

/// The control port: UDP sockets and TCP listeners for each address.
#[derive(Debug, Default)]
pub struct Ports {
    /// Where announcements come in: loopback addresses.
    pub(super) addresses: Vec<SocketAddr>,
    sockets: Vec<UdpSocket>,
    listeners: Vec<TcpListener>,
}

impl Ports {
    /// Opens the port at each address, if it is not open already. A machine without IPv6 has one less.
    ///
    /// # Errors
    /// Another program has the port, or the system says no.
    pub fn open(addresses: &[SocketAddr], inherited: &mut Inherited) -> Result<Ports, StartError> {
        let mut ports = Ports::default();
        let mut missing = None;
        for &address in addresses {
            let wanted = match ports.addresses.first() {
                // Both families have the port that the system chose for the first.
                Some(first) => SocketAddr::new(address.ip(), first.port()),
                None => address,
            };
            match ports.open_one(wanted, inherited) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(StartError::Taken(wanted));
                }
                Err(error) => missing = Some(StartError::Listen(wanted, error)),
            }
        }
        match missing {
            Some(error) if ports.addresses.is_empty() => Err(error),
            _ => Ok(ports),
        }
    }

    /// Takes the sockets of an address that are there, and opens what is missing.
    fn open_one(&mut self, wanted: SocketAddr, inherited: &mut Inherited) -> io::Result<()> {
        let udp = inherited.take(Kind::Udp, wanted);
        let wanted = udp.as_ref().map_or(wanted, |taken| taken.address);
        let tcp = inherited.take(Kind::Tcp, wanted);
        let (address, udp, tcp) = match (udp, tcp) {
            (None, None) => {
                let (udp, tcp) = open(wanted)?;
                (udp.local_addr()?, vec![udp], vec![tcp])
            }
            (Some(udp), None) => (wanted, taken(udp), vec![listen(wanted)?]),
            (None, Some(tcp)) => (tcp.address, vec![bind(tcp.address)?], taken(tcp)),
            (Some(udp), Some(tcp)) => (wanted, taken(udp), taken(tcp)),
        };
        for socket in &udp {
            // The system may give less.
            let _ = SockRef::from(socket).set_recv_buffer_size(QUEUE);
        }
        self.addresses.push(address);
        self.sockets.extend(udp);
        self.listeners.extend(tcp);
        Ok(())
    }

    /// Has the runtime of this thread watch them.
    pub(super) fn watch(self) -> io::Result<Watched> {
        let sockets = self.sockets.into_iter();
        let sockets = sockets.map(|socket| tokio::net::UdpSocket::from_std(socket).map(Rc::new));
        let listeners = self.listeners.into_iter();
        let listeners =
            listeners.map(|listener| tokio::net::TcpListener::from_std(listener).map(Rc::new));
        Ok(Watched {
            sockets: sockets.collect::<io::Result<_>>()?,
            listeners: listeners.collect::<io::Result<_>>()?,
        })
    }
}

/// The control port, watched.
pub(super) struct Watched {
    pub(super) sockets: Vec<Rc<tokio::net::UdpSocket>>,
    pub(super) listeners: Vec<Rc<tokio::net::TcpListener>>,
}

/// A port that the system chose for UDP may be taken for TCP; so often another one is asked for.
const TRIES: usize = 16;

/// Opens both at one address.
fn open(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let is_given = address.port() != 0;
    let mut tries = 0..TRIES;
    loop {
        let last = tries.next().is_none() || is_given;
        match open_once(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !last => {}
            opened => return opened,
        }
    }
}

fn open_once(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = bind(address)?;
    let tcp = listen(udp.local_addr()?)?;
    Ok((udp, tcp))
}

/// Only this machine can reach a loopback address; without `SO_REUSEADDR`, nobody else can take the UDP port beside us.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let udp = socket(address, Type::DGRAM, Protocol::UDP)?;
    udp.bind(&address.into())?;
    Ok(udp.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let tcp = socket(address, Type::STREAM, Protocol::TCP)?;
    // Connections of an earlier run may still be in TIME_WAIT.
    tcp.set_reuse_address(true)?;
    tcp.bind(&address.into())?;
    tcp.listen(BACKLOG)?;
    Ok(tcp.into())
}

/// Sockets that were there already.
fn taken<T: From<OwnedFd>>(taken: Taken) -> Vec<T> {
    taken.sockets.into_iter().map(T::from).collect()
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Senders by TCP that wait to be accepted.
const BACKLOG: i32 = 128;

/// Answers announcements for as long as there is a socket.
pub(super) async fn receive(control: Rc<Control>, socket: Rc<tokio::net::UdpSocket>) {
    let Ok(ours) = socket.local_addr() else {
        return;
    };
    let mut buffer = [0; LONGEST];
    loop {
        control.budget.spend().await;
        let (len, address) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // What an earlier answer met (ICMP) is no reason to end.
            Err(_) => continue,
        };
        if !address.ip().is_loopback() {
            count(&control.counts.dropped);
            continue;
        }
        let text = buffer[..len].to_vec();
        let (control, socket) = (control.clone(), socket.clone());
        tokio::task::spawn_local(async move {
            let sender = Sender {
                protocol: sockets::Protocol::Udp,
                address,
                ours,
            };
            let reply = control.answer(&text, sender).await;
            send(&socket, address, &reply).await;
        });
    }
}

/// Many senders are gone by then, which is no fault.
async fn send(socket: &tokio::net::UdpSocket, to: SocketAddr, reply: &Reply) {
    let _ = socket.send_to(reply.to_string().as_bytes(), to).await;
}
