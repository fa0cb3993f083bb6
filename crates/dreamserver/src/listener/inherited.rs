//! Sockets that were open before this process served: those that the system's service manager opened for it, and those
//! of a server that it takes over from.
//!
//! What is to be listened on is taken from them before anything is bound: a port that somebody else holds open for us cannot
//! be bound, and closing it would lose the connections that wait there.

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketType, getpeername, getsockname, sockopt};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// Sockets that are there already, until somebody takes them.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Passed>,
    /// Addresses that need no socket of their own: one that was taken for IPv6 is for IPv4 too.
    covered: Vec<(Kind, SocketAddr)>,
}

/// What comes in by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections: it listens.
    Tcp,
    /// Datagrams.
    Udp,
}

/// One of them.
#[derive(Debug)]
struct Passed {
    kind: Kind,
    address: SocketAddr,
    /// It is for IPv4 too, though its address is of IPv6.
    dual: bool,
    socket: OwnedFd,
}

/// Why a descriptor is of no use here.
#[derive(Debug)]
pub enum Unfit {
    /// It is something else than a socket of the internet.
    NotInternet,
    /// It is a connection, which has a peer already.
    Connected,
    /// It is a socket for connections and does not listen.
    NotListening,
    /// It is neither for connections nor for datagrams.
    OtherKind,
    /// The system does not tell what it is.
    System(io::Error),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::NotInternet => "is no TCP or UDP socket",
            Unfit::Connected => {
                "is a connection and not a socket that listens (`Accept=no` is needed)"
            }
            Unfit::NotListening => "is a TCP socket that does not listen",
            Unfit::OtherKind => "is neither a TCP nor a UDP socket",
            Unfit::System(error) => return write!(f, "cannot be used: {error}"),
        })
    }
}

impl Inherited {
    /// Adds a socket, and finds out what it is.
    ///
    /// # Errors
    /// [`Unfit`] for what can neither be listened on nor be read from.
    pub fn add(&mut self, socket: OwnedFd) -> Result<(), Unfit> {
        let (kind, address) = examine(&socket)?;
        let prepared = prepare(&socket, kind, address);
        let dual = prepared.map_err(|error| Unfit::System(error.into()))?;
        self.sockets.push(Passed {
            kind,
            address,
            dual,
            socket,
        });
        Ok(())
    }

    /// Adds all of another list.
    pub fn add_all(&mut self, others: Inherited) {
        self.sockets.extend(others.sockets);
    }

    /// All sockets of one address; port 0 is whichever port there is. Empty if a socket that was taken before is for this
    /// address too, and nothing if there is none.
    pub fn take(&mut self, kind: Kind, address: SocketAddr) -> Option<Taken> {
        if self.covered.contains(&(kind, address)) {
            return Some(Taken {
                address,
                sockets: Vec::new(),
            });
        }
        let fits = |passed: &&Passed| {
            let port = passed.address.port();
            passed.kind == kind
                && SocketAddr::new(address.ip(), port) == passed.address
                && [0, port].contains(&address.port())
        };
        let address = self.sockets.iter().find(fits)?.address;
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|passed| passed.kind == kind && passed.address == address);
        self.sockets = rest;
        if taken.iter().any(|passed| passed.dual) {
            let ipv4 = (Ipv4Addr::UNSPECIFIED, address.port()).into();
            self.covered.push((kind, ipv4));
        }
        let sockets = taken.into_iter().map(|passed| passed.socket).collect();
        Some(Taken { address, sockets })
    }

    /// The addresses of one kind that nobody has taken yet, each once, and whether its sockets are for IPv4 too.
    pub fn addresses(&self, kind: Kind) -> Vec<(SocketAddr, bool)> {
        let mut addresses: Vec<(SocketAddr, bool)> = Vec::new();
        for passed in self.sockets.iter().filter(|passed| passed.kind == kind) {
            if !addresses
                .iter()
                .any(|(address, _)| *address == passed.address)
            {
                addresses.push((passed.address, passed.dual));
            }
        }
        addresses
    }

    /// Closes what nobody has taken, and says so.
    pub fn close_rest(self) {
        for Passed { kind, address, .. } in self.sockets {
            tracing::warn!(%address, ?kind, "a socket that was passed to this server is not in its configuration; it was closed");
        }
    }
}

/// What was taken for an address.
#[derive(Debug)]
pub struct Taken {
    /// The address that they have, with its port.
    pub address: SocketAddr,
    /// The sockets.
    pub sockets: Vec<OwnedFd>,
}

/// What kind of socket it is, and its address: as the kernel says, and not as somebody claims.
fn examine(socket: &OwnedFd) -> Result<(Kind, SocketAddr), Unfit> {
    let system = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOTSOCK => Unfit::NotInternet,
        error => Unfit::System(error.into()),
    };
    let local = getsockname(socket).map_err(system)?;
    let address = SocketAddr::try_from(local).map_err(|_| Unfit::NotInternet)?;
    let is_connected = getpeername(socket).is_ok();
    let kind = match sockopt::socket_type(socket).map_err(system)? {
        SocketType::STREAM => Kind::Tcp,
        SocketType::DGRAM => Kind::Udp,
        _ => return Err(Unfit::OtherKind),
    };
    match kind {
        _ if is_connected => Err(Unfit::Connected),
        Kind::Tcp if !sockopt::socket_acceptconn(socket).map_err(system)? => {
            Err(Unfit::NotListening)
        }
        kind => Ok((kind, address)),
    }
}

/// Makes it as one that we have bound; tells whether it is for IPv4 too.
fn prepare(socket: &OwnedFd, kind: Kind, address: SocketAddr) -> rustix::io::Result<bool> {
    ioctl_fionbio(socket, true)?;
    fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    match kind {
        // Connections inherit it.
        Kind::Tcp => sockopt::set_tcp_nodelay(socket, true)?,
        // With it, another program could have the port too, and what is sent there.
        Kind::Udp => sockopt::set_socket_reuseaddr(socket, false)?,
    }
    let any = address.ip().is_unspecified();
    let ipv6 = sockopt::socket_domain(socket)? == AddressFamily::INET6;
    Ok(any && ipv6 && !sockopt::ipv6_v6only(socket)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn sockets_are_found_by_kind_and_address() {
        let mut inherited = Inherited::default();
        let (one, address) = listener();
        let udp = UdpSocket::bind(address).unwrap();
        inherited.add(one.try_clone().unwrap().into()).unwrap();
        inherited.add(one.into()).unwrap();
        inherited.add(udp.into()).unwrap();
        assert_eq!(inherited.addresses(Kind::Tcp), [(address, false)]);
        assert!(
            inherited
                .take(Kind::Tcp, "127.0.0.1:1".parse().unwrap())
                .is_none()
        );
        assert_eq!(inherited.take(Kind::Udp, address).unwrap().sockets.len(), 1);
        assert_eq!(inherited.take(Kind::Tcp, address).unwrap().sockets.len(), 2);
        assert!(inherited.take(Kind::Tcp, address).is_none());
    }

    #[test]
    fn port_0_is_whichever_there_is() {
        let mut inherited = Inherited::default();
        let (one, address) = listener();
        inherited.add(one.into()).unwrap();
        assert!(
            inherited
                .take(Kind::Tcp, "[::1]:0".parse().unwrap())
                .is_none()
        );
        let taken = inherited.take(Kind::Tcp, "127.0.0.1:0".parse().unwrap());
        assert_eq!(taken.unwrap().address, address);
    }

    #[test]
    fn a_socket_for_both_families_is_taken_once() {
        // A machine without IPv6 has no such socket.
        let Ok(both) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
            return;
        };
        let address = both.local_addr().unwrap();
        let ipv4 = (Ipv4Addr::UNSPECIFIED, address.port()).into();
        let mut inherited = Inherited::default();
        inherited.add(both.into()).unwrap();
        assert_eq!(inherited.addresses(Kind::Tcp), [(address, true)]);
        assert!(inherited.take(Kind::Tcp, ipv4).is_none());
        assert_eq!(inherited.take(Kind::Tcp, address).unwrap().sockets.len(), 1);
        assert!(inherited.take(Kind::Tcp, ipv4).unwrap().sockets.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let (one, address) = listener();
        let client = TcpStream::connect(address).unwrap();
        let (server, _) = one.accept().unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(address).unwrap();
        let bound =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        bound
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        let unfit: [(OwnedFd, &str); 7] = [
            (client.into(), "is a connection"),
            (server.into(), "is a connection"),
            (connected.into(), "is a connection"),
            (bound.into(), "does not listen"),
            (
                UnixListener::bind(folder.path().join("s")).unwrap().into(),
                "no TCP or UDP",
            ),
            (UnixStream::pair().unwrap().0.into(), "no TCP or UDP"),
            (
                std::fs::File::open("/dev/null").unwrap().into(),
                "no TCP or UDP",
            ),
        ];
        for (socket, reason) in unfit {
            let error = Inherited::default().add(socket).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
