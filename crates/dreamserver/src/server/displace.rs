//! The core server before this one, a program in Go, holds the port for announcements and knows no take-over: it is told to
//! end, in its own words, and its ports are waited for.

use crate::address::ListenEntry;
use crate::control::StartError;
use crate::listener::{bind, busy_by};
use dream_control::{Client, Command};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A program that was told to end has left its ports within this time.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Has the program that takes announcements at `address` end, and waits until that port is free and those that are to be
/// listened on.
///
/// # Errors
/// It is a server like this one, with a state of its own, or it does not go.
pub(super) fn displace(address: SocketAddr, listen: &[ListenEntry]) -> Result<(), StartError> {
    if is_ours(address) {
        return Err(StartError::Taken(address));
    }
    let name = busy_by(address.port()).map_or_else(|| "another program".into(), |(_, name)| name);
    eprintln!("dreamserver: {name} takes announcements at {address}; it is told to end");
    let told =
        UdpSocket::bind((address.ip(), 0)).and_then(|socket| socket.send_to(b"shutdown", address));
    told.map_err(|error| StartError::Listen(address, error))?;
    let end = Instant::now() + PATIENCE;
    let is_left = || {
        let mut others = listen.iter().flat_map(|entry| entry.address.sockets());
        !is_bound(address) && !others.any(is_taken)
    };
    while !is_left() && Instant::now() < end {
        sleep(LOOK);
    }
    match is_bound(address) {
        true => Err(StartError::Taken(address)),
        // Whether the others are free is told by who listens on them.
        false => Ok(()),
    }
}

/// Does it answer as this program would?
fn is_ours(address: SocketAddr) -> bool {
    Client::new(address).send(&Command::Ping).is_ok()
}

fn is_bound(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_err() || is_taken(address)
}

fn is_taken(address: SocketAddr) -> bool {
    bind(address, 1).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}
