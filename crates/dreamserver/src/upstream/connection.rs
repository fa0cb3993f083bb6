//! One HTTP/1.1 connection to an endpoint: sends a request and reads its response, both at once.

use super::{Endpoint, Pools, tls};
use crate::exchange::{Body, BodyError, BodyStream, Tunnel};
use crate::inbound::{Inbound, InboundError};
use crate::outbound::{Outbound, OutboundError};
use crate::pipe::Pipe;
use crate::stream::Stream;
use crate::time::Timer;
use dream_http::h1::{Limits, Persistence, ResponseParser, encode_request, encode_request_to};
use dream_http::{Fields, Method, Name, Reject, RequestHead, ResponseHead};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A connection to an endpoint. It serves one exchange at a time and goes back to its pool when the
/// response's body is released.
pub struct Connection {
    stream: Stream,
    inbound: Inbound,
    outbound: Outbound,
    parser: ResponseParser,
    upload: Body,
    uploading: Upload,
    timer: Timer,
    /// What `total_sent` was when the request began.
    began: u64,
    /// Bytes sent and whether the upload ran when the time-out was last set.
    progress: (u64, bool),
    home: Rc<Pools>,
    endpoint: usize,
    /// The endpoint's address as text: a copy of this core's own, since counting the holders of a shared one would be
    /// felt on every core.
    label: Rc<str>,
    used: bool,
    keep_alive: bool,
    keep_until: Duration,
    body_timeout: Option<Duration>,
}

/// How far the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Running,
    Done,
    /// The endpoint takes no more; what it answers may still be read.
    Refused,
}

/// How much of a request an endpoint may have seen when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not a byte.
    Nothing,
    /// The head or a part of it, nothing of a body.
    Head,
    /// Some of the body, which cannot be had again.
    Body,
}

/// Why an endpoint gave no response.
#[derive(Debug)]
pub enum Failure {
    /// It could not be reached.
    Connect(io::Error),
    /// It did not answer the connect in time.
    ConnectTimeout,
    /// It was reached, but the two did not agree on a secure connection. Of a request it has seen nothing.
    Handshake(io::Error),
    /// It did not answer the handshake in time.
    HandshakeTimeout,
    /// The connection ended before the first byte of a response.
    Died(Sent, io::Error),
    /// The connection ended within the head.
    Broken(io::Error),
    /// The response breaks a rule.
    Rejected(Reject),
    /// Interim responses without an end.
    Endless,
    /// No response head in time.
    Timeout,
    /// The request's body broke off, which is not the endpoint's fault.
    Request(BodyError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(error) => write!(f, "connecting failed: {error}"),
            Failure::ConnectTimeout => f.write_str("connecting took too long"),
            Failure::Handshake(error) => {
                write!(f, "no secure connection: {}", tls::explain(error))
            }
            Failure::HandshakeTimeout => f.write_str("the TLS handshake took too long"),
            Failure::Died(_, error) => write!(f, "closed before a response: {error}"),
            Failure::Broken(error) => write!(f, "closed within the response head: {error}"),
            Failure::Rejected(reject) => write!(f, "the response is malformed: {reject}"),
            Failure::Endless => f.write_str("interim responses without an end"),
            Failure::Timeout => f.write_str("no response in time"),
            Failure::Request(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Has the endpoint seen nothing of the request, so that another one may get it, whatever it asks for?
    pub fn is_unseen(&self) -> bool {
        match self {
            Failure::Connect(_)
            | Failure::ConnectTimeout
            | Failure::Handshake(_)
            | Failure::HandshakeTimeout => true,
            Failure::Died(..)
            | Failure::Broken(_)
            | Failure::Rejected(_)
            | Failure::Endless
            | Failure::Timeout
            | Failure::Request(_) => false,
        }
    }
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        timer: Timer,
        home: Rc<Pools>,
        endpoint: &Endpoint,
    ) -> Box<Connection> {
        timer.clear();
        let limits = Limits {
            head: home.options().response_head,
            fields: usize::MAX,
            ..Limits::default()
        };
        Box::new(Connection {
            stream,
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            parser: ResponseParser::new(limits),
            upload: Body::Empty,
            uploading: Upload::Done,
            timer,
            began: 0,
            progress: (0, false),
            home,
            endpoint: endpoint.number,
            label: Rc::from(&*endpoint.label),
            used: false,
            keep_alive: true,
            keep_until: Duration::MAX,
            body_timeout: None,
        })
    }

    /// Did another exchange use it before?
    pub fn is_reused(&self) -> bool {
        self.used
    }

    /// Asks the kernel whether the endpoint has closed or said something, which the runtime may not have noticed yet.
    pub fn has_input(&self) -> bool {
        self.stream.has_input()
    }

    /// Begins a request, for this host if it is not the head's. Its body stays with the connection until the response is released.
    pub fn begin(
        &mut self,
        head: &RequestHead,
        host: Option<&[u8]>,
        persistence: Persistence,
        body: Body,
    ) {
        self.outbound.clear();
        let (framing, out) = (head.framing, self.outbound.bytes());
        match host {
            Some(host) => encode_request_to(host, head, framing, persistence, out),
            None => encode_request(head, framing, persistence, out),
        }
        self.outbound.begin_body(head.framing);
        self.upload = body;
        self.uploading = Upload::Running;
        self.began = self.outbound.total_sent();
    }

    /// The request's body, if the endpoint saw nothing of it.
    pub fn take_back(&mut self) -> Option<Body> {
        (!self.outbound.has_begun_body()).then(|| std::mem::take(&mut self.upload))
    }

    /// Sends the request and waits for a response head, an interim or the final one.
    ///
    /// # Errors
    /// [`Failure`]; the connection cannot be used further.
    pub fn poll_head(
        &mut self,
        method: Method,
        head: &mut ResponseHead,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        if let Poll::Ready(Err(error)) = self.poll_upload(cx) {
            return Poll::Ready(Err(Failure::Request(error)));
        }
        loop {
            match self.parse(method, head) {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(reject) => return Poll::Ready(Err(Failure::Rejected(reject))),
            }
            let limit = self.home.options().response_head;
            match self.inbound.poll_fill(&self.stream, limit, cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(self.ended(error)));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.ended(error))),
                Poll::Pending => return self.poll_head_timer(cx).map(|()| Err(Failure::Timeout)),
            }
        }
    }

    /// What is left of the connection after a 101.
    pub fn into_tunnel(self) -> Tunnel {
        Tunnel {
            received: self.inbound.unread().to_vec(),
            idle: self.home.options().tunnel,
            stream: self.stream,
        }
    }

    /// The endpoint's address as text.
    pub fn label(&self) -> Rc<str> {
        self.label.clone()
    }

    pub(super) fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// May the connection serve another exchange? Nothing may have come in: a close, or worse, bytes
    /// that nobody asked for.
    pub(super) fn is_alive(&self, now: Duration) -> bool {
        now < self.keep_until && !self.stream.is_readable()
    }

    /// Ends the connection in the proper way, which is not waited for.
    pub(super) fn part(self: Box<Self>) {
        self.stream.farewell();
    }

    fn parse(&mut self, method: Method, head: &mut ResponseHead) -> Result<bool, Reject> {
        let unread = self.inbound.unread();
        if unread.is_empty() {
            return Ok(false);
        }
        let Some(count) = self.parser.parse(unread, method, head)? else {
            return Ok(false);
        };
        self.inbound.take(count);
        if !head.is_interim() {
            self.begin_response(head);
        }
        Ok(true)
    }

    fn begin_response(&mut self, head: &ResponseHead) {
        let options = self.home.options();
        self.inbound.begin_body(head.framing);
        self.keep_alive = head.keep_alive;
        self.keep_until = self.home.now() + options.idle.min(announced_idle(head));
        let events = head
            .fields
            .get(Name::ContentType)
            .is_some_and(|value| value.starts_with(b"text/event-stream"));
        self.body_timeout = (!events).then_some(options.body);
        self.timer.clear();
    }

    /// Sends what can be sent of the request. An endpoint that takes no more is no error yet: it
    /// may have answered already.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.uploading != Upload::Running {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.outbound.poll_body(&self.stream, &mut self.upload, cx)) {
            Ok(()) => {
                self.uploading = Upload::Done;
                self.upload = Body::Empty;
                self.outbound.rest();
            }
            Err(OutboundError::Body(error)) => return Poll::Ready(Err(error)),
            Err(OutboundError::Io(_) | OutboundError::Misuse(_)) => {
                self.uploading = Upload::Refused;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The wait for a head is bounded from the request's last byte on; while the request is sent, by
    /// the endpoint's progress in taking it; while the client sends it, by the client's own bounds.
    fn poll_head_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let options = self.home.options();
        let running = self.uploading == Upload::Running;
        let progress = (self.outbound.total_sent(), running);
        if running && !self.outbound.is_blocked() {
            self.timer.clear();
        } else if progress != self.progress || !self.timer.is_set() {
            let wait = if running { options.write } else { options.head };
            self.timer.set(wait);
        }
        self.progress = progress;
        self.timer.poll(cx)
    }

    fn ended(&self, error: io::Error) -> Failure {
        if !self.inbound.unread().is_empty() {
            return Failure::Broken(error);
        }
        let sent = if self.outbound.has_begun_body() {
            Sent::Body
        } else if self.outbound.total_sent() > self.began {
            Sent::Head
        } else {
            Sent::Nothing
        };
        Failure::Died(sent, error)
    }

    /// What the wait for more of the response's body brought, if it did not take too long.
    fn in_time<T>(
        &mut self,
        polled: Poll<Result<T, InboundError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, BodyError>> {
        match polled {
            Poll::Ready(result) => {
                self.timer.clear();
                Poll::Ready(result.map_err(endpoint_error))
            }
            Poll::Pending => {
                if let Some(timeout) = self.body_timeout
                    && !self.timer.is_set()
                {
                    self.timer.set(timeout);
                }
                self.timer
                    .poll(cx)
                    .map(|()| Err(BodyError::EndpointTimeout))
            }
        }
    }

    fn may_be_kept(&self) -> bool {
        self.keep_alive
            && self.uploading == Upload::Done
            && self.inbound.body_is_consumed()
            && self.inbound.unread().is_empty()
            && !self.inbound.has_ended()
    }
}

impl BodyStream for Connection {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if let Poll::Ready(Err(error)) = self.poll_upload(cx) {
            return Poll::Ready(Err(error));
        }
        let polled = self.inbound.poll_body(&self.stream, cx);
        self.in_time(polled, cx)
    }

    fn data(&self) -> &[u8] {
        self.inbound.body()
    }

    fn consume(&mut self, count: usize) {
        self.inbound.consume(count);
    }

    fn remaining(&self) -> Option<u64> {
        self.inbound.body_len()
    }

    fn spliceable(&self) -> u64 {
        self.inbound.spliceable(&self.stream)
    }

    fn poll_splice(
        &mut self,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, BodyError>> {
        if let Poll::Ready(Err(error)) = self.poll_upload(cx) {
            return Poll::Ready(Err(error));
        }
        let polled = self.inbound.poll_splice(&self.stream, pipe, cx);
        self.in_time(polled, cx)
    }

    fn pause(&self) {
        self.stream.pause();
    }

    fn trailers(&self) -> Option<&Fields> {
        self.inbound.trailers()
    }

    fn set_limit(&mut self, _: u64) {}

    fn release(mut self: Box<Self>) {
        self.upload = Body::Empty;
        if self.may_be_kept() {
            self.used = true;
            self.timer.clear();
            self.inbound.rest();
            let home = self.home.clone();
            home.keep(self);
        } else {
            self.part();
        }
    }
}

/// How long the endpoint says it keeps an idle connection, less a second for the way there: Node
/// closes after five.
fn announced_idle(head: &ResponseHead) -> Duration {
    head.fields
        .get(Name::KeepAlive)
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| {
            value
                .split(',')
                .find_map(|part| part.trim().strip_prefix("timeout="))
        })
        .and_then(|seconds| seconds.parse().ok())
        .map_or(Duration::MAX, |seconds: u64| {
            Duration::from_secs(seconds.saturating_sub(1))
        })
}

fn endpoint_error(error: InboundError) -> BodyError {
    match error {
        InboundError::Io(error) => BodyError::Endpoint(error),
        InboundError::Rejected(reject) => {
            BodyError::Endpoint(io::Error::new(io::ErrorKind::InvalidData, reject))
        }
    }
}
