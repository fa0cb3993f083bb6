//! Sockets on an address, one for each core: the kernel deals connections out among them.

use crate::exchange::Scheme;
use crate::sockets;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Connections that wait to be accepted; the kernel cuts it down to its own limit.
const BACKLOG: i32 = 4096;

/// A listening socket and the address that it has.
#[derive(Debug)]
pub struct Bound {
    /// The socket, non-blocking.
    pub socket: OwnedFd,
    /// Its address, with the port that the system chose if 0 was asked for.
    pub address: SocketAddr,
    /// How its connections come to all cores.
    pub sharing: Sharing,
    /// How clients speak there.
    pub scheme: Scheme,
}

/// How the connections of an address come to all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each core has a socket, and the kernel shares the connections out among them.
    Kernel,
    /// There are fewer sockets than cores: whoever accepts a connection deals it ([`super::Dealer`]).
    Dealt,
}

impl Sharing {
    /// How `sockets` sockets of one address are shared by `cores` cores.
    pub fn of(sockets: usize, cores: usize) -> Sharing {
        match sockets < cores {
            true => Sharing::Dealt,
            false => Sharing::Kernel,
        }
    }
}

/// Sockets on `address` for so many cores. Linux shares a port's connections out among its sockets, so each core has one;
/// elsewhere there is one for all.
///
/// The first is tried without SO_REUSEPORT: with it, a second server of the same user would share the port
/// silently, and each would get half of the visitors.
///
/// # Errors
/// What the system says, such as that the address is in use or not of this machine.
pub fn bind(address: SocketAddr, cores: usize) -> io::Result<Vec<Bound>> {
    let count = if cfg!(target_os = "linux") { cores } else { 1 };
    let probe = bind_one(address, false)?;
    let address = local_address(&probe)?;
    drop(probe);
    (0..count)
        .map(|_| {
            let socket = bind_one(address, true)?;
            rustix::net::listen(&socket, BACKLOG)?;
            Ok(Bound {
                socket,
                address,
                sharing: Sharing::of(count, cores),
                scheme: Scheme::Http,
            })
        })
        .collect()
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    // Connections of a server that just ended must not keep the port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own, so that either family may be missing.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    // Connections inherit it. Answers leave whole; there is nothing to wait for.
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(address).map_err(io::Error::from)
}

/// Which process listens on `port`: its number and name, where the system tells.
#[cfg(target_os = "linux")]
pub fn busy_by(port: u16) -> Option<(u32, String)> {
    let inode = sockets::listening_inode(port)?;
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid| holds(*pid, &socket))
        .map(|pid: u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            (pid, name.unwrap_or_default().trim().to_owned())
        })
}

/// Elsewhere the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn busy_by(_: u16) -> Option<(u32, String)> {
    None
}

#[cfg(target_os = "linux")]
fn holds(pid: u32, socket: &str) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|files| {
        files.filter_map(Result::ok).any(|file| {
            std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn all_sockets_share_the_port_that_the_system_chose() {
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
        assert_eq!(bound[0].address, bound[1].address);
        assert_ne!(bound[0].address.port(), 0);
    }

    #[test]
    fn a_taken_port_is_refused_and_its_owner_named() {
        let taken = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
        let error = bind(taken[0].address, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        if cfg!(target_os = "linux") {
            let (pid, _) = busy_by(taken[0].address.port()).unwrap();
            assert_eq!(pid, std::process::id());
        }
    }
}
