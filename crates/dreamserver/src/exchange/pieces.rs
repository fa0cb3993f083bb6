//! Any body in pieces, wherever it comes from: for those who look at it, or change it, on its way.

use super::{Body, BodyHandle, FileBody, FileBroke, PartsBody, Source, read_cached, read_waiting};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Bytes of a piece of a file.
const PIECE: u64 = 64 * 1024;

impl Body {
    /// The body as something that is read in pieces, wherever it comes from: for a middleware that puts another in its place,
    /// which is made of this one. A file that is read so no longer takes the short way through the kernel.
    ///
    /// ```
    /// use dreamserver::{Body, BodyHandle, Middleware, Request, Response, Source};
    /// use std::io;
    /// use std::task::{Context, Poll, ready};
    ///
    /// /// Has every answer shout.
    /// struct Shout;
    ///
    /// impl Middleware for Shout {
    ///     fn on_response(&self, _: &Request, response: &mut Response) {
    ///         let body = std::mem::take(&mut response.body);
    ///         response.body = match body.into_handle() {
    ///             Ok(quiet) => Body::from_source(Loud(quiet)),
    ///             Err(other) => other,
    ///         };
    ///     }
    /// }
    ///
    /// struct Loud(BodyHandle);
    ///
    /// impl Source for Loud {
    ///     fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<bytes::Bytes>>> {
    ///         ready!(self.0.poll_ready(cx)).map_err(io::Error::other)?;
    ///         let piece = self.0.data().to_ascii_uppercase();
    ///         self.0.consume(piece.len());
    ///         Poll::Ready((!piece.is_empty()).then_some(Ok(piece.into())))
    ///     }
    ///
    ///     // It stays as long as it is, so its length can still be announced.
    ///     fn remaining(&self) -> Option<u64> {
    ///         self.0.remaining()
    ///     }
    /// }
    /// # dreamserver::Mux::new().wrap(Shout);
    /// ```
    ///
    /// # Errors
    /// The body itself, where it is none: a connection that is no longer HTTP (after a 101).
    pub fn into_handle(self) -> Result<BodyHandle, Body> {
        match self {
            Body::Empty => Ok(BodyHandle::from_source(Whole(None))),
            Body::Bytes(bytes) => Ok(BodyHandle::from_source(Whole(Some(bytes)))),
            Body::File(part) => Ok(BodyHandle::from_source(Pieces::of(PartsBody::one(part)))),
            Body::Parts(parts) => Ok(BodyHandle::from_source(Pieces::of(*parts))),
            Body::Stream(handle) => Ok(handle),
            Body::Tunnel(_) => Err(self),
        }
    }
}

/// Bytes that are in memory, as one piece.
struct Whole(Option<Bytes>);

impl Source for Whole {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(self.0.take().map(Ok))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Parts of a file, read from the kernel's memory if they are there, else beside the core.
struct Pieces {
    left: PartsBody,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Pieces {
    fn of(left: PartsBody) -> Pieces {
        let reading = None;
        Pieces { left, reading }
    }

    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.reading.is_none() {
            let FileBody { len, offset, .. } = self.left.file;
            let mut piece = vec![0; len.min(PIECE) as usize];
            let file = &self.left.file.shared.file;
            let have = read_cached(file, &mut piece, offset);
            if have > 0 {
                piece.truncate(have);
                return Poll::Ready(self.took(piece));
            }
            let file = file.try_clone()?;
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let have = read_waiting(&file, &mut piece, offset, 0)?;
                piece.truncate(have);
                Ok(piece)
            }));
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Pending;
        };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let piece = read.map_err(io::Error::other).flatten()?;
        Poll::Ready(self.took(piece))
    }

    fn took(&mut self, piece: Vec<u8>) -> io::Result<Bytes> {
        if piece.is_empty() {
            return Err(io::Error::other(FileBroke::Shorter));
        }
        let part = &mut self.left.file;
        // What was read belongs to the file that was announced, or the answer breaks off.
        part.shared.check().map_err(io::Error::other)?;
        part.offset += piece.len() as u64;
        part.len -= piece.len() as u64;
        Ok(piece.into())
    }
}

impl Source for Pieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if !self.left.text.is_empty() {
                let text = std::mem::take(&mut self.left.text);
                return Poll::Ready(Some(Ok(text)));
            }
            if self.left.file.len > 0 {
                return self.poll_file(cx).map(Some);
            }
            if !self.left.advance() {
                return Poll::Ready(None);
            }
        }
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left.len())
    }
}
