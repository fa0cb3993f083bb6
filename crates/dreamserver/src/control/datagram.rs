//! Announcements by UDP, as most senders send them.

use super::StartError;
use super::answer::{Control, count};
use super::budget::Budget;
use dream_control::Reply;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;

/// Room for announcements that come while we are busy; the system may give less.
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

/// Only this machine can reach a loopback address; without `SO_REUSEADDR`, nobody else can take the port beside us.
fn open(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let family = Domain::for_address(address);
    let udp = Socket::new(family, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        udp.set_only_v6(true)?;
    }
    udp.bind(&address.into())?;
    let _ = udp.set_recv_buffer_size(QUEUE);
    udp.set_nonblocking(true)?;
    let udp = UdpSocket::from(udp);
    let tcp = Socket::new(family, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        tcp.set_only_v6(true)?;
    }
    // Connections of an earlier run may still be in TIME_WAIT.
    tcp.set_reuse_address(true)?;
    tcp.bind(&udp.local_addr()?.into())?;
    tcp.listen(128)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp.into()))
}

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
