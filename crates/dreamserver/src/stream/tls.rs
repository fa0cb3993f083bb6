//! TLS on a socket: what is read is decrypted, what is written is encrypted, and neither side waits for the other.
//!
//! The library keeps the state and the keys; reading from and writing to the socket is ours. Bytes are decrypted and encrypted
//! in buffers of the core, large enough for a few records (RFC 8446 §5.1): a large body costs few system calls, and a connection
//! that idles holds no buffer.

use super::pending::Pending;
use super::records::{Side, Sinks, Step, Words};
use super::{Stream, send};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::CommonState;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};

/// Encrypted bytes that are received with one system call.
const RECEIVED: usize = 64 * 1024;

/// Plaintext that is encrypted at once.
const PIECE: usize = 64 * 1024;

/// What encryption adds to a piece, and a message of the library's own, which may have to be said before.
const OVERHEAD: usize = 2 * 1024;

/// No message of a handshake is longer; who sends more than this without completing one is not listened to.
const INCOMPLETE: usize = 80 * 1024;

/// The head of a record: its type, a version and its length (RFC 8446 §5.1).
const RECORD_HEAD: usize = 5;

thread_local! {
    /// What is received, or to be encrypted.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// What is encrypted.
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One side of a TLS connection.
pub(super) struct Session {
    side: Side,
    /// Received and not yet decrypted: a part of a record, or records behind plaintext that waits to be read.
    received: Pending,
    /// There may be whole records among them.
    has_more: bool,
    /// Decrypted and not yet read.
    plaintext: Pending,
    /// Encrypted and not yet sent.
    unsent: Pending,
    /// Bytes of the caller's that are encrypted but have not all been sent: it is told of them when they have.
    accepted: usize,
    /// The other side has said that it sends no more (RFC 8446 §6.1).
    ended: bool,
    /// It broke a rule: nothing can be said any more.
    broken: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Begins with what was received already.
    pub(super) fn new(side: Side, received: &[u8]) -> Session {
        let mut session = Session {
            side,
            received: Pending::default(),
            has_more: true,
            plaintext: Pending::default(),
            unsent: Pending::default(),
            accepted: 0,
            ended: false,
            broken: false,
        };
        session.received.append(received);
        session
    }

    /// What was agreed with the other side.
    pub(super) fn state(&self) -> &CommonState {
        self.side.state()
    }

    /// Continues the handshake until both sides have said all; [`Stream::poll_handshake`].
    pub(super) fn poll_handshake(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut nobody = |_: &[u8]| 0;
        loop {
            // A client speaks first.
            if self.has_more {
                self.decrypt_again(stream, &mut nobody)?;
            }
            // Tickets wait for the first answer, and leave with it.
            if !self.state().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_flush(stream, false, cx))?;
            ready!(self.poll_receive(stream, &mut nobody, cx))?;
        }
    }

    pub(super) fn poll_read<'a>(
        &mut self,
        stream: &Stream,
        buffer: impl FnOnce() -> &'a mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if !self.plaintext.is_empty() {
            return Poll::Ready(Ok(self.plaintext.read(buffer())));
        }
        let mut target = Target {
            ask: Some(buffer),
            buffer: &mut [],
            filled: 0,
        };
        loop {
            if target.filled > 0 {
                return Poll::Ready(Ok(target.filled));
            }
            if self.ended {
                return Poll::Ready(Ok(0));
            }
            if self.has_more {
                self.decrypt_again(stream, &mut |bytes| target.put(bytes))?;
                continue;
            }
            let polled = self.poll_receive(stream, &mut |bytes| target.put(bytes), cx);
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
        if self.accepted > 0 {
            return self.poll_accepted(stream, more, cx);
        }
        let mut filled = pieces.iter().filter(|piece| !piece.is_empty());
        match (filled.next(), filled.next()) {
            (None, _) => Poll::Ready(Ok(0)),
            (Some(piece), None) => {
                let piece = &piece[..piece.len().min(PIECE)];
                self.poll_encrypted(stream, piece, more, cx)
            }
            // Small pieces share a record.
            _ => with_buffer(&INPUT, PIECE, |buffer| {
                let count = gather(pieces, &mut buffer[..PIECE]);
                self.poll_encrypted(stream, &buffer[..count], more, cx)
            }),
        }
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
        if self.accepted > 0 {
            return self.poll_accepted(stream, count > self.accepted, cx);
        }
        with_buffer(&INPUT, PIECE, |buffer| {
            let wanted = count.min(PIECE);
            let read = rustix::io::pread(file, &mut buffer[..wanted], offset)?;
            self.poll_encrypted(stream, &buffer[..read], count > read, cx)
        })
    }

    /// Says that we send no more (RFC 8446 §6.1), if that can be said at once.
    pub(super) fn farewell(&mut self, stream: &Stream) {
        // Behind half a record nothing could be understood.
        if self.accepted > 0 || self.broken || self.state().is_handshaking() {
            return;
        }
        with_buffer(&OUTPUT, OVERHEAD, |out| {
            // Who cannot be told sees the end of the socket.
            if let Ok(count) = self.encrypt(Words::Farewell, out, stream) {
                self.unsent.append(&out[..count]);
            }
        });
        self.say(stream);
    }

    /// Decrypts what has come without a wait; is there plaintext, or has the connection ended?
    pub(super) fn is_readable(&mut self, stream: &Stream) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            if !self.plaintext.is_empty() || self.has_more || self.ended {
                return true;
            }
            match self.poll_receive(stream, &mut |_| 0, &mut cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return true,
            }
        }
    }

    /// The same, asking the kernel where the runtime may not know yet.
    pub(super) fn has_input(&mut self, stream: &Stream) -> bool {
        loop {
            if !self.plaintext.is_empty() || self.has_more || self.ended {
                return true;
            }
            let received = self.receive(stream, &mut |_| 0, |buffer| {
                match rustix::net::recv(stream, buffer, RecvFlags::DONTWAIT) {
                    Ok((count, _)) => Poll::Ready(Ok(count)),
                    Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error.into())),
                }
            });
            match received {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => return true,
            }
        }
    }

    /// Receives and decrypts what is there. `put` says how much of the plaintext it took; the rest waits.
    fn poll_receive(
        &mut self,
        stream: &Stream,
        put: &mut dyn FnMut(&[u8]) -> usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.receive(stream, put, |buffer| stream.poll_read_socket(|| buffer, cx))
    }

    fn receive(
        &mut self,
        stream: &Stream,
        put: &mut dyn FnMut(&[u8]) -> usize,
        receive: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let held = self.received.as_slice().len();
        if held > INCOMPLETE {
            let error = "a message of the handshake does not end";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        with_buffer(&INPUT, held + RECEIVED, |buffer| {
            let count = ready!(receive(&mut buffer[held..held + RECEIVED]))?;
            if count == 0 {
                // The connection was cut, or the other side does not say when it ends: what came may not be all.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if count < missing(self.received.as_slice()) {
                self.received.append(&buffer[held..held + count]);
                return Poll::Ready(Ok(()));
            }
            buffer[..held].copy_from_slice(self.received.as_slice());
            let bytes = &mut buffer[..held + count];
            let used = self.decrypt(bytes, stream, put);
            self.received = Pending::default();
            self.received.append(&bytes[used?..]);
            Poll::Ready(Ok(()))
        })
    }

    /// Decrypts what was received before.
    fn decrypt_again(
        &mut self,
        stream: &Stream,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> io::Result<()> {
        let mut received = std::mem::take(&mut self.received);
        let used = self.decrypt(received.as_mut_slice(), stream, put)?;
        received.advance(used);
        self.received = received;
        Ok(())
    }

    /// Decrypts until plaintext is left over, or there is no whole record; says how many bytes are done with.
    fn decrypt(
        &mut self,
        bytes: &mut [u8],
        stream: &Stream,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> io::Result<usize> {
        let mut used = 0;
        self.has_more = false;
        loop {
            let (count, step) = self.step(&mut bytes[used..], put, None);
            used += count;
            match step {
                Ok(Step::Plaintext) if !self.plaintext.is_empty() => {
                    self.has_more = used < bytes.len();
                    return Ok(used);
                }
                Ok(Step::Blocked | Step::Said(_)) => return Ok(used),
                Ok(Step::Again | Step::Plaintext) => {}
                Ok(Step::Ended) => self.ended = true,
                Err(error) => return Err(self.fail(error, stream)),
            }
        }
    }

    fn step(
        &mut self,
        bytes: &mut [u8],
        put: &mut dyn FnMut(&[u8]) -> usize,
        words: Option<(Words<'_>, &mut [u8])>,
    ) -> (usize, Result<Step, rustls::Error>) {
        if self.broken {
            return (0, Err(rustls::Error::General("it broke before".into())));
        }
        let (plaintext, unsent) = (&mut self.plaintext, &mut self.unsent);
        let mut sinks = Sinks {
            plaintext: &mut |bytes| {
                let count = put(bytes);
                plaintext.append(&bytes[count..]);
            },
            unsent: &mut |bytes| unsent.append(bytes),
        };
        self.side.step(bytes, &mut sinks, words)
    }

    /// Nothing more can be said or heard, except for the alert that tells why, if it can be sent.
    fn fail(&mut self, error: rustls::Error, stream: &Stream) -> io::Error {
        // The library must not see the bytes again that it has refused.
        while !self.broken && self.state().wants_write() {
            let (_, step) = self.step(&mut [], &mut <[u8]>::len, None);
            self.broken = step.is_err();
        }
        self.broken = true;
        self.say(stream);
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    /// Encrypts, after what the library has to say before. The words must fit.
    fn encrypt(&mut self, words: Words<'_>, out: &mut [u8], stream: &Stream) -> io::Result<usize> {
        // The library goes on with what was received first, which it must find in its place.
        let mut received = std::mem::take(&mut self.received);
        let said = loop {
            let (used, step) = self.step(
                received.as_mut_slice(),
                &mut |_| 0,
                Some((words, &mut *out)),
            );
            received.advance(used);
            match step {
                Ok(Step::Said(count)) => break Ok(count),
                Ok(Step::Again | Step::Plaintext) => {}
                Ok(Step::Ended) => self.ended = true,
                Ok(Step::Blocked) => break Err(io::ErrorKind::NotConnected.into()),
                Err(error) => break Err(self.fail(error, stream)),
            }
        };
        self.received = received;
        said
    }

    /// Encrypts plaintext and sends it; ready when it has left.
    fn poll_encrypted(
        &mut self,
        stream: &Stream,
        plaintext: &[u8],
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let sent = with_buffer(&OUTPUT, PIECE + OVERHEAD, |out| {
            let count = self.encrypt(Words::Data(plaintext), out, stream)?;
            self.accepted = plaintext.len();
            let (before, encrypted) = (self.unsent.as_slice(), &out[..count]);
            let sent = stream.poll_write_with(cx, |fd| match before {
                [] => send(fd, &[IoSlice::new(encrypted)], more),
                before => send(fd, &[IoSlice::new(before), IoSlice::new(encrypted)], more),
            });
            let count = match &sent {
                Poll::Ready(Ok(count)) => *count,
                _ => 0,
            };
            let of_before = count.min(before.len());
            self.unsent.advance(of_before);
            self.unsent.append(&encrypted[count - of_before..]);
            sent
        });
        ready!(sent)?;
        self.poll_accepted(stream, more, cx)
    }

    /// Ready when what the caller gave has left.
    fn poll_accepted(
        &mut self,
        stream: &Stream,
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(stream, more, cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.accepted)))
    }

    /// Sends what the library has to say by itself, if that can be done at once.
    fn say(&mut self, stream: &Stream) {
        if self.accepted == 0 {
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
        while !self.unsent.is_empty() {
            let bytes = self.unsent.as_slice();
            let sent = stream.poll_write_with(cx, |fd| send(fd, &[IoSlice::new(bytes)], more));
            self.unsent.advance(ready!(sent)?);
        }
        Poll::Ready(Ok(()))
    }
}

/// Where plaintext is wanted. The buffer is asked for when there is some.
struct Target<'a, F> {
    ask: Option<F>,
    buffer: &'a mut [u8],
    filled: usize,
}

impl<'a, F: FnOnce() -> &'a mut [u8]> Target<'a, F> {
    /// Takes what fits, and says how much.
    fn put(&mut self, bytes: &[u8]) -> usize {
        if let Some(ask) = self.ask.take() {
            self.buffer = ask();
        }
        let room = &mut self.buffer[self.filled..];
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }
}

/// How many bytes the first record lacks, if its head is there; the library need not look at it before.
fn missing(received: &[u8]) -> usize {
    match received {
        [_, _, _, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            (RECORD_HEAD + length).saturating_sub(received.len())
        }
        _ => 0,
    }
}

/// Copies what fits of the pieces, and says how much that is.
fn gather(pieces: &[IoSlice<'_>], buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    for piece in pieces {
        let count = piece.len().min(buffer.len() - filled);
        buffer[filled..filled + count].copy_from_slice(&piece[..count]);
        filled += count;
    }
    filled
}

/// One of this core's buffers, of at least that size; what it holds means nothing.
fn with_buffer<T>(
    which: &'static std::thread::LocalKey<RefCell<Vec<u8>>>,
    size: usize,
    use_it: impl FnOnce(&mut [u8]) -> T,
) -> T {
    which.with_borrow_mut(|buffer| {
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        use_it(buffer)
    })
}
