//! The sending half of an HTTP/1.1 connection, whichever side we are on: encoded bytes, and the body behind them.
//!
//! A head and the first piece of its body leave in one system call; only small pieces are copied for that.

use crate::exchange::{Body, BodyError, BodyHandle, FileBody, FileBroke, PartsBody, SharedFile};
use crate::pipe::Pipe;
use crate::spare;
use crate::stream::Stream;
use bytes::Buf;
use dream_http::Fields;
use dream_http::h1::{BodyEncoder, Framing, Misuse};
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// How much of a file is sent between looks at whether it is in memory.
const WINDOW: u64 = 512 * 1024;

/// From this size on, what is left of a body moves through a pipe: below, a pipe costs more than the copies that it saves.
const SPLICED: u64 = 32 * 1024;

/// Data up to this size is copied behind the encoded bytes: that costs less than a system call that gathers pieces.
const COPIED: usize = 2048;

/// What is to be sent.
///
/// Invariant: `bytes[sent..]` go out first, then `announced` bytes of the body, then `tail`.
pub struct Outbound {
    bytes: Vec<u8>,
    sent: usize,
    announced: usize,
    tail: Vec<u8>,
    encoder: BodyEncoder,
    ended: bool,
    blocked: bool,
    body_sent: u64,
    total_sent: u64,
    warm_until: u64,
    warming: Option<JoinHandle<()>>,
    /// Holds a part of the body that is behind `bytes`, while the kernel moves it.
    pipe: Option<Pipe>,
}

/// Why sending stopped.
#[derive(Debug)]
pub enum OutboundError {
    /// The connection broke.
    Io(io::Error),
    /// The body broke off.
    Body(BodyError),
    /// Our own code announced another body than it gave.
    Misuse(Misuse),
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutboundError::Io(error) => error.fmt(f),
            OutboundError::Body(error) => error.fmt(f),
            OutboundError::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl std::error::Error for OutboundError {}

impl Default for Outbound {
    fn default() -> Outbound {
        Outbound {
            bytes: Vec::new(),
            sent: 0,
            announced: 0,
            tail: Vec::new(),
            encoder: BodyEncoder::new(Framing::None),
            ended: false,
            blocked: false,
            body_sent: 0,
            total_sent: 0,
            warm_until: 0,
            warming: None,
            pipe: None,
        }
    }
}

impl Outbound {
    /// Where encoded bytes are added, to be sent before any body.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spare::buffer();
        }
        &mut self.bytes
    }

    /// Begins a body behind the head that was just encoded.
    pub fn begin_body(&mut self, framing: Framing) {
        self.encoder = BodyEncoder::new(framing);
        self.ended = false;
        self.announced = 0;
        self.body_sent = 0;
        self.warm_until = 0;
        self.tail.clear();
        self.pipe = None;
    }

    /// Does the socket take no more for now?
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Bytes of body that were sent.
    pub fn body_sent(&self) -> u64 {
        self.body_sent
    }

    /// Has some of the body been taken from where it came?
    pub fn has_begun_body(&self) -> bool {
        self.body_sent > 0 || self.pipe.as_ref().is_some_and(|pipe| pipe.held() > 0)
    }

    /// Bytes of any kind that were ever sent, to see progress.
    pub fn total_sent(&self) -> u64 {
        self.total_sent
    }

    /// Forgets what was not sent.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Gives the memory back that an idle connection need not hold.
    pub fn rest(&mut self) {
        self.clear();
        spare::keep_buffer(std::mem::take(&mut self.bytes));
    }

    /// Sends the encoded bytes.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_flush(
        &mut self,
        stream: &Stream,
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let pieces = [IoSlice::new(&self.bytes[self.sent..])];
            let written = stream.poll_write(&pieces, more, cx);
            self.sent += ready!(self.note(written))?;
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    /// Sends the encoded bytes and the body, to its end.
    ///
    /// # Errors
    /// [`OutboundError`]; the connection cannot be used further.
    pub fn poll_body(
        &mut self,
        stream: &Stream,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), OutboundError>> {
        match body {
            Body::Empty | Body::Tunnel(_) => {}
            Body::Bytes(bytes) => {
                while bytes.has_remaining() {
                    let count = ready!(self.poll_piece(stream, bytes, None, false, cx))?;
                    bytes.advance(count);
                }
            }
            Body::File(file) => ready!(self.poll_file(stream, file, cx))?,
            Body::Parts(parts) => ready!(self.poll_parts(stream, parts, cx))?,
            Body::Stream(handle) => ready!(self.poll_stream(stream, handle, cx))?,
        }
        if !self.ended {
            self.end(None)?;
        }
        self.poll_flush(stream, false, cx)
            .map_err(OutboundError::Io)
    }

    fn poll_stream(
        &mut self,
        stream: &Stream,
        body: &mut BodyHandle,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), OutboundError>> {
        loop {
            let filled = match self.poll_pipe(stream, body, cx) {
                Poll::Ready(Ok(true)) => {
                    ready!(self.poll_drain(stream, body, cx)).map_err(OutboundError::Io)?;
                    continue;
                }
                Poll::Ready(Ok(false)) => body.poll_ready(cx).map_err(OutboundError::Body),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            };
            if filled.is_pending() {
                // What is there goes out before we wait for more.
                ready!(self.poll_flush(stream, false, cx)).map_err(OutboundError::Io)?;
            }
            ready!(filled)?;
            let data = body.data();
            if data.is_empty() {
                return Poll::Ready(self.end(body.trailers()));
            }
            let last = body.remaining() == Some(data.len() as u64);
            let trailers = last.then(|| body.trailers());
            let count = ready!(self.poll_piece(stream, data, trailers, false, cx))?;
            body.consume(count);
        }
    }

    /// Waits until something of a large body is in the pipe; `false` if the body is to be copied.
    fn poll_pipe(
        &mut self,
        stream: &Stream,
        body: &mut BodyHandle,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, OutboundError>> {
        if self.pipe.is_none() && stream.is_plain() && body.spliceable() >= SPLICED {
            self.pipe = Pipe::take();
        }
        let Some(pipe) = &mut self.pipe else {
            return Poll::Ready(Ok(false));
        };
        if pipe.held() > 0 {
            return Poll::Ready(Ok(true));
        }
        if body.spliceable() == 0 {
            self.pipe = None;
            return Poll::Ready(Ok(false));
        }
        let filled = body.poll_splice(pipe, cx);
        if filled.is_pending() {
            // Others may have more use for it meanwhile.
            self.pipe = None;
        }
        let count = ready!(filled).map_err(OutboundError::Body)?;
        self.encoder
            .data(count, &mut self.bytes)
            .map_err(OutboundError::Misuse)?;
        Poll::Ready(Ok(count > 0))
    }

    /// Sends the encoded bytes and what is in the pipe behind them.
    fn poll_drain(
        &mut self,
        stream: &Stream,
        body: &BodyHandle,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(stream, true, cx))?;
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held() > 0) {
            let more = body.spliceable() > 0;
            let sent = stream.poll_drain(pipe, more, cx);
            if sent.is_pending() && more {
                body.pause();
            }
            self.body_sent += ready!(self.note(sent))? as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends some of `data` behind the encoded bytes, and what ends the body if it is the last of it
    /// (then `last` holds the trailers); tells how much of the data was sent. `more` says that more will follow at once.
    fn poll_piece(
        &mut self,
        stream: &Stream,
        data: &[u8],
        last: Option<Option<&Fields>>,
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, OutboundError>> {
        if self.announced == 0 {
            self.encoder
                .data(data.len(), &mut self.bytes)
                .map_err(OutboundError::Misuse)?;
            self.announced = data.len();
        }
        let data = &data[..self.announced.min(data.len())];
        if let Some(trailers) = last
            && data.len() == self.announced
            && !self.ended
        {
            self.encoder
                .end(trailers, &mut self.tail)
                .map_err(OutboundError::Misuse)?;
            self.ended = true;
        }
        let written = match data.len() {
            ..=COPIED => self.write_copied(stream, data, more, cx),
            _ => self.write_pieces(stream, data, more, cx),
        };
        let written = ready!(self.note(written)).map_err(OutboundError::Io)?;
        Poll::Ready(Ok(self.account(written, data.len())))
    }

    /// Writes the encoded bytes, `data` and the tail as one piece.
    fn write_copied(
        &mut self,
        stream: &Stream,
        data: &[u8],
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let encoded = self.bytes.len();
        self.bytes.extend_from_slice(data);
        self.bytes.extend_from_slice(&self.tail);
        let piece = [IoSlice::new(&self.bytes[self.sent..])];
        let written = stream.poll_write(&piece, more, cx);
        self.bytes.truncate(encoded);
        written
    }

    /// Writes the encoded bytes, `data` and the tail from where they are.
    fn write_pieces(
        &self,
        stream: &Stream,
        data: &[u8],
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let pieces = [
            IoSlice::new(&self.bytes[self.sent..]),
            IoSlice::new(data),
            IoSlice::new(&self.tail),
        ];
        let used = if self.tail.is_empty() { 2 } else { 3 };
        let first = usize::from(self.sent == self.bytes.len());
        stream.poll_write(&pieces[first..used], more, cx)
    }

    /// Shares `written` out among the encoded bytes, the data and the tail; tells the data's share.
    fn account(&mut self, written: usize, data: usize) -> usize {
        let encoded = written.min(self.bytes.len() - self.sent);
        self.sent += encoded;
        let sent = (written - encoded).min(data);
        self.announced -= sent;
        self.body_sent += sent as u64;
        if sent == data {
            self.clear();
            self.bytes
                .extend_from_slice(&self.tail[written - encoded - sent..]);
            self.tail.clear();
        }
        sent
    }

    /// Sends texts and parts of a file in turns.
    fn poll_parts(
        &mut self,
        stream: &Stream,
        parts: &mut PartsBody,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), OutboundError>> {
        loop {
            while parts.text.has_remaining() {
                let more = parts.file.len > 0;
                let count = ready!(self.poll_piece(stream, &parts.text, None, more, cx))?;
                parts.text.advance(count);
            }
            ready!(self.poll_file(stream, &mut parts.file, cx))?;
            if !parts.advance() {
                return Poll::Ready(Ok(()));
            }
            // The next part may be anywhere.
            self.warm_until = 0;
        }
    }

    fn poll_file(
        &mut self,
        stream: &Stream,
        body: &mut FileBody,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), OutboundError>> {
        if self.announced == 0 && body.len > 0 && !self.ended {
            let len = usize::try_from(body.len).unwrap_or(usize::MAX);
            self.encoder
                .data(len, &mut self.bytes)
                .map_err(OutboundError::Misuse)?;
            self.announced = len;
        }
        ready!(self.poll_flush(stream, body.len > 0, cx)).map_err(OutboundError::Io)?;
        while body.len > 0 {
            let count = ready!(self.poll_warm(body, cx));
            body.check().map_err(broke)?;
            let sent = stream.poll_sendfile(body.shared.file.as_fd(), body.offset, count, cx);
            let sent = ready!(self.note(sent)).map_err(whose_fault)?;
            if sent == 0 {
                return Poll::Ready(Err(broke(FileBroke::Shorter)));
            }
            body.offset += sent as u64;
            body.len -= sent as u64;
            self.announced -= sent;
            self.body_sent += sent as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the next window of the file is in memory, so that sendfile never waits for a
    /// disk; tells how much may be sent.
    fn poll_warm(&mut self, body: &FileBody, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(warming) = &mut self.warming {
            // A read that failed shows again in sendfile, where it is reported.
            let _ = ready!(Pin::new(warming).poll(cx));
            self.warming = None;
            self.warm_until = body.offset + body.len.min(WINDOW);
        }
        if body.offset >= self.warm_until {
            let window = body.len.min(WINDOW);
            if !is_in_memory(&body.shared, body.offset, window) {
                self.warming = warm(&body.shared.file, body.offset, window);
                if self.warming.is_some() {
                    return self.poll_warm(body, cx);
                }
            }
            self.warm_until = body.offset + window;
        }
        Poll::Ready((self.warm_until - body.offset).min(body.len) as usize)
    }

    fn end(&mut self, trailers: Option<&Fields>) -> Result<(), OutboundError> {
        if !self.ended {
            self.encoder
                .end(trailers, &mut self.bytes)
                .map_err(OutboundError::Misuse)?;
            self.ended = true;
        }
        Ok(())
    }

    fn note(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.blocked = written.is_pending();
        if let Poll::Ready(Ok(count)) = &written {
            self.total_sent += *count as u64;
        }
        written
    }
}

fn broke(broke: FileBroke) -> OutboundError {
    OutboundError::Body(BodyError::File(broke))
}

/// Whether the file or the connection failed: both are of one system call, and it tells only by what it says. These are of disks,
/// of file systems on the network, and of descriptors that are not for reading.
fn whose_fault(error: io::Error) -> OutboundError {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        Some(
            Errno::IO
            | Errno::STALE
            | Errno::NXIO
            | Errno::NODEV
            | Errno::NODATA
            | Errno::ISDIR
            | Errno::INVAL
            | Errno::BADF,
        ) => broke(FileBroke::Unreadable(error)),
        _ => OutboundError::Io(error),
    }
}

/// Is this window in memory, as far as one can know?
fn is_in_memory(shared: &SharedFile, offset: u64, len: u64) -> bool {
    let (known, end) = (&shared.in_memory, offset + len);
    if end <= known.get() {
        return true;
    }
    let is_there = has_ends_in_memory(&shared.file, offset, len);
    if is_there && offset <= known.get() {
        known.set(end);
    }
    is_there
}

/// Are the first and the last byte of the window in memory? The kernel reads ahead in between.
#[cfg(target_os = "linux")]
fn has_ends_in_memory(file: &File, offset: u64, len: u64) -> bool {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let there = |at: u64| {
        let mut byte = [0];
        let mut pieces = [io::IoSliceMut::new(&mut byte)];
        let read = preadv2(file, &mut pieces, at, ReadWriteFlags::NOWAIT);
        read != Err(Errno::AGAIN)
    };
    there(offset) && there(offset + len - 1)
}

/// Elsewhere there is no way to ask.
#[cfg(not(target_os = "linux"))]
fn has_ends_in_memory(_: &File, _: u64, _: u64) -> bool {
    true
}

/// Reads the window on the blocking pool; `None` if the file cannot be shared with it.
fn warm(file: &File, offset: u64, len: u64) -> Option<JoinHandle<()>> {
    let file = file.try_clone().ok()?;
    Some(tokio::task::spawn_blocking(move || {
        let mut scratch = vec![0; 64 * 1024];
        let end = offset + len;
        let mut at = offset;
        while at < end {
            match rustix::io::pread(&file, &mut scratch, at) {
                Ok(count) if count > 0 => at += count as u64,
                _ => break,
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_disk_that_fails_is_not_the_clients_fault() {
        for errno in [Errno::IO, Errno::STALE, Errno::BADF] {
            let fault = whose_fault(errno.into());
            assert!(
                matches!(
                    &fault,
                    OutboundError::Body(BodyError::File(FileBroke::Unreadable(_)))
                ),
                "{errno}"
            );
            assert!(fault.to_string().starts_with("the file cannot be read: "));
        }
        for errno in [Errno::PIPE, Errno::CONNRESET, Errno::TIMEDOUT] {
            assert!(
                matches!(whose_fault(errno.into()), OutboundError::Io(_)),
                "{errno}"
            );
        }
    }
}
