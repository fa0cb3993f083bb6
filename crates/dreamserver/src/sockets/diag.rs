//! The kernel is asked for one socket (sock_diag(7)): it looks where it would look for the socket that a packet is for, so
//! that the answer does not depend on how many sockets there are.

use super::{LOCALHOST, Listener, Protocol, Sender, User};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, TCP_LISTEN,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// A connection to the kernel. It answers within `send`, so nothing is ever waited for.
pub(super) struct Diag {
    socket: OwnedFd,
    questions: AtomicU32,
}

impl Diag {
    pub(super) fn open() -> io::Result<Diag> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        Ok(Diag {
            socket,
            questions: AtomicU32::new(1),
        })
    }

    pub(super) fn listener(&self, port: u16) -> io::Result<Listener> {
        let mut listener = Listener::Nobody;
        for host in LOCALHOST {
            let address = SocketAddr::new(host, port);
            let found = self.find(Protocol::Tcp, address, SocketAddr::new(host, 0))?;
            let user = found
                .filter(|found| found.state == TCP_LISTEN)
                .and_then(user);
            listener = user.map_or(listener, |user| listener.and(user));
        }
        Ok(listener)
    }

    pub(super) fn sender(&self, sender: &Sender) -> io::Result<Option<User>> {
        let (address, ours) = (sender.address, sender.ours);
        let found = self.find(sender.protocol, address, ours)?;
        // A listener stands for connections that are gone; a UDP socket need not be connected.
        let speaks_to_us = |found: &InetResponseHeader| {
            let (local, remote) = (
                found.socket_id.source_port,
                found.socket_id.destination_port,
            );
            let connected = remote == ours.port();
            let may_be_not = sender.protocol == Protocol::Udp && remote == 0;
            local == address.port() && (connected || may_be_not)
        };
        Ok(found.filter(speaks_to_us).and_then(user))
    }

    /// The socket that packets from `remote` to `local` are for.
    fn find(
        &self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Option<InetResponseHeader>> {
        let number = self.questions.fetch_add(1, Ordering::Relaxed);
        let question = encode(number, protocol, local, remote);
        rustix::net::send(&self.socket, &question, SendFlags::empty())?;
        let mut buffer = [0; ANSWER];
        loop {
            let (received, _) = rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty())?;
            let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&buffer[..received])
                .map_err(io::Error::other)?;
            // One to an earlier question, if something went wrong there.
            if answer.header.sequence_number == number {
                return found(answer.payload, local);
            }
        }
    }
}

/// More than an answer has: its header and some attributes, of which we ask for none.
const ANSWER: usize = 4096;

fn encode(number: u32, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    // For UDP the kernel has the two the other way round, "for historical reasons" (net/ipv4/udp_diag.c, `udp_dump_one`).
    let (source, destination, protocol) = match protocol {
        Protocol::Tcp => (local, remote, IPPROTO_TCP),
        Protocol::Udp => (remote, local, IPPROTO_UDP),
    };
    let request = InetRequest {
        family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: source.port(),
            destination_port: destination.port(),
            source_address: source.ip(),
            destination_address: destination.ip(),
            interface_id: LOOPBACK,
            cookie: [u8::MAX; 8],
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    header.sequence_number = number;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The number that Linux gives to the loopback interface, always: sockets that are bound to it are found too.
const LOOPBACK: u32 = 1;

fn found(
    answer: NetlinkPayload<SockDiagMessage>,
    local: SocketAddr,
) -> io::Result<Option<InetResponseHeader>> {
    match answer {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
            Ok(Some(found.header))
        }
        NetlinkPayload::Error(error) => {
            let error = error.to_io();
            match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => Ok(None),
                // A kernel without IPv6 does not know what is meant.
                Some(Errno::INVAL) if local.is_ipv6() => Ok(None),
                _ => Err(error),
            }
        }
        _ => Err(io::Error::other("the kernel answers something else")),
    }
}

/// A socket that nobody has open any more has no file, and belongs to nobody, whatever number stands there.
fn user(found: InetResponseHeader) -> Option<User> {
    (found.inode != 0).then_some(found.uid)
}
