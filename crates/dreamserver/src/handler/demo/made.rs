//! Bodies that are made while they are sent.

use super::ask::{self, Wrong};
use crate::exchange::{Body, Request, Response, Source, put};
use aws_lc_rs::rand;
use bytes::Bytes;
use dream_http::Name;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// So many random bytes as stand behind the path.
pub(super) fn bytes(request: &Request, strip: usize) -> Result<Response, Wrong> {
    let left = ask::number(request, strip, "number of bytes", 0..=MOST_BYTES)?;
    Ok(answer(b"application/octet-stream", Random { left }))
}

/// So many lines of JSON as stand behind the path, in chunks.
pub(super) fn lines(request: &Request, strip: usize) -> Result<Response, Wrong> {
    let count = ask::number(request, strip, "number of lines", 0..=MOST_LINES)?;
    let id = request.id;
    let line = move |line| {
        format!(
            "{{\"line\":{line},\"of\":{count},\"id\":\"{}\"}}\n",
            id.as_str()
        )
    };
    Ok(answer(
        b"application/x-ndjson",
        Series::at_once(count, line),
    ))
}

/// `bytes` asterisks, spread over `duration` seconds, the first after `delay` seconds.
pub(super) fn drip(request: &Request) -> Result<Response, Wrong> {
    let count = ask::option(request, "bytes", 10, 1..=MOST_DRIPS)?;
    let duration = ask::seconds(request, "duration", 2.0, 10.0)?;
    let delay = ask::seconds(request, "delay", 0.0, 10.0)?;
    let between = duration / (count - 1).max(1);
    let drips = Series::spread(count, delay, between, |_| "*".to_owned());
    Ok(answer(b"application/octet-stream", Measured(drips)))
}

/// An event stream: `count` events, `interval` seconds apart. A client that comes back with the number of the last one that it
/// has seen goes on behind it (HTML §9.2.4).
pub(super) fn events(request: &Request) -> Result<Response, Wrong> {
    let count = ask::option(request, "count", 10, 1..=MOST_EVENTS)?;
    let interval = ask::seconds(request, "interval", 1.0, 10.0)?;
    let seen = request.head.fields.find(b"last-event-id");
    let seen = seen.and_then(|seen| std::str::from_utf8(seen).ok()?.parse::<u32>().ok());
    let event = |number| format!("id: {number}\nevent: tick\ndata: {{\"number\":{number}}}\n\n");
    let mut series = Series::spread(count, Duration::ZERO, interval, event);
    series.next = seen.map_or(0, |seen| seen.saturating_add(1)).min(count);
    let mut response = answer(b"text/event-stream", series);
    put(&mut response.head.fields, Name::CacheControl, b"no-store");
    Ok(response)
}

fn answer(media_type: &[u8], source: impl Source + 'static) -> Response {
    let mut response = Response::new(200);
    put(&mut response.head.fields, Name::ContentType, media_type);
    response.body = Body::from_source(source);
    response
}

/// Bytes that nobody can guess, nor compress.
struct Random {
    left: u64,
}

impl Source for Random {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; self.left.min(PIECE) as usize];
        self.left -= piece.len() as u64;
        let filled = rand::fill(&mut piece);
        Poll::Ready(Some(match filled {
            Ok(()) => Ok(piece.into()),
            Err(_) => Err(io::Error::other("the system has no randomness")),
        }))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }
}

/// Pieces of text by number, the first after one time and the others with another between them.
struct Series<F> {
    next: u32,
    count: u32,
    text: F,
    waiting: Option<Pin<Box<Sleep>>>,
    between: Duration,
}

impl<F: FnMut(u32) -> String> Series<F> {
    fn at_once(count: u32, text: F) -> Series<F> {
        Series::spread(count, Duration::ZERO, Duration::ZERO, text)
    }

    fn spread(count: u32, delay: Duration, between: Duration, text: F) -> Series<F> {
        Series {
            next: 0,
            count,
            text,
            waiting: pause(delay),
            between,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "to wait is what this is for, and by the millisecond"
)]
fn pause(time: Duration) -> Option<Pin<Box<Sleep>>> {
    (!time.is_zero()).then(|| Box::pin(sleep(time)))
}

impl<F: FnMut(u32) -> String> Source for Series<F> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.next == self.count {
            return Poll::Ready(None);
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
        }
        let piece = (self.text)(self.next);
        self.next += 1;
        self.waiting = pause(self.between);
        Poll::Ready(Some(Ok(piece.into())))
    }
}

/// A series of single bytes, of which the length is known.
struct Measured<F>(Series<F>);

impl<F: FnMut(u32) -> String> Source for Measured<F> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.0.poll_next(cx)
    }

    fn remaining(&self) -> Option<u64> {
        Some(u64::from(self.0.count - self.0.next))
    }
}

/// One piece of random bytes: with the kernel before the next is made.
const PIECE: u64 = 16 * 1024;

/// Enough to see how a client takes a large body.
const MOST_BYTES: u64 = 100 * 1000 * 1000;

/// Enough to fill the buffers on the way, so that a slow client is seen to be waited for.
const MOST_LINES: u32 = 10_000;

/// Each is a chunk of work for the timer: a hundred a second.
const MOST_DRIPS: u32 = 1000;

/// With the longest interval nearly three hours.
const MOST_EVENTS: u32 = 1000;
