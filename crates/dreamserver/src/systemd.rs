//! What systemd and its like agree on with the services that they start: sockets that they opened for them (sd_listen_fds(3)),
//! and what a service tells of itself (sd_notify(3)).

use crate::listener::{Inherited, Unfit};
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

/// A descriptor that was passed to this process and is of no use to it.
#[derive(Debug)]
pub struct UnfitSocket {
    number: usize,
    name: Option<String>,
    reason: Unfit,
}

impl fmt::Display for UnfitSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "systemd passed descriptor {}", self.number)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        write!(f, ", which {}", self.reason)
    }
}

/// The sockets that were passed to this process; none if it was started by hand. To be called once, before there are
/// other threads.
///
/// # Errors
/// The first of them that can neither be listened on nor be read from.
pub fn sockets() -> Result<Inherited, UnfitSocket> {
    let mut inherited = Inherited::default();
    if !has_passed_sockets() {
        return Ok(inherited);
    }
    let names = env::var(NAMES).unwrap_or_default();
    let mut passed = ListenFd::from_env();
    for (index, name) in
        (0..passed.len()).zip(names.split(':').map(Some).chain(std::iter::repeat(None)))
    {
        let added = take(&mut passed, index).and_then(|socket| inherited.add(socket));
        added.map_err(|reason| UnfitSocket {
            number: FIRST + index,
            name: name.filter(|name| !name.is_empty()).map(str::to_owned),
            reason,
        })?;
    }
    Ok(inherited)
}

/// Are there sockets for this process? The variables are also seen by whatever a service starts; the number tells for whom
/// they are.
pub fn has_passed_sockets() -> bool {
    env::var(FOR).is_ok_and(|pid| pid.parse() == Ok(std::process::id()))
}

/// The descriptor, if it is a socket at all.
fn take(passed: &mut ListenFd, index: usize) -> Result<OwnedFd, Unfit> {
    if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
        return Ok(socket.into());
    }
    match passed.take_udp_socket(index) {
        Ok(Some(socket)) => Ok(socket.into()),
        _ => Err(Unfit::NotInternet),
    }
}

/// What a service tells of itself.
#[derive(Clone, Debug)]
pub enum Notice<'a> {
    /// It serves; a line says what.
    Ready(&'a str),
    /// It reads its configuration again.
    Reloading,
    /// It ends.
    Stopping,
    /// It goes on in another process, which this one has made room for.
    Successor(i32),
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Ready(status) => {
                let status = status.replace('\n', " ");
                write!(f, "READY=1\nSTATUS={}\n", status.trim_end())
            }
            Notice::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
                write!(f, "RELOADING=1\nMONOTONIC_USEC={micros}\n")
            }
            Notice::Stopping => f.write_str("STOPPING=1\nSTATUS=finishes what it has\n"),
            Notice::Successor(pid) => writeln!(f, "MAINPID={pid}"),
        }
    }
}

/// Tells it to whoever started this service, if they want to know.
pub fn notify(notice: &Notice<'_>) {
    let Some(socket) = env::var_os(LISTENER).filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, notice.to_string().as_bytes()) {
        tracing::warn!(%error, socket = %socket.display(), "the service manager cannot be told");
    }
}

/// A path, or, behind an `@`, a name of Linux that is no file.
fn send(socket: &OsStr, notice: &[u8]) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let [b'@', name @ ..] = std::os::unix::ffi::OsStrExt::as_bytes(socket) {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return sender.send_to_addr(notice, &address).map(|_| ());
    }
    sender.send_to(notice, socket).map(|_| ())
}

/// The process that the sockets are for.
const FOR: &str = "LISTEN_PID";
/// Their names, with colons between them.
const NAMES: &str = "LISTEN_FDNAMES";
/// The first descriptor that is passed: the first behind the standard ones.
const FIRST: usize = 3;
/// Where notices go.
const LISTENER: &str = "NOTIFY_SOCKET";
