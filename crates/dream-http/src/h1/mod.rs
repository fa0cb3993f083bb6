//! HTTP/1.1 on the wire (RFC 9112), for both roles.
//!
//! Receiving: [`RequestParser`] or [`ResponseParser`] turn bytes into a head, which says by its
//! [`Framing`] how the body is delimited; a [`BodyDecoder`] made from that turns bytes into body.
//! Sending: [`encode_request`] or [`encode_response`], then a [`BodyEncoder`].

mod body;
mod chunked;
mod control;
mod encode;
mod framing;
mod parse;
pub(crate) mod scan;
mod section;
mod target;

pub use body::{BodyDecoder, Decoded};
pub use encode::{
    BodyEncoder, Misuse, Persistence, encode_interim, encode_request, encode_request_to,
    encode_response,
};
pub use framing::Framing;
pub use parse::{Limits, RequestParser, ResponseParser};
