//! A connected byte stream: TCP or unix, read and written without waiting, polled for readiness.

use std::io;
use std::task::{Context, Poll};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl Stream {
    /// Reads what is there into `buffer`; `Ok(0)` is the end, `WouldBlock` means to wait.
    ///
    /// # Errors
    /// What the socket says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_read(buffer))
    }

    /// Writes what fits now.
    ///
    /// # Errors
    /// What the socket says; `WouldBlock` means to wait.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_write(bytes))
    }

    /// Writes what fits now of several pieces, in one system call.
    ///
    /// # Errors
    /// What the socket says; `WouldBlock` means to wait.
    pub fn try_write_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.try_write_vectored(pieces))
    }

    /// Waits until reading may succeed.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(cx))
    }

    /// Waits until writing may succeed.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(cx))
    }

    /// Runs a system call that needs the socket to be writable, such as sendfile.
    ///
    /// # Errors
    /// What the call says; `WouldBlock` means to wait.
    pub fn try_write_with<R>(&self, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        either!(self, stream => stream.try_io(tokio::io::Interest::WRITABLE, call))
    }
}

impl std::os::fd::AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        either!(self, stream => stream.as_fd())
    }
}
