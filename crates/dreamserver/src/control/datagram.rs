//! Announcements by UDP, as most senders send them.

use super::StartError;
use super::answer::{Control, count};
use super::budget::Budget;
use dream_control::Reply;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;

/// Bytes of announcements that the system keeps while we are busy.
const QUEUE: usize = 4 << 20;
/// One byte more than the longest announcement, so that a longer one is seen to be.
const LONGEST: usize = 1025;

/// The control port: a UDP socket and a TCP listener for each address.
pub(super) struct Ports {
    sockets: Vec<UdpSocket>,
    listeners: Vec<TcpListener>,
}

impl Ports {
    /// Opens the port at each address. A machine without IPv6 has one less.
    pub(super) fn open(addresses: &[SocketAddr]) -> Result<Ports, StartError> {
        let mut ports = Ports {
            sockets: Vec::new(),
            listeners: Vec::new(),
        };
        let mut missing = None;
        for &address in addresses {
            let wanted = match ports
                .sockets
                .first()
                .and_then(|first| first.local_addr().ok())
            {
                // Both families have the port that the system chose for the first.
                Some(first) => SocketAddr::new(address.ip(), first.port()),
                None => address,
            };
            match open(wanted) {
                Ok((socket, listener)) => {
                    ports.sockets.push(socket);
                    ports.listeners.push(listener);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(StartError::Taken(wanted));
                }
                Err(error) => missing = Some(StartError::Listen(wanted, error)),
            }
        }
        match missing {
            Some(error) if ports.sockets.is_empty() => Err(error),
            _ => Ok(ports),
        }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Has the runtime of this thread watch them.
    pub(super) fn watch(
        self,
    ) -> io::Result<(Vec<tokio::net::UdpSocket>, Vec<tokio::net::TcpListener>)> {
        let sockets = self
            .sockets
            .into_iter()
            .map(tokio::net::UdpSocket::from_std);
        let listeners = self
            .listeners
            .into_iter()
            .map(tokio::net::TcpListener::from_std);
        Ok((
            sockets.collect::<io::Result<_>>()?,
            listeners.collect::<io::Result<_>>()?,
        ))
    }
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

/// Only this machine can reach a loopback address; without `SO_REUSEADDR`, nobody else can take the UDP port beside us.
fn open_once(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = socket(address, Type::DGRAM, Protocol::UDP)?;
    // The system may give less.
    let _ = udp.set_recv_buffer_size(QUEUE);
    udp.bind(&address.into())?;
    let udp = UdpSocket::from(udp);
    let tcp = socket(address, Type::STREAM, Protocol::TCP)?;
    // Connections of an earlier run may still be in TIME_WAIT.
    tcp.set_reuse_address(true)?;
    tcp.bind(&udp.local_addr()?.into())?;
    tcp.listen(BACKLOG)?;
    Ok((udp, tcp.into()))
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
    let mut buffer = [0; LONGEST];
    let mut budget = Budget::new();
    loop {
        budget.spend().await;
        let (len, sender) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // What an earlier answer met (ICMP) is no reason to end.
            Err(_) => continue,
        };
        if !sender.ip().is_loopback() {
            count(&control.counts.dropped);
            continue;
        }
        let text = buffer[..len].to_vec();
        let (control, socket) = (control.clone(), socket.clone());
        tokio::task::spawn_local(async move {
            let reply = control.answer(&text).await;
            send(&socket, sender, &reply).await;
        });
    }
}

/// Many senders are gone by then, which is no fault.
async fn send(socket: &tokio::net::UdpSocket, sender: SocketAddr, reply: &Reply) {
    let _ = socket.send_to(reply.to_string().as_bytes(), sender).await;
}
