//! What the libraries have no safe way to do with a socket. The only place of `unsafe` in the server.
#![allow(unsafe_code, reason = "each function says why it is needed and sound")]

use rustix::fd::{BorrowedFd, OwnedFd};
use std::io;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that the runtime watches.
pub type Watched = AsyncFd<Rc<OwnedFd>>;

/// Has the runtime watch a socket that it did not make.
///
/// # Errors
/// What the runtime says if it cannot watch another socket.
pub fn watch(socket: Rc<OwnedFd>, interest: Interest) -> io::Result<Watched> {
    // SAFETY: an `OwnedFd` names the same open file description for as long as it lives, and the `AsyncFd` keeps it alive:
    // nothing takes an `OwnedFd` out of an `Rc` that has another owner, and nothing takes it out of here.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    watched.map_err(io::Error::from)
}

/// Has the kernel report a socket as readable only from so many bytes on (`SO_RCVLOWAT`); its end and its errors are reported
/// all the same. Without effect where the kernel refuses.
#[cfg(target_os = "linux")]
pub fn report_readable_from(socket: BorrowedFd<'_>, bytes: libc::c_int) {
    use std::os::fd::AsRawFd;
    let len = size_of_val(&bytes) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_RCVLOWAT);
    // SAFETY: the descriptor is open while it is borrowed, and the kernel reads `len` bytes of an integer that outlives the call.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const bytes).cast(),
            len,
        )
    };
}
