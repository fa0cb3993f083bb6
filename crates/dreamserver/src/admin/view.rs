//! What the view answers to each address.

use super::guard::{Guard, Refusal};
use super::{Ask, Ends, Samples};
use crate::error;
use crate::exchange::{Body, Request, Response};
use crate::handler::{Answering, Custom};
use bytes::{Bytes, BytesMut};
use dream_control::{Command, Fault, MAX_COMMAND, Reply};
use dream_http::{Method, Name};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::spawn_local;

/// So many pages are kept up to date at once.
const MOST: usize = 32;

/// Bytes of what is looked for: a name is not longer.
const LONGEST_FILTER: usize = 253;

/// The one handler of the view.
pub(super) struct View {
    asks: mpsc::Sender<Ask>,
    guard: Guard,
    seats: Arc<Semaphore>,
}

/// Nothing of it is asked from elsewhere, framed, kept or guessed at.
const POLICY: [(&[u8], &[u8]); 7] = [
    (
        b"Content-Security-Policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
          base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cache-Control", b"no-store"),
];

/// What there is at an address.
#[derive(Clone, Copy)]
enum Place {
    Page,
    Asset(&'static str, &'static str),
    /// The names as JSON.
    Names,
    /// The names as JSON, once a second.
    Events,
    /// Announcements.
    Commands,
}

impl Place {
    fn of(path: &[u8]) -> Option<Place> {
        Some(match path {
            b"/" => Place::Page,
            b"/view.css" => Place::Asset("text/css; charset=utf-8", include_str!("page/view.css")),
            b"/view.js" => Place::Asset(
                "text/javascript; charset=utf-8",
                include_str!("page/view.js"),
            ),
            b"/icon.svg" => Place::Asset("image/svg+xml", include_str!("page/icon.svg")),
            b"/names.json" => Place::Names,
            b"/events" => Place::Events,
            b"/commands" => Place::Commands,
            _ => return None,
        })
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Place::Commands => &[Method::Post],
            _ => &[Method::Get, Method::Head],
        }
    }
}

impl Custom for View {
    fn answer<'a>(&'a self, request: &'a mut Request) -> Answering<'a> {
        Box::pin(async {
            let mut response = match self.serve(request).await {
                Ok(response) => response,
                Err(refusal) => text(refusal.status, refusal.sentence),
            };
            let fields = &mut response.head.fields;
            for (name, value) in POLICY {
                let added = fields.append_text(name, value);
                debug_assert!(added.is_ok(), "they are clean");
            }
            response
        })
    }
}

impl View {
    pub(super) fn new(asks: mpsc::Sender<Ask>, guard: Guard) -> View {
        View {
            asks,
            guard,
            seats: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// The stations: is it for us · what is there · may it be asked for so · the answer.
    async fn serve(&self, request: &mut Request) -> Result<Response, Refusal> {
        self.guard.check_host(request)?;
        let place = Place::of(request.head.path()).ok_or(NOTHING)?;
        if !place.methods().contains(&request.head.method) {
            return Ok(wrong_method(place));
        }
        if let Place::Page | Place::Asset(..) = place {
            // A link from elsewhere may lead here.
        } else {
            self.guard.check_site(request)?;
        }
        match place {
            Place::Page => self.page(request).await,
            Place::Asset(kind, content) => {
                Ok(content_of(kind, Bytes::from_static(content.as_bytes())))
            }
            Place::Names => self.names(request).await,
            Place::Events => self.events(request).await,
            Place::Commands => self.command(request).await,
        }
    }

    /// The page, with the token if whoever looks at it may change something.
    async fn page(&self, request: &Request) -> Result<Response, Refusal> {
        let may = self
            .ask(|answer| Ask::MayChange(ends(request), answer))
            .await?;
        let token = if may { self.guard.token() } else { "" };
        let page = include_str!("page/index.html").replace("{{token}}", token);
        Ok(content_of("text/html; charset=utf-8", page.into()))
    }

    async fn names(&self, request: &Request) -> Result<Response, Refusal> {
        let mut samples = self.follow(request).await?;
        let first = samples.wait_for(Option::is_some).await;
        let sample = first.ok().and_then(|sample| sample.clone());
        Ok(content_of("application/json", sample.ok_or(ENDS)?))
    }

    /// A stream of events (HTML, "Server-sent events"), each of which is a whole sample: who misses one has the next.
    async fn events(&self, request: &Request) -> Result<Response, Refusal> {
        let seat = self
            .seats
            .clone()
            .try_acquire_owned()
            .map_err(|_| CROWDED)?;
        if request.head.method == Method::Head {
            return Ok(content_of("text/event-stream", Bytes::new()));
        }
        let samples = self.follow(request).await?;
        // One more than is being sent: who reads slowly gets the latest when it is ready for it.
        let (sender, receiver) = mpsc::channel(1);
        spawn_local(pass_on(samples, sender, seat));
        let mut response = content_of("text/event-stream", Bytes::new());
        response.body = Body::from_source(receiver);
        Ok(response)
    }

    /// Carries out an announcement, by the way that all of them go.
    async fn command(&self, request: &mut Request) -> Result<Response, Refusal> {
        self.guard.check_token(request)?;
        let line = match request.read_body(MAX_COMMAND).await {
            Ok(line) => line,
            Err(error) => return Ok(error::body(&error, request)),
        };
        match Command::parse(&line) {
            Ok(Command::Add(_) | Command::Remove(_)) => {}
            Ok(_) => return Err(OTHER_COMMAND),
            Err(fault) => return Ok(reply(&faulty(&fault))),
        }
        let ends = ends(request);
        let said = self.ask(|answer| Ask::Say(line, ends, answer)).await?;
        Ok(reply(&said))
    }

    async fn follow(&self, request: &Request) -> Result<Samples, Refusal> {
        let filter = filter(request.head.query().unwrap_or_default());
        self.ask(|answer| Ask::Follow(filter, answer)).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.asks.send(ask(sender)).await.map_err(|_| ENDS)?;
        answer.await.map_err(|_| ENDS)
    }
}

const NOTHING: Refusal = Refusal {
    status: 404,
    sentence: "There is nothing at this address.",
};
const CROWDED: Refusal = Refusal {
    status: 503,
    sentence: "Too many look at this already.",
};
const ENDS: Refusal = Refusal {
    status: 503,
    sentence: "The server ends.",
};
const OTHER_COMMAND: Refusal = Refusal {
    status: 403,
    sentence: "Only add and remove are taken here.",
};

/// Sends samples until the browser is gone, or the server ends.
async fn pass_on(
    mut samples: Samples,
    browser: mpsc::Sender<std::io::Result<Bytes>>,
    seat: OwnedSemaphorePermit,
) {
    loop {
        let sample = samples.borrow_and_update().clone();
        if let Some(sample) = sample {
            // Whoever is gone needs none.
            let _ = browser.send(Ok(event(&sample))).await;
        }
        tokio::select! {
            changed = samples.changed() => if changed.is_err() { break },
            () = browser.closed() => break,
        }
    }
    drop(seat);
}

/// JSON has no line ends of its own.
fn event(sample: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(sample.len() + 16);
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(sample);
    event.extend_from_slice(b"\n\n");
    event.freeze()
}

fn ends(request: &Request) -> Ends {
    Ends {
        remote: request.peer.remote,
        local: request.peer.local,
    }
}

/// What is looked for: the value of `q`, decoded (URL, "application/x-www-form-urlencoded").
fn filter(query: &[u8]) -> String {
    let mut pairs = query.split(|byte| *byte == b'&');
    let value = pairs
        .find_map(|pair| pair.strip_prefix(b"q="))
        .unwrap_or_default();
    let mut decoded = Vec::new();
    let mut rest = value;
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = behind
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(hexadecimal);
        rest = match escaped {
            Some(_) => &behind[2..],
            None => behind,
        };
        decoded.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    decoded.truncate(LONGEST_FILTER);
    String::from_utf8_lossy(&decoded).trim().to_lowercase()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digits = str::from_utf8(digits).ok()?;
    digits
        .bytes()
        .all(|digit| digit.is_ascii_hexdigit())
        .then_some(())?;
    u8::from_str_radix(digits, 16).ok()
}

fn faulty(fault: &Fault) -> Reply {
    Reply::from(fault)
}

/// The reply as every sender gets it; its status says what the first word does.
fn reply(reply: &Reply) -> Response {
    let status = if reply.is_ok() { 200 } else { 422 };
    text(status, &reply.to_string())
}

fn text(status: u16, text: &str) -> Response {
    let mut response = content_of("text/plain; charset=utf-8", format!("{text}\n").into());
    response.head.set_status(status);
    response
}

fn content_of(kind: &str, content: Bytes) -> Response {
    let mut response = Response::new(200);
    let named = response
        .head
        .fields
        .append(Name::ContentType, kind.as_bytes());
    debug_assert!(named.is_ok(), "they are clean");
    response.body = Body::Bytes(content);
    response
}

fn wrong_method(place: Place) -> Response {
    let mut response = text(405, "This address does not take that method.");
    let allowed: &[u8] = match place {
        Place::Commands => b"POST",
        _ => b"GET, HEAD",
    };
    let added = response.head.fields.append(Name::Allow, allowed);
    debug_assert!(added.is_ok(), "methods are tokens");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_decoded() {
        for (query, text) in [
            ("", ""),
            ("q=Shop", "shop"),
            ("a=b&q=a%2Eb+c%", "a.b c%"),
            ("q=%zz%+1", "%zz% 1"),
            ("q=%C3%BC", "ü"),
            ("q=%ff", "\u{fffd}"),
            ("query=x", ""),
        ] {
            assert_eq!(filter(query.as_bytes()), text, "{query}");
        }
        assert_eq!(filter(&[b"q=", &[b'x'; 9999][..]].concat()).len(), 253);
    }
}
