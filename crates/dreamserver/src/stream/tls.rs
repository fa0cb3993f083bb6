//! TLS on a socket: what is read is decrypted, what is written is encrypted, and neither side waits for the other.
//!
//! The library keeps the state and the keys; reading from and writing to the socket is ours. Encrypted bytes are received
//! into one large buffer a core, so that a large body costs few system calls and an idle connection no buffer.

use super::{Stream, send};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::Connection;
use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};

/// Encrypted bytes that are received with one system call: a few whole records (RFC 8446 §5.2).
const RECEIVED: usize = 64 * 1024;

/// Of a file, so much is read and encrypted at once.
const PIECE: usize = 64 * 1024;

/// The library takes no more encrypted bytes while so much plaintext waits to be read.
const UNREAD: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One side of a TLS connection.
pub(super) struct Session {
    connection: Connection,
    /// Received and not yet decrypted, because plaintext waits to be read. Nearly always empty.
    received: Vec<u8>,
    /// Decrypted and not yet read.
    plaintext: usize,
    /// Bytes of the caller's that are encrypted but have not all been sent: it is told of them when they have.
    accepted: usize,
    /// The other side has said that it sends no more (RFC 8446 §6.1).
    ended: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(connection: Connection) -> Session {
        Session {
            connection,
            received: Vec::new(),
            plaintext: 0,
            accepted: 0,
            ended: false,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Continues the handshake until both sides have said all; [`Stream::poll_handshake`].
    pub(super) fn poll_handshake(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // Tickets wait for the first answer, and leave with it.
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_flush(stream, false, cx))?;
            if self.connection.is_handshaking() {
                ready!(self.poll_receive(stream, cx))?;
            }
        }
    }

    pub(super) fn poll_read<'a>(
        &mut self,
        stream: &Stream,
        buffer: impl FnOnce() -> &'a mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.plaintext > 0 {
                let count = self.connection.reader().read(buffer())?;
                self.plaintext -= count;
                return Poll::Ready(Ok(count));
            }
            if self.ended {
                return Poll::Ready(Ok(0));
            }
            if !self.received.is_empty() {
                let received = std::mem::take(&mut self.received);
                self.decrypt(&received, stream)?;
                continue;
            }
            let polled = self.poll_receive(stream, cx);
            if polled.is_pending() {
                self.say(stream);
            }
            ready!(polled)?;
        }
    }

    /// Encrypts what fits of the pieces, and is ready when it has been sent. Until then it must be called again with the
    /// same bytes in front.
    pub(super) fn poll_write(
        &mut self,
        stream: &Stream,
        pieces: &[IoSlice<'_>],
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.accepted == 0 {
            self.accepted = self.connection.writer().write_vectored(pieces)?;
        }
        ready!(self.poll_flush(stream, more, cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.accepted)))
    }

    /// The same with a piece of a file.
    pub(super) fn poll_sendfile(
        &mut self,
        stream: &Stream,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.accepted == 0 {
            self.accepted = with_scratch(|scratch| {
                let wanted = count.min(PIECE);
                let read = rustix::io::pread(file, &mut scratch[..wanted], offset)?;
                self.connection.writer().write(&scratch[..read])
            })?;
        }
        ready!(self.poll_flush(stream, count > self.accepted, cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.accepted)))
    }

    /// Says that we send no more (RFC 8446 §6.1), if that can be said at once.
    pub(super) fn farewell(&mut self, stream: &Stream) {
        // Behind half a record nothing could be understood.
        if self.accepted == 0 && !self.connection.is_handshaking() {
            self.connection.send_close_notify();
            self.say(stream);
        }
    }

    /// Decrypts what has come without a wait; is there plaintext, or has the connection ended?
    pub(super) fn is_readable(&mut self, stream: &Stream) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            if self.plaintext > 0 || self.ended {
                return true;
            }
            match self.poll_receive(stream, &mut cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return true,
            }
        }
    }

    /// The same, asking the kernel where the runtime may not know yet.
    pub(super) fn has_input(&mut self, stream: &Stream) -> bool {
        loop {
            if self.plaintext > 0 || self.ended {
                return true;
            }
            let received = with_scratch(|scratch| {
                match rustix::net::recv(stream, &mut *scratch, RecvFlags::DONTWAIT) {
                    Ok((count @ 1.., _)) => self.decrypt(&scratch[..count], stream).map(|()| true),
                    Err(Errno::AGAIN | Errno::INTR) => Ok(false),
                    Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) => Err(error.into()),
                }
            });
            match received {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Receives and decrypts what is there.
    fn poll_receive(&mut self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_scratch(|scratch| {
            let count = ready!(stream.poll_read_socket(|| &mut *scratch, cx))?;
            if count == 0 {
                // The connection was cut, or the other side does not say when it ends: what came may not be all.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(self.decrypt(&scratch[..count], stream))
        })
    }

    /// Decrypts, as long as the library takes it.
    fn decrypt(&mut self, mut bytes: &[u8], stream: &Stream) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.plaintext > UNREAD {
                self.received = bytes.to_vec();
                break;
            }
            self.connection.read_tls(&mut bytes)?;
            let state = self.connection.process_new_packets().map_err(|error| {
                // The alert says why, if it can be sent.
                self.say(stream);
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            self.plaintext = state.plaintext_bytes_to_read();
            self.ended = state.peer_has_closed();
        }
        Ok(())
    }

    /// Sends what the library has to say by itself, if that can be done at once.
    fn say(&mut self, stream: &Stream) {
        if self.accepted == 0 && self.connection.wants_write() {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            // If the socket is gone, whoever reads or writes next sees it.
            let _ = self.poll_flush(stream, false, &mut cx);
        }
    }

    /// Sends all that is encrypted.
    fn poll_flush(
        &mut self,
        stream: &Stream,
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            let sent = stream.poll_write_with(cx, |socket| {
                let mut socket = Socket { socket, more };
                self.connection
                    .write_tls(&mut socket)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            });
            ready!(sent)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Where the library writes encrypted records to.
struct Socket<'a> {
    socket: BorrowedFd<'a>,
    more: bool,
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(send(self.socket, pieces, self.more)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// This core's buffer for what is received or read; what it holds means nothing.
fn with_scratch<T>(use_it: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(RECEIVED, 0);
        use_it(scratch)
    })
}
