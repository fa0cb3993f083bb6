//! Answers that are there at once, or after a while.

use super::ask::{self, Wrong};
use crate::exchange::{Body, Request, Response, put};
use dream_http::{Name, ResponseHead, reason_phrase, target::decode_escapes};
use std::time::Duration;

/// The rest of the path as text, its escapes decoded.
pub(super) fn echo(request: &Request, strip: usize) -> Result<Response, Wrong> {
    let mut message = Vec::new();
    decode_escapes(ask::word(request, strip), &mut message)?;
    Ok(text(200, message))
}

/// The User-Agent field as text; nothing if there is none.
pub(super) fn user_agent(request: &Request) -> Response {
    let agent = request.head.fields.get(Name::UserAgent);
    text(200, agent.unwrap_or_default().to_vec())
}

/// An answer with the status behind the path, and what such an answer needs.
pub(super) fn status(request: &Request, strip: usize) -> Result<Response, Wrong> {
    let status = ask::number(request, strip, "status", 200..=599)?;
    let mut response = match ResponseHead::may_have_body(status, request.head.method) {
        true => text(
            status,
            format!("{status} {}\n", reason_phrase(status)).into_bytes(),
        ),
        false => Response::new(status),
    };
    match status {
        301..=303 | 305 | 307 | 308 => put(&mut response.head.fields, Name::Location, b"/"),
        401 => put(
            &mut response.head.fields,
            Name::WwwAuthenticate,
            b"Basic realm=\"demo\"",
        ),
        429 | 503 => put(&mut response.head.fields, Name::RetryAfter, b"1"),
        _ => {}
    }
    Ok(response)
}

/// An answer that comes after the seconds behind the path.
#[expect(
    clippy::disallowed_methods,
    reason = "to wait is what this is for, and by the millisecond"
)]
pub(super) async fn delay(request: &Request, strip: usize) -> Result<Response, Wrong> {
    let seconds = ask::number(request, strip, "number of seconds", 0.0..=LONGEST)?;
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok(text(200, format!("after {seconds} seconds\n").into_bytes()))
}

/// A response with this text.
pub(super) fn text(status: u16, text: Vec<u8>) -> Response {
    let mut response = Response::new(status);
    let media_type: &[u8] = match std::str::from_utf8(&text) {
        Ok(_) => b"text/plain; charset=utf-8",
        Err(_) => b"text/plain",
    };
    put(&mut response.head.fields, Name::ContentType, media_type);
    // What the client itself has said is never to be run by it.
    put(
        &mut response.head.fields,
        Name::XContentTypeOptions,
        b"nosniff",
    );
    response.body = Body::from(text);
    response
}

/// Longer than any client's patience is tried for, and shorter than the drain.
const LONGEST: f64 = 10.0;
