//! Chunked coding (RFC 9112 §7.1), decoded in place.
//!
//! ```text
//! chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF ) 1*"0" [ chunk-ext ] CRLF trailers CRLF
//! chunk-ext    = *( ";" token [ "=" ( token / quoted-string ) ] )
//! ```
//!
//! The blanks that the RFC lets recipients bear around `;` and `=` are refused: no sender needs them, and readers that cut
//! the size at another byte have been smuggled to.

use super::Decoded;
use super::section::Section;
use crate::fields::{is_token_byte, is_value_byte};
use crate::{Fields, Name, Reason, Reject};

/// A chunked body that is being decoded.
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    /// Encoded bytes of the body that came before the current call, for the offset of a fault.
    offset: u64,
    /// Bytes of extensions and trailers that may still come.
    budget: usize,
}

/// Where in the coding the decoder stopped.
#[derive(Debug)]
enum Place {
    Size {
        digits: u8,
        size: u64,
    },
    Extension {
        at: Extension,
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The first byte behind the last chunk.
    AfterLast,
    /// No trailers: the line feed of the empty line.
    EndLf,
    Trailers(Section),
    End,
}

/// Where in a chunk extension.
#[derive(Clone, Copy, Debug)]
enum Extension {
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    Escaped,
    AfterQuoted,
}

impl Chunked {
    pub(super) fn new() -> Chunked {
        Chunked {
            place: Place::START,
            offset: 0,
            budget: MAX_OVERHEAD,
        }
    }

    /// Encoded bytes that were decoded so far.
    pub(super) fn offset(&self) -> usize {
        self.offset as usize
    }

    /// Decodes all of `input`, up to the end of the body.
    pub(super) fn decode(
        &mut self,
        input: &mut [u8],
        trailers: &mut Fields,
    ) -> Result<Decoded, Reject> {
        let mut consumed = 0;
        let mut produced = 0;
        while consumed < input.len() && !matches!(self.place, Place::End) {
            consumed += match &mut self.place {
                Place::Data { left } => {
                    let len = take(left, input.len() - consumed);
                    if *left == 0 {
                        self.place = Place::DataCr;
                    }
                    input.copy_within(consumed..consumed + len, produced);
                    produced += len;
                    len
                }
                Place::Trailers(_) => {
                    let at = self.offset() + consumed;
                    self.trailers(&input[consumed..], at, trailers)?
                }
                _ => {
                    let at = self.offset() + consumed;
                    self.byte(input[consumed], at, trailers)?
                }
            };
        }
        self.offset += consumed as u64;
        Ok(Decoded {
            consumed,
            produced,
            done: matches!(self.place, Place::End),
        })
    }

    /// Takes one byte of what stands around the data; tells how many were used (a trailer section begins with its first byte).
    fn byte(&mut self, byte: u8, at: usize, trailers: &mut Fields) -> Result<usize, Reject> {
        self.place = match self.place {
            Place::Size { digits, size } => size_byte(byte, digits, size),
            Place::Extension { at, size } => {
                self.budget = self.budget.saturating_sub(1);
                if self.budget == 0 {
                    Err(Reason::ChunkOverhead)
                } else {
                    extension_byte(byte, at, size)
                }
            }
            Place::SizeLf { size } => match byte {
                b'\n' if size == 0 => Ok(Place::AfterLast),
                b'\n' => Ok(Place::Data { left: size }),
                _ => Err(Reason::LineEnd),
            },
            Place::DataCr if byte == b'\r' => Ok(Place::DataLf),
            Place::DataLf if byte == b'\n' => Ok(Place::START),
            Place::DataCr | Place::DataLf => Err(Reason::ChunkEnd),
            Place::AfterLast if byte == b'\r' => Ok(Place::EndLf),
            Place::AfterLast => {
                trailers.clear();
                self.place = Place::Trailers(Section::default());
                return Ok(0);
            }
            Place::EndLf if byte == b'\n' => Ok(Place::End),
            Place::EndLf => Err(Reason::LineEnd),
            Place::Data { .. } | Place::Trailers(_) | Place::End => return Ok(0),
        }
        .map_err(|reason| Reject::new(reason, at))?;
        Ok(1)
    }

    /// Gathers the trailer section (RFC 9112 §7.1.2) until it is whole. `at` is the offset of `input` in the body.
    fn trailers(
        &mut self,
        input: &[u8],
        at: usize,
        trailers: &mut Fields,
    ) -> Result<usize, Reject> {
        let Place::Trailers(section) = &mut self.place else {
            return Ok(0);
        };
        let before = trailers.bytes.len();
        let start = at - before;
        let room = (self.budget - before).min(input.len());
        trailers.bytes.extend_from_slice(&input[..room]);
        let end = section
            .parse(&trailers.bytes, MAX_TRAILERS, &mut trailers.lines)
            .map_err(|reject| Reject::new(reject.reason, start + reject.at))?;
        match end {
            Some(end) => {
                trailers.bytes.truncate(end);
                trailers.lines.retain(|line| !is_forbidden(line.name));
                trailers.note_names();
                self.place = Place::End;
                Ok(end - before)
            }
            None if room < input.len() => Err(Reject::new(Reason::ChunkOverhead, at + room)),
            None => Ok(room),
        }
    }
}

impl Place {
    const START: Place = Place::Size { digits: 0, size: 0 };
}

/// `1*HEXDIG`: at most 16 digits, and a size that sums with others cannot overflow.
fn size_byte(byte: u8, digits: u8, size: u64) -> Result<Place, Reason> {
    match (byte as char).to_digit(16) {
        Some(_) if digits == 16 || size >= 1 << 59 => Err(Reason::ChunkSize),
        Some(digit) => Ok(Place::Size {
            digits: digits + 1,
            size: size << 4 | u64::from(digit),
        }),
        None if digits == 0 => Err(Reason::ChunkSize),
        None => match byte {
            b'\r' => Ok(Place::SizeLf { size }),
            b';' => Ok(Place::Extension {
                at: Extension::NameStart,
                size,
            }),
            b'\n' => Err(Reason::LineEnd),
            _ => Err(Reason::ChunkSize),
        },
    }
}

/// RFC 9112 §7.1.1: read by its grammar, then dropped, as is everything a recipient does not understand.
fn extension_byte(byte: u8, at: Extension, size: u64) -> Result<Place, Reason> {
    use Extension::*;
    let next = match (at, byte) {
        (Name | Value | AfterQuoted, b'\r') => return Ok(Place::SizeLf { size }),
        (Name | Value | AfterQuoted, b';') => NameStart,
        (Name, b'=') => ValueStart,
        (NameStart | Name, _) if is_token_byte(byte) => Name,
        (ValueStart, b'"') => Quoted,
        (ValueStart | Value, _) if is_token_byte(byte) => Value,
        (Quoted, b'"') => AfterQuoted,
        (Quoted, b'\\') => Escaped,
        (Quoted | Escaped, _) if is_value_byte(byte) => Quoted,
        (_, b'\n') => return Err(Reason::LineEnd),
        _ => return Err(Reason::ChunkExtension),
    };
    Ok(Place::Extension { at: next, size })
}

/// Fields that a trailer section may not carry: they steer framing, routing, authentication or the reading of content, and whoever
/// merges trailers into the head would obey them (RFC 9110 §6.5.1). They are dropped.
fn is_forbidden(name: Name) -> bool {
    matches!(
        name,
        Name::Authorization
            | Name::CacheControl
            | Name::Connection
            | Name::ContentEncoding
            | Name::ContentLength
            | Name::ContentRange
            | Name::ContentType
            | Name::Cookie
            | Name::Expect
            | Name::Forwarded
            | Name::Host
            | Name::IfMatch
            | Name::IfModifiedSince
            | Name::IfNoneMatch
            | Name::IfRange
            | Name::IfUnmodifiedSince
            | Name::KeepAlive
            | Name::Location
            | Name::MaxForwards
            | Name::Pragma
            | Name::ProxyAuthenticate
            | Name::ProxyAuthorization
            | Name::ProxyConnection
            | Name::Proxy
            | Name::Range
            | Name::SetCookie
            | Name::Te
            | Name::Trailer
            | Name::TransferEncoding
            | Name::Upgrade
            | Name::Via
            | Name::WwwAuthenticate
            | Name::XClientSubject
            | Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedPort
            | Name::XForwardedProto
            | Name::XRealIp
            | Name::XRequestId
    )
}

/// Takes up to `most` from `left`; tells how much.
fn take(left: &mut u64, most: usize) -> usize {
    let len = usize::try_from(*left).map_or(most, |left| left.min(most));
    *left -= len as u64;
    len
}

/// Bytes of extensions and trailers of one message, together [hyper]. Lines without them are bounded by the data: each brings a byte.
const MAX_OVERHEAD: usize = 16 * 1024;

/// Fields of a trailer section, as in a head.
const MAX_TRAILERS: usize = 100;
