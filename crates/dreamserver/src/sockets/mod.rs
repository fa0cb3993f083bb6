//! Whose is a socket of this machine? The system knows which user opened it, and that counts; what programs say of
//! themselves does not.
//!
//! Linux is asked for one socket at a time by sock_diag(7). Where that is not allowed (sandboxes, containers), its tables in
//! `/proc/net` tell the same, at the cost of reading all of them. Other systems do not tell.

#[cfg(target_os = "linux")]
mod diag;
mod tables;

use rustix::process::geteuid;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// A user, by number.
pub type User = u32;

/// The system, as the one who knows whose sockets are.
pub struct Sockets(Source);

enum Source {
    #[cfg(target_os = "linux")]
    Diag(diag::Diag),
    Tables,
}

/// Who listens on a port of `localhost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Nobody that could be seen.
    Nobody,
    /// A program of this user.
    User(User),
    /// Programs of different users, one for IPv4 and one for IPv6: whom a connection reaches cannot be told.
    Several,
}

/// Who has sent something to a socket of ours, by addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// How it came.
    pub protocol: Protocol,
    /// Where it came from.
    pub address: SocketAddr,
    /// Where it arrived.
    pub ours: SocketAddr,
}

/// How something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the protocol it names")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Sockets {
    /// Looks for a way to be told, and tries it with sockets of our own.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open() -> io::Result<Sockets> {
        #[cfg(target_os = "linux")]
        if let Some(sockets) = diag::Diag::open().ok().map(Source::Diag).map(Sockets)
            && sockets.try_out().is_ok()
        {
            return Ok(sockets);
        }
        let sockets = Sockets(Source::Tables);
        sockets.try_out()?;
        Ok(sockets)
    }

    /// Does a look read all tables, which takes long on a busy machine?
    pub fn is_slow(&self) -> bool {
        matches!(self.0, Source::Tables)
    }

    /// Whose program has connections to this port of `localhost`, which means both of its addresses?
    ///
    /// # Errors
    /// The system does not tell.
    pub fn listener(&self, port: u16) -> io::Result<Listener> {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Source::Diag(diag) => diag.listener(port),
            Source::Tables => tables::listener(port),
        }
    }

    /// Whose is the socket that has sent something? Nothing if it is closed by now, or if that is not clear.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn sender(&self, sender: &Sender) -> io::Result<Option<User>> {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Source::Diag(diag) => diag.sender(sender),
            Source::Tables => tables::sender(sender),
        }
    }

    /// Systems that answer "no such socket" to every question exist.
    fn try_out(&self) -> io::Result<()> {
        let us = geteuid().as_raw();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ours = listener.local_addr()?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let sender = Sender {
            protocol: Protocol::Udp,
            address: socket.local_addr()?,
            ours,
        };
        let known =
            self.listener(ours.port())? == Listener::User(us) && self.sender(&sender)? == Some(us);
        match known {
            true => Ok(()),
            false => Err(io::Error::other("the system does not know our own sockets")),
        }
    }
}

impl Listener {
    /// This one, and another user's.
    fn and(self, user: User) -> Listener {
        match self {
            Listener::Nobody => Listener::User(user),
            Listener::User(other) if other == user => self,
            Listener::User(_) | Listener::Several => Listener::Several,
        }
    }
}

impl FromIterator<User> for Listener {
    fn from_iter<T: IntoIterator<Item = User>>(users: T) -> Listener {
        users.into_iter().fold(Listener::Nobody, Listener::and)
    }
}

/// The socket that listens on this port, by the number that its file has; nothing where the system does not tell.
pub fn listening_inode(port: u16) -> Option<u64> {
    tables::listening_inode(port)
}

/// Datagrams to these addresses of ours that the system had no room for, since their sockets were opened. It reads the table
/// of all sockets.
///
/// # Errors
/// The system does not tell.
pub fn dropped(addresses: &[SocketAddr]) -> io::Result<u64> {
    tables::dropped(addresses)
}

/// What `localhost` means.
const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::LOCALHOST),
];

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
