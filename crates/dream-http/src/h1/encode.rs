//! Heads, chunks and trailers to bytes.

use super::Framing;
use crate::{Fields, RequestHead, ResponseHead};
use alloc::vec::Vec;

/// What to say about the connection after this message (RFC 9112 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Say nothing: HTTP/1.1 keeps the connection.
    Implied,
    /// `Connection: keep-alive`, for HTTP/1.0 clients.
    KeepAlive,
    /// `Connection: close`
    Close,
    /// `Connection: Upgrade`, with the Upgrade field of the head.
    Upgrade,
}

/// Our own code broke a rule of framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// More body than the head announced.
    TooMuchBody,
    /// Less body than the head announced.
    TooLittleBody,
    /// A body where the message can have none.
    BodyNotAllowed,
}

impl core::fmt::Display for Misuse {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Misuse::TooMuchBody => "more body was sent than the head announced",
            Misuse::TooLittleBody => "less body was sent than the head announced",
            Misuse::BodyNotAllowed => "a body was sent where the message can have none",
        })
    }
}

impl core::error::Error for Misuse {}

/// Writes a request head in HTTP/1.1: request line, the head's fields **except** Connection, Content-Length,
/// Transfer-Encoding, Keep-Alive and Proxy-Connection, then those that `framing` and `persistence` ask for, and the empty line.
pub fn encode_request(
    head: &RequestHead,
    framing: Framing,
    persistence: Persistence,
    out: &mut Vec<u8>,
) {
    let _ = (head, framing, persistence, out);
}

/// Writes a response head in HTTP/1.1, likewise. Where `framing` is `None`, `content_length` of the head is still written
/// if it is set (HEAD, 304) or if the status allows a body (then as 0 when unset); never with 1xx and 204.
pub fn encode_response(
    head: &ResponseHead,
    framing: Framing,
    persistence: Persistence,
    out: &mut Vec<u8>,
) {
    let _ = (head, framing, persistence, out);
}

/// Writes an interim response (1xx except 101): no framing fields.
pub fn encode_interim(head: &ResponseHead, out: &mut Vec<u8>) {
    let _ = (head, out);
}

/// Delimits a body on the way out. It never copies data: the caller sends the prefix, the data and the suffix.
#[derive(Clone, Copy, Debug)]
pub struct BodyEncoder {
    framing: Framing,
}

impl BodyEncoder {
    /// An encoder at the start of a body.
    pub fn new(framing: Framing) -> BodyEncoder {
        BodyEncoder { framing }
    }

    /// `len` bytes of body follow: writes what stands before them to `prefix` (a chunk line, or nothing; from the second chunk on
    /// it also ends the chunk before). `len` is not 0.
    ///
    /// # Errors
    /// [`Misuse`] if the head did not announce them.
    pub fn data(&mut self, len: usize, prefix: &mut Vec<u8>) -> Result<(), Misuse> {
        let _ = (len, prefix, self.framing);
        Ok(())
    }

    /// The body is whole: writes what ends it (CRLF of the last chunk, last chunk, trailers) to `suffix`. `trailers` are dropped where the framing has no place for them.
    ///
    /// # Errors
    /// [`Misuse`] if the head announced more.
    pub fn end(&mut self, trailers: Option<&Fields>, suffix: &mut Vec<u8>) -> Result<(), Misuse> {
        let _ = (trailers, suffix);
        Ok(())
    }
}
