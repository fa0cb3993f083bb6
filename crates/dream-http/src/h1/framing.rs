//! The one place that decides where a message ends (RFC 9112 §6).
//!
//! Everything else receives the answer as a [`Framing`]. A message that two readers could end at
//! different bytes is refused here, in both roles: that is how requests and responses are smuggled.

use super::control::{Control, Once};
use crate::fields::{is_token, trim_blanks};
use crate::{Method, Reason, Reject, ResponseHead, Version};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked coding; trailers may follow.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
    /// After a 101, or a 2xx to CONNECT: what follows is not HTTP.
    Tunnel,
}

/// What was decided about a response.
pub(super) struct ResponseFraming {
    pub(super) framing: Framing,
    pub(super) content_length: Option<u64>,
    /// Whether both sides surely agree on the end, so that the connection can carry another response.
    pub(super) reusable: bool,
}

/// RFC 9112 §6.3 for requests.
pub(super) fn of_request(
    version: Version,
    method: Method,
    control: &Control<'_>,
) -> Result<Framing, Reject> {
    let framing = match declared(version, control)? {
        Declared::Nothing => Framing::None,
        Declared::Length(length) => Framing::Length(length),
        Declared::Chunked => Framing::Chunked,
    };
    // RFC 9110 §9.3.6 and §9.3.8: neither has content, and a reader that goes by the method alone
    // would take it for the next request.
    let bodiless = matches!(method, Method::Connect | Method::Trace);
    if bodiless && !matches!(framing, Framing::None | Framing::Length(0)) {
        return Err(Reject::new(Reason::BodyNotAllowed, framing_at(control)));
    }
    Ok(framing)
}

/// RFC 9112 §6.3 for the response to a request with `method`.
pub(super) fn of_response(
    version: Version,
    status: u16,
    method: Method,
    control: &Control<'_>,
) -> Result<ResponseFraming, Reject> {
    let declared = declared(version, control)?;
    let content_length = match declared {
        Declared::Length(length) => Some(length),
        _ => None,
    };
    let framing = match declared {
        // Rule 2, and RFC 9110 §7.8: the fields mean nothing in front of a tunnel.
        _ if is_tunnel(status, method) => Framing::Tunnel,
        // Rule 1.
        _ if !ResponseHead::may_have_body(status, method) => Framing::None,
        Declared::Chunked => Framing::Chunked,
        Declared::Length(length) => Framing::Length(length),
        // Rule 8.
        Declared::Nothing => Framing::UntilClose,
    };
    Ok(ResponseFraming {
        framing,
        content_length,
        reusable: match framing {
            Framing::UntilClose | Framing::Tunnel => false,
            // RFC 9110 §8.6, RFC 9112 §6.1: 1xx and 204 have no framing fields. A sender that writes them may
            // write the body too, and the next response would begin with it.
            Framing::None if status < 200 || status == 204 => {
                matches!(declared, Declared::Nothing | Declared::Length(0))
            }
            _ => true,
        },
    })
}

/// What the fields say, whatever method and status make of it.
#[derive(Clone, Copy)]
enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

fn declared(version: Version, control: &Control<'_>) -> Result<Declared, Reject> {
    match (control.transfer_encoding, control.content_length) {
        (Once::Absent, Once::Absent) => Ok(Declared::Nothing),
        (Once::Absent, Once::One { value, at }) => content_length(value)
            .map(Declared::Length)
            .ok_or(Reject::new(Reason::ContentLength, at)),
        // RFC 9112 §6.3 rule 5 would let equal ones pass; they are not worth two readings.
        (Once::Absent, Once::Repeated { at }) => {
            Err(Reject::new(Reason::ContentLengthRepeated, at))
        }
        // RFC 9112 §6.1: HTTP/1.0 knows no transfer codings; such a message has faulty framing.
        (Once::One { at, .. } | Once::Repeated { at }, _) if version == Version::Http10 => {
            Err(Reject::new(Reason::TransferEncodingInHttp10, at))
        }
        (Once::Repeated { at }, _) => Err(Reject::new(Reason::TransferEncoding, at)),
        // RFC 9112 §6.3 rule 3: ought to be handled as an error.
        (Once::One { at, .. }, Once::One { .. } | Once::Repeated { .. }) => {
            Err(Reject::new(Reason::TwoFramings, at))
        }
        (Once::One { value, at }, Once::Absent) => transfer_encoding(value)
            .map(|()| Declared::Chunked)
            .map_err(|reason| Reject::new(reason, at)),
    }
}

/// RFC 9110 §8.6: `1*DIGIT`, nothing else, and small enough that sums with it cannot overflow.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let length = value.iter().try_fold(0u64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })?;
    (length <= i64::MAX as u64).then_some(length)
}

/// RFC 9112 §6.1: only `chunked` is spoken here. A list that is well-formed but names other codings is answered with 501;
/// whatever leaves open where the body ends is malformed.
fn transfer_encoding(value: &[u8]) -> Result<(), Reason> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut members = value.split(|&byte| byte == b',').map(trim_blanks).rev();
    let last = members.next().unwrap_or_default();
    let alone = !value.contains(&b',');
    let ends_well = alone || last.eq_ignore_ascii_case(b"chunked");
    let others_fit =
        members.all(|coding| is_token(coding) && !coding.eq_ignore_ascii_case(b"chunked"));
    if is_token(last) && ends_well && others_fit {
        Err(Reason::TransferCodingUnknown)
    } else {
        Err(Reason::TransferEncoding)
    }
}

fn is_tunnel(status: u16, method: Method) -> bool {
    status == 101 || (method == Method::Connect && (200..300).contains(&status))
}

fn framing_at(control: &Control<'_>) -> usize {
    match (control.transfer_encoding, control.content_length) {
        (Once::One { at, .. } | Once::Repeated { at }, _) => at,
        (Once::Absent, Once::One { at, .. } | Once::Repeated { at }) => at,
        (Once::Absent, Once::Absent) => 0,
    }
}
