//! HTTP/1.1 without IO: bytes in, events out.
//!
//! This crate never sees a socket or a clock, so it can be fuzzed, tested and reused alone. It holds
//! what HTTP means ([`Method`], [`Name`], [`Fields`], [`RequestHead`], [`ResponseHead`], [`target`])
//! and how HTTP/1.1 writes it ([`h1`]), for the server's role and for the client's.
//!
//! A message that can be read in two ways is refused ([`Reject`]), never repaired.
//!
//! From the bytes of a request to the bytes of its response:
//!
//! ```
//! use dream_http::h1::{BodyDecoder, Framing, Limits, Persistence, RequestParser, encode_response};
//! use dream_http::{Name, RequestHead, ResponseHead};
//!
//! let mut input = *b"POST /greet HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n";
//! let mut head = RequestHead::new();
//! // Nothing yet would mean: come back with more bytes behind these.
//! let end = RequestParser::new(Limits::default()).parse(&input, &mut head)?.unwrap_or(0);
//! assert_eq!(head.path(), b"/greet");
//!
//! let body = &mut input[end..];
//! let decoded = BodyDecoder::new(head.framing).decode(body)?;
//! assert!(decoded.done);
//! let greeting = [b"Hello, ", &body[..decoded.produced]].concat();
//!
//! let answer = ResponseHead::new(200).with(Name::ContentType, b"text/plain")?;
//! let mut output = Vec::new();
//! encode_response(&answer, Framing::Length(greeting.len() as u64), Persistence::Implied, &mut output);
//! output.extend_from_slice(&greeting);
//! assert_eq!(output, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello, world");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod coding;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
pub mod h1;
mod head;
mod method;
mod name;
mod reject;
mod status;
pub mod target;

pub use coding::{AcceptEncoding, Choice, Coding};
pub use fields::{Field, Fields, InvalidField};
pub use head::{RequestHead, ResponseHead, Version};
pub use method::Method;
pub use name::{Name, NameSet};
pub use reject::{Reason, Reject};
pub use status::reason_phrase;
