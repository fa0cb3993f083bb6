//! A connected socket, TCP or unix, read and written without waiting.
//!
//! The runtime's own socket types ask the kernel once more after every short read and cannot be shared by a reading
//! and a writing side; this one does neither, and one type serves both address families.
//!
//! The runtime watches a socket only once something has to be waited for: a connection whose request came with it, and
//! which ends with the answer, costs no system call for that.
//!
//! With TLS on it, it reads and writes plaintext, and whoever uses it need not know.

mod pending;
mod raw;
mod records;
mod tls;

pub use raw::{Watched, watch};

use crate::pipe::Pipe;
use records::Side;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tls::Session;
use tokio::io::Interest;
use tokio::io::unix::AsyncFdReadyGuard;

/// A connected, non-blocking socket.
#[derive(Debug)]
pub struct Stream {
    socket: Rc<OwnedFd>,
    /// The socket again, once it is watched.
    watched: OnceCell<Watched>,
    paused: Cell<bool>,
    tls: Option<Box<RefCell<Session>>>,
}

impl Stream {
    /// Takes charge of a connected socket, which must be non-blocking.
    pub fn new(socket: OwnedFd) -> Stream {
        Stream {
            socket: Rc::new(socket),
            watched: OnceCell::new(),
            paused: Cell::new(false),
            tls: None,
        }
    }

    /// Has the server's side of a TLS connection speak through the socket, which has `received` so much. Then comes
    /// [`Stream::poll_handshake`].
    pub fn secured(self, connection: UnbufferedServerConnection, received: &[u8]) -> Stream {
        self.with_session(Session::new(Side::Server(connection), received))
    }

    /// The same for the client's side.
    pub fn secured_as_client(self, connection: UnbufferedClientConnection) -> Stream {
        self.with_session(Session::new(Side::Client(connection), &[]))
    }

    fn with_session(self, session: Session) -> Stream {
        Stream {
            tls: Some(Box::new(RefCell::new(session))),
            ..self
        }
    }

    /// Does the socket carry the bytes as they are? Then the kernel can move them by itself.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// What was agreed with the other side, if this is TLS. The look must be over before anything is read or written.
    pub fn agreed(&self) -> Option<Ref<'_, CommonState>> {
        let session = self.tls.as_ref()?.borrow();
        Some(Ref::map(session, Session::state))
    }

    /// Ready when both sides of a TLS connection know each other; at once where there is none.
    ///
    /// # Errors
    /// What the socket says, or why the other side cannot be talked to.
    pub fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().poll_handshake(self, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Reads what is there, waiting if there is nothing; 0 is the end. A TLS connection that ends without saying so is an error:
    /// what came may not be all.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_read(&self, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_read_into(|| buffer, cx)
    }

    /// As [`Stream::poll_read`]; the buffer is asked for when there may be something to put into it.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_read_into<'a>(
        &self,
        buffer: impl FnOnce() -> &'a mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().poll_read(self, buffer, cx),
            None => self.poll_read_socket(buffer, cx),
        }
    }

    /// The bytes as they came, encrypted or not.
    fn poll_read_socket<'a>(
        &self,
        buffer: impl FnOnce() -> &'a mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // What came with a fresh connection is there before anybody watches it.
        let mut guard = match self.watched.get() {
            Some(_) => Some(ready!(self.poll_readable(cx))?),
            None => None,
        };
        let buffer = buffer();
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((count, _)) => {
                    // A short read emptied the socket: the next one waits instead of asking again.
                    if let Some(guard) = guard
                        .as_mut()
                        .filter(|_| (1..buffer.len()).contains(&count))
                    {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => {
                    if let Some(guard) = &mut guard {
                        guard.clear_ready();
                    }
                    guard = Some(ready!(self.poll_readable(cx))?);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Writes what fits of several pieces in one system call, waiting if nothing fits. With TLS it waits until what was taken has
    /// left: whoever waits comes back with the same bytes in front.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_write(
        &self,
        pieces: &[IoSlice<'_>],
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().poll_write(self, pieces, more, cx),
            None => self.poll_write_with(cx, |fd| send(fd, pieces, more)),
        }
    }

    /// Sends a part of a file, from the kernel's memory where nothing is to be encrypted, waiting if nothing fits.
    ///
    /// # Errors
    /// What the socket or the file says.
    pub fn poll_sendfile(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            let mut session = tls.borrow_mut();
            return session.poll_sendfile(self, file, offset, count, cx);
        }
        self.poll_write_with(cx, |fd| sendfile(fd, file, offset, count))
    }

    /// Moves what is there, up to `most` bytes, into an empty pipe, waiting if there is nothing; 0 is the end. The stream must be
    /// plain.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_fill(
        &self,
        pipe: &mut Pipe,
        most: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.poll_readable(cx))?;
            match pipe.fill(self.socket.as_fd(), most) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Moves what fits out of a pipe, waiting if nothing fits; `more` says that more will follow at once. The stream must be plain.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_drain(
        &self,
        pipe: &mut Pipe,
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |fd| pipe.drain(fd, more))
    }

    /// Is something to be read, or the other side's end? The kernel is asked only where the runtime does not know better.
    pub fn is_readable(&self) -> bool {
        if let Some(tls) = &self.tls {
            // A ticket that came late is nothing to read.
            return tls.borrow_mut().is_readable(self);
        }
        if self.watched.get().is_none() {
            return self.has_bytes();
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.poll_readable(&mut cx) {
            Poll::Pending => false,
            // What was there may have been taken without a look at what is behind it.
            Poll::Ready(Ok(mut guard)) if !self.has_bytes() => {
                guard.clear_ready();
                false
            }
            Poll::Ready(_) => true,
        }
    }

    /// Asks the kernel whether something is to be read, or the other side has closed.
    pub fn has_input(&self) -> bool {
        match &self.tls {
            // A ticket that came late is nothing to read, here neither.
            Some(tls) => tls.borrow_mut().has_input(self),
            None => self.has_bytes(),
        }
    }

    /// Asks the kernel whether the other side has sent anything, be it encrypted, or closed.
    fn has_bytes(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !matches!(
            rustix::net::recv(&self.socket, &mut byte, flags),
            Err(Errno::AGAIN | Errno::INTR)
        )
    }

    /// Waits until the other side has reset the connection. A mere end of its sending, or data, is
    /// not that: then this waits for ever.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut guard) = ready!(self.poll_readable(cx)) else {
                return Poll::Ready(());
            };
            let mut byte = [0];
            match rustix::net::recv(&self.socket, &mut byte, RecvFlags::PEEK) {
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return Poll::Ready(()),
                Ok(_) => return Poll::Pending,
            }
        }
    }

    /// Waits until writing may succeed; ends a connect.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.watched()?.poll_write_ready(cx))?.retain_ready();
        let failure = rustix::net::sockopt::socket_error(&self.socket)?;
        Poll::Ready(failure.map_err(io::Error::from))
    }

    /// Tells the other side of a TLS connection that this is its proper end, which is not said by its socket.
    pub fn farewell(&self) {
        if let Some(tls) = &self.tls {
            tls.borrow_mut().farewell(self);
        }
    }

    /// Tells the other side that nothing more comes.
    pub fn shutdown(&self, how: Shutdown) {
        if how == Shutdown::Write {
            self.farewell();
        }
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        // A socket that is gone already needs no goodbye.
        let _ = rustix::net::shutdown(&self.socket, how);
    }

    /// Nobody will read for a while: until the next read, the kernel need not wake us for every packet that comes in.
    #[cfg(target_os = "linux")]
    pub fn pause(&self) {
        if !self.paused.replace(true) {
            // More than half of what the kernel wants to hold would make it hold more.
            let held = rustix::net::sockopt::socket_recv_buffer_size(&self.socket).unwrap_or(0);
            raw::report_readable_from(self.as_fd(), i32::try_from(held / 2).unwrap_or(i32::MAX));
        }
    }

    /// Elsewhere the kernel is not told.
    #[cfg(not(target_os = "linux"))]
    pub fn pause(&self) {}

    /// Every read asks this first, which is why [`Stream::pause`] cannot outlast it.
    fn poll_readable(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, Rc<OwnedFd>>>> {
        #[cfg(target_os = "linux")]
        if self.paused.replace(false) {
            raw::report_readable_from(self.as_fd(), 1);
        }
        self.watched()?.poll_read_ready(cx)
    }

    /// The socket, which the runtime watches from now on.
    fn watched(&self) -> io::Result<&Watched> {
        if let Some(watched) = self.watched.get() {
            return Ok(watched);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = watch(self.socket.clone(), interest)?;
        Ok(self.watched.get_or_init(|| watched))
    }

    /// Writes at once, and waits for readiness only when the kernel says so: a fresh connection is
    /// writable before the runtime knows.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(self.socket.as_fd()) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            // What the runtime knew was true before. Now the kernel tells when there is room for more than a little.
            ready!(self.watched()?.poll_write_ready(cx))?.clear_ready();
            ready!(self.watched()?.poll_write_ready(cx))?.retain_ready();
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
// macOS has no such flag; the standard library ignores SIGPIPE at start.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_SIGNAL: SendFlags = SendFlags::empty();

fn send(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>], more: bool) -> rustix::io::Result<usize> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = if more {
        NO_SIGNAL | SendFlags::MORE
    } else {
        NO_SIGNAL
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let (flags, _) = (NO_SIGNAL, more);
    if let [piece] = pieces {
        return rustix::net::send(fd, piece, flags);
    }
    rustix::net::sendmsg(fd, pieces, &mut Default::default(), flags)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sendfile(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    mut offset: u64,
    count: usize,
) -> rustix::io::Result<usize> {
    rustix::fs::sendfile(socket, file, Some(&mut offset), count)
}

/// Elsewhere the file passes through our memory.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sendfile(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> rustix::io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let wanted = count.min(buffer.len());
    let read = rustix::io::pread(file, &mut buffer[..wanted], offset)?;
    rustix::net::send(socket, &buffer[..read], NO_SIGNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::task::Waker;

    #[test]
    fn what_is_there_is_read_and_answered_without_being_watched() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.write_all(b"hello").unwrap();
        let stream = Stream::new(ours.into());
        let mut cx = Context::from_waker(Waker::noop());
        let mut buffer = [0; 8];
        let read = stream.poll_read(&mut buffer, &mut cx);
        assert!(matches!(read, Poll::Ready(Ok(5))), "{read:?}");
        let written = stream.poll_write(&[IoSlice::new(b"bye")], false, &mut cx);
        assert!(matches!(written, Poll::Ready(Ok(3))), "{written:?}");
        assert!(stream.watched.get().is_none());
    }
}
