//! Heads, chunks and trailers to bytes.

use super::Framing;
use crate::{Fields, Name, NameSet, RequestHead, ResponseHead};
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
    write_request_line(head, out);
    write_fields(&head.fields, out);
    write_request_end(framing, persistence, out);
}

/// The same for a server that is known by another name: `host` takes the place of the head's Host field. It holds no byte that a
/// field's value may not have.
pub fn encode_request_to(
    host: &[u8],
    head: &RequestHead,
    framing: Framing,
    persistence: Persistence,
    out: &mut Vec<u8>,
) {
    write_request_line(head, out);
    out.extend_from_slice(b"Host: ");
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
    head.fields.write_except(OWN_AND_HOST, out);
    write_request_end(framing, persistence, out);
}

fn write_request_line(head: &RequestHead, out: &mut Vec<u8>) {
    out.reserve(head.fields.bytes.len() + ROOM);
    out.extend_from_slice(head.method_text());
    out.push(b' ');
    out.extend_from_slice(head.target.whole.of(&head.fields.bytes));
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn write_request_end(framing: Framing, persistence: Persistence, out: &mut Vec<u8>) {
    match framing {
        Framing::Length(length) => write_content_length(length, out),
        Framing::Chunked => write_chunked(out),
        // RFC 9112 §6.3: a request without framing fields has no body.
        Framing::None | Framing::UntilClose | Framing::Tunnel => {}
    }
    write_persistence(persistence, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head in HTTP/1.1, likewise. Where `framing` is `None`, `content_length` of the head is still written
/// if it is set (HEAD, 304) or if the status allows a body (then as 0 when unset); never with 1xx and 204.
/// An answer to HEAD may as well be given the framing that the one to GET would have.
pub fn encode_response(
    head: &ResponseHead,
    framing: Framing,
    persistence: Persistence,
    out: &mut Vec<u8>,
) {
    out.reserve(head.fields.bytes.len() + ROOM);
    write_status_line(head, out);
    write_fields(&head.fields, out);
    // RFC 9112 §6.1 and RFC 9110 §8.6: no framing fields with 1xx and 204.
    if head.status >= 200 && head.status != 204 {
        write_response_framing(head, framing, out);
    }
    // RFC 9112 §9.6: who ends a body by closing says so.
    write_persistence(
        match framing {
            Framing::UntilClose => Persistence::Close,
            _ => persistence,
        },
        out,
    );
    out.extend_from_slice(b"\r\n");
}

/// Writes an interim response (1xx except 101): no framing fields.
pub fn encode_interim(head: &ResponseHead, out: &mut Vec<u8>) {
    write_status_line(head, out);
    write_fields(&head.fields, out);
    out.extend_from_slice(b"\r\n");
}

/// Delimits a body on the way out. It never copies data: the caller sends the prefix, the data and the suffix.
#[derive(Clone, Copy, Debug)]
pub struct BodyEncoder {
    state: State,
}

/// What may still be sent.
#[derive(Clone, Copy, Debug)]
enum State {
    Nothing,
    Length(u64),
    FirstChunk,
    NextChunk,
    Everything,
}

impl BodyEncoder {
    /// An encoder at the start of a body.
    pub fn new(framing: Framing) -> BodyEncoder {
        let state = match framing {
            Framing::None => State::Nothing,
            Framing::Length(left) => State::Length(left),
            Framing::Chunked => State::FirstChunk,
            Framing::UntilClose | Framing::Tunnel => State::Everything,
        };
        BodyEncoder { state }
    }

    /// `len` bytes of body follow: writes what stands before them to `prefix` (a chunk line, or nothing; from the second chunk on
    /// it also ends the chunk before). `len` is not 0.
    ///
    /// # Errors
    /// [`Misuse`] if the head did not announce them.
    pub fn data(&mut self, len: usize, prefix: &mut Vec<u8>) -> Result<(), Misuse> {
        match &mut self.state {
            // An empty chunk would end the body.
            _ if len == 0 => {}
            State::Nothing => return Err(Misuse::BodyNotAllowed),
            State::Length(left) => {
                *left = left.checked_sub(len as u64).ok_or(Misuse::TooMuchBody)?;
            }
            State::FirstChunk => {
                write_hex(len as u64, prefix);
                self.state = State::NextChunk;
            }
            State::NextChunk => {
                prefix.extend_from_slice(b"\r\n");
                write_hex(len as u64, prefix);
            }
            State::Everything => {}
        }
        Ok(())
    }

    /// The body is whole: writes what ends it (CRLF of the last chunk, last chunk, trailers) to `suffix`. `trailers` are dropped where the framing has no place for them.
    ///
    /// # Errors
    /// [`Misuse`] if the head announced more.
    pub fn end(&mut self, trailers: Option<&Fields>, suffix: &mut Vec<u8>) -> Result<(), Misuse> {
        let last_chunk: &[u8] = match self.state {
            State::Length(1..) => return Err(Misuse::TooLittleBody),
            State::Nothing | State::Length(0) | State::Everything => return Ok(()),
            State::FirstChunk => b"0\r\n",
            State::NextChunk => b"\r\n0\r\n",
        };
        suffix.extend_from_slice(last_chunk);
        if let Some(trailers) = trailers {
            trailers.write_to(suffix);
        }
        suffix.extend_from_slice(b"\r\n");
        self.state = State::Nothing;
        Ok(())
    }
}

fn write_status_line(head: &ResponseHead, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(u64::from(head.status), out);
    // RFC 9112 §4: the space stands there even without a phrase.
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
}

/// The fields that are not ours to decide.
fn write_fields(fields: &Fields, out: &mut Vec<u8>) {
    fields.write_except(OWN, out);
}

/// Fields that belong to this connection and are written anew on each (RFC 9110 §7.6.1).
const OWN: NameSet = NameSet::of(&[
    Name::Connection,
    Name::ContentLength,
    Name::TransferEncoding,
    Name::KeepAlive,
    Name::ProxyConnection,
]);

const OWN_AND_HOST: NameSet = NameSet::of(&[
    Name::Connection,
    Name::ContentLength,
    Name::TransferEncoding,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::Host,
]);

fn write_response_framing(head: &ResponseHead, framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Length(length) => write_content_length(length, out),
        Framing::Chunked => write_chunked(out),
        Framing::None => match head.content_length {
            Some(length) => write_content_length(length, out),
            // RFC 9110 §8.6: in a 304 it would be the length of the representation, which is not known.
            None if head.status == 304 => {}
            None => write_content_length(0, out),
        },
        Framing::UntilClose | Framing::Tunnel => {}
    }
}

fn write_content_length(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    write_decimal(length, out);
    out.extend_from_slice(b"\r\n");
}

fn write_chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
}

fn write_persistence(persistence: Persistence, out: &mut Vec<u8>) {
    let line: &[u8] = match persistence {
        Persistence::Implied => b"",
        Persistence::KeepAlive => b"Connection: keep-alive\r\n",
        Persistence::Close => b"Connection: close\r\n",
        Persistence::Upgrade => b"Connection: Upgrade\r\n",
    };
    out.extend_from_slice(line);
}

fn write_decimal(number: u64, out: &mut Vec<u8>) {
    write_digits::<10>(number, out);
}

/// A chunk line: the size and CRLF.
fn write_hex(number: u64, out: &mut Vec<u8>) {
    write_digits::<16>(number, out);
    out.extend_from_slice(b"\r\n");
}

fn write_digits<const BASE: u64>(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(number % BASE) as usize];
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// What a first line and the fields that we add take at most, beside the head's own bytes.
const ROOM: usize = 128;
