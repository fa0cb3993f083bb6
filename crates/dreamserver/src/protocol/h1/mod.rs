//! A client's HTTP/1.1 connection (RFC 9112): requests one after the other, answered in order.

mod incoming;
mod linger;
mod outgoing;
mod tunnel;

pub use linger::discard;

use crate::error;
use crate::exchange::{Body, BodyHandle, Peer, Request, Response};
use crate::log::Record;
use crate::metrics::{Counted, Failure};
use crate::outbound::OutboundError;
use crate::serve::{Core, Held, Snapshot, client, serve, serve_reject};
use crate::spare;
use crate::stream::Stream;
use dream_http::h1::{self, Framing, Persistence, RequestParser, encode_response};
use dream_http::{Method, Name, Reject, RequestHead, ResponseHead, Version};
use incoming::{Home, Incoming};
use outgoing::Outgoing;
use std::future::poll_fn;
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// While the server drains, an idle client has this long to send a request that is on its way; the answer then tells
/// it to close. A connection closed at once would break that request. After a take-over nobody waits for the end, and the
/// client has its usual time.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// The status in the log of a request whose client went away before the answer (nginx's number).
const CLIENT_GONE: u16 = 499;

/// Serves a connection until it ends, and drops `held` then.
// Not an `async fn`: that holds its arguments, and each future in it that is not made here, twice for as long as it lives.
pub fn serve_connection(
    core: Rc<Core>,
    stream: Stream,
    peer: Peer,
    held: impl Sized,
) -> impl Future<Output = ()> {
    let mut connection = Connection::new(core, stream, peer);
    async move {
        while let Next::Request = connection.exchange().await {}
        drop(held);
    }
}

/// Turns a connection away whose client has too many already, and drops `held` then.
pub async fn refuse_crowd(core: Rc<Core>, stream: Stream, peer: Peer, held: impl Sized) {
    let mut connection = Connection::new(core, stream, peer);
    let snapshot = connection.core.snapshot();
    connection.refuse(&snapshot, Refusal::Crowd).await;
    drop(held);
}

/// What to do after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

/// What came instead of a request.
enum Refusal {
    /// Nothing: the client is gone, or was idle for too long.
    Silence,
    /// One connection too many of this client.
    Crowd,
    /// A head that took too long.
    Slow,
    /// A head that breaks a rule.
    Rejected(Reject),
}

/// How a response leaves.
struct Plan {
    /// What the head says.
    announced: Framing,
    /// What follows it; nothing after the answer to HEAD.
    framing: Framing,
    persistence: Persistence,
    close: bool,
    /// Whether the client may still be sending when we close.
    linger: bool,
}

struct Connection {
    core: Rc<Core>,
    stream: Rc<Stream>,
    peer: Rc<Peer>,
    home: Home,
    outgoing: Rc<Outgoing>,
    parser: RequestParser,
    /// The head that is being received, from its first byte on.
    head: Option<Box<RequestHead>>,
}

impl Connection {
    fn new(core: Rc<Core>, stream: Stream, peer: Peer) -> Connection {
        let stream = Rc::new(stream);
        let home = Home::default();
        let incoming = Incoming::new(stream.clone(), &core.clock, &home);
        home.set(Some(Box::new(incoming)));
        let outgoing = Outgoing::new(stream.clone(), &core.clock);
        let limits = &core.snapshot().limits;
        let parser = RequestParser::new(h1::Limits {
            head: limits.head,
            fields: limits.fields,
            target: limits.target,
        });
        Connection {
            core,
            stream,
            peer: Rc::new(peer),
            home,
            outgoing,
            parser,
            head: None,
        }
    }

    /// One exchange: receive, serve, answer, and see what comes next.
    async fn exchange(&mut self) -> Next {
        let Some(mut incoming) = self.home.take() else {
            return Next::Close;
        };
        let received = self.receive(&mut incoming).await;
        let snapshot = self.core.snapshot();
        match received {
            Ok(received) => {
                let mut request = self.request(incoming, &snapshot, received);
                let next = self.answer(snapshot, &mut request).await;
                spare::keep_request_head(request.head);
                next
            }
            Err(refusal) => {
                self.home.set(Some(incoming));
                Box::pin(self.refuse(&snapshot, refusal)).await
            }
        }
    }

    /// Waits for a head, which is then in `head`; gives the time of its first byte.
    async fn receive(&mut self, incoming: &mut Incoming) -> Result<Instant, Refusal> {
        if incoming.inbound.unread().is_empty() {
            incoming.inbound.rest();
            self.outgoing.rest();
        }
        // No hold on it: what is published while a client is idle is for its next request, and an idle client keeps nothing
        // alive that was replaced.
        let (patience, most) = {
            let current = self.core.current();
            incoming.timer.set(current.timeouts.keep_alive);
            (current.timeouts.head, current.limits.head + 1)
        };
        let mut begun = None;
        let Connection {
            core,
            stream,
            parser,
            head,
            ..
        } = self;
        poll_fn(|cx| {
            loop {
                let unread = incoming.inbound.unread();
                if !unread.is_empty() {
                    let first = *begun.get_or_insert_with(Instant::now);
                    let head = head.get_or_insert_with(spare::request_head);
                    match parser.parse(unread, head) {
                        Ok(Some(count)) => {
                            incoming.inbound.take(count);
                            return Poll::Ready(Ok(first));
                        }
                        Ok(None) => {}
                        Err(reject) => return Poll::Ready(Err(Refusal::Rejected(reject))),
                    }
                }
                let partial = parser.has_begun();
                match incoming.inbound.poll_fill(stream, most, cx) {
                    Poll::Ready(Ok(true)) => {
                        if !partial {
                            incoming.timer.set(patience);
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(Err(Refusal::Silence)),
                    Poll::Pending => return poll_patience(core, incoming, partial, cx),
                }
            }
        })
        .await
    }

    fn request(
        &mut self,
        mut incoming: Box<Incoming>,
        snapshot: &Snapshot,
        received: Instant,
    ) -> Request {
        let head = self.head.take().unwrap_or_default();
        incoming.begin_body(head.framing, &snapshot.timeouts);
        let body = match head.framing {
            Framing::None => {
                // Whoever is read next fills the buffer that is warm in the processor's cache.
                incoming.inbound.rest();
                self.home.set(Some(incoming));
                Body::Empty
            }
            _ => Body::Stream(BodyHandle::new(incoming)),
        };
        self.outgoing.allow_interim(head.version == Version::Http11);
        Request {
            head,
            body,
            peer: self.peer.clone(),
            id: self.core.new_id(received),
            received,
            interim: Some(self.outgoing.clone()),
            account: None,
            values: Vec::new(),
        }
    }

    /// Serves the request, sends the response, writes the log.
    async fn answer(&mut self, snapshot: Rc<Held>, request: &mut Request) -> Next {
        let client = client(&snapshot, request);
        let Some(mut response) = self.serve(&snapshot, request).await else {
            self.log(
                client,
                request,
                &Response::new(CLIENT_GONE),
                End::Cut("the client went away"),
            );
            return Next::Close;
        };
        // Nobody reads on what no endpoint has taken.
        request.body = Body::Empty;
        let finished = self.discard_request().unwrap_or_else(|reject| {
            response = error::page(reject.status(), request, &reject.to_string());
            false
        });
        let plan = self.plan(request, &mut response, finished);
        let sent = self.send(&snapshot, &mut response, &plan).await;
        if let (Ok(()), Body::Tunnel(_)) = (&sent, &response.body) {
            // A tunnel goes by nothing that could be replaced, and may outlive many versions of it.
            drop(snapshot);
            return Box::pin(self.tunnel(client, request, response)).await;
        }
        let error = sent.as_ref().err().map(ToString::to_string);
        response.body = Body::Empty;
        let end = match (&sent, error.as_deref()) {
            (Err(OutboundError::Body(_) | OutboundError::Misuse(_)), Some(error)) => {
                End::Broken(error)
            }
            (_, Some(error)) => End::Cut(error),
            (_, None) => End::Whole,
        };
        self.log(client, request, &response, end);
        spare::keep_response_head(response.head);
        match error {
            None if !plan.close => self.next(&snapshot).await,
            _ => self.close(&snapshot, &plan, error.is_some()).await,
        }
    }

    /// Ends the connection. An answer that broke off must not look whole: where only the end of the connection ends it,
    /// that end is a reset.
    async fn close(&mut self, snapshot: &Snapshot, plan: &Plan, broken: bool) -> Next {
        match (broken, plan.framing) {
            (true, Framing::UntilClose) => linger::reset(&self.stream),
            (true, _) => self.stream.shutdown(Shutdown::Both),
            (false, _) if plan.linger || self.has_unread() => {
                linger::close(&self.stream, self.home.take(), &snapshot.timeouts).await;
            }
            (false, _) => self.stream.farewell(),
        }
        Next::Close
    }

    /// Has the client sent more than the request?
    fn has_unread(&self) -> bool {
        let incoming = self.home.take();
        let unread = incoming
            .as_ref()
            .is_none_or(|incoming| !incoming.inbound.unread().is_empty());
        self.home.set(incoming);
        unread
    }

    /// Serves the request; nothing if the client goes away meanwhile.
    async fn serve(&self, snapshot: &Held, request: &mut Request) -> Option<Response> {
        let mut serving = pin!(serve(&self.core, snapshot, request));
        poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => self.poll_gone(cx).map(|()| None),
        })
        .await
    }

    /// Decides framing and persistence of the response (RFC 9112 §6.3, §9).
    fn plan(&self, request: &Request, response: &mut Response, finished: bool) -> Plan {
        let head = &mut response.head;
        if !head.fields.has(Name::Date) {
            let dated = self
                .core
                .clock
                .with_date(|date| head.fields.append(Name::Date, date));
            debug_assert!(dated.is_ok(), "a date is clean");
        }
        if let Body::Tunnel(_) = response.body {
            return Plan {
                announced: Framing::None,
                framing: Framing::None,
                persistence: Persistence::Upgrade,
                close: true,
                linger: false,
            };
        }
        let framing = framing(request, head, &mut response.body);
        let close = !request.head.keep_alive
            || self.core.drain.has_begun()
            || framing == Framing::UntilClose
            // A body that nobody reads is still to come (RFC 9112 §9.3).
            || !finished;
        let persistence = match (close, request.head.version) {
            (true, _) => Persistence::Close,
            (false, Version::Http10) => Persistence::KeepAlive,
            (false, Version::Http11) => Persistence::Implied,
        };
        Plan {
            announced: announced(request, head, framing),
            framing,
            persistence,
            close,
            linger: request.head.keep_alive || !finished,
        }
    }

    /// Discards what has come of a body that nobody reads; `false` if more of it is to come. A body on its way to an
    /// endpoint is not touched.
    fn discard_request(&self) -> Result<bool, Reject> {
        let Some(mut incoming) = self.home.take() else {
            return Ok(true);
        };
        let finished = incoming.inbound.discard_body();
        self.home.set(Some(incoming));
        finished
    }

    async fn send(
        &self,
        snapshot: &Snapshot,
        response: &mut Response,
        plan: &Plan,
    ) -> Result<(), OutboundError> {
        self.outgoing.begin(|outbound| {
            encode_response(
                &response.head,
                plan.announced,
                plan.persistence,
                outbound.bytes(),
            );
            outbound.begin_body(plan.framing);
        });
        let timeout = snapshot.timeouts.write;
        poll_fn(
            |cx| match self.outgoing.poll_send(&mut response.body, timeout, cx) {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => self.poll_gone(cx).map(|()| {
                    Err(OutboundError::Io(
                        std::io::ErrorKind::ConnectionReset.into(),
                    ))
                }),
            },
        )
        .await
    }

    /// Ready when the client has reset the connection, or the server's time to finish is over. While somebody reads the
    /// request's body, that reader notices a reset.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.outgoing.poll_cut(&self.core.drain, cx).is_ready() {
            return Poll::Ready(());
        }
        match self.home.take() {
            Some(incoming) => {
                self.home.set(Some(incoming));
                self.stream.poll_reset(cx)
            }
            None => Poll::Pending,
        }
    }

    /// After a whole response on a connection that stays: is the request finished too?
    async fn next(&self, snapshot: &Snapshot) -> Next {
        let Some(mut incoming) = self.home.take() else {
            return Next::Close;
        };
        if let Ok(true) = incoming.inbound.discard_body() {
            self.home.set(Some(incoming));
            return Next::Request;
        }
        linger::close(&self.stream, Some(incoming), &snapshot.timeouts).await;
        Next::Close
    }

    async fn tunnel(
        &mut self,
        client: std::net::IpAddr,
        request: &mut Request,
        mut response: Response,
    ) -> Next {
        request.body = Body::Empty;
        let early = self
            .home
            .take()
            .map(|incoming| incoming.inbound.unread().to_vec());
        if let Body::Tunnel(tunnel) = std::mem::take(&mut response.body) {
            let early = early.unwrap_or_default();
            let passed = tunnel::run(&self.core, &self.stream, early, *tunnel).await;
            let counted = || counted(request, &response, End::Whole);
            self.core.count(request, counted);
            self.core.log(|| Record {
                bytes: passed.to_client,
                received: passed.to_endpoint,
                ..record(client, request, &response, None)
            });
        }
        Next::Close
    }

    /// Answers what is no request.
    async fn refuse(&mut self, snapshot: &Held, refusal: Refusal) -> Next {
        let mut request = self.no_request();
        let (mut response, detail) = match refusal {
            Refusal::Silence => {
                self.stream.farewell();
                return Next::Close;
            }
            Refusal::Crowd => crowded(&request),
            Refusal::Slow => {
                let detail = "the request head came too slowly".to_owned();
                (error::bare(408, Some(&request.id), &detail), detail)
            }
            Refusal::Rejected(reject) => {
                let response = serve_reject(&self.core, snapshot, &mut request, reject).await;
                (response, reject.to_string())
            }
        };
        let plan = self.plan(&request, &mut response, false);
        let sent = self.send(snapshot, &mut response, &plan).await;
        self.log(self.peer.ip(), &request, &response, End::Cut(&detail));
        self.close(snapshot, &plan, sent.is_err()).await
    }

    /// What stands for a request that could not be read.
    fn no_request(&self) -> Request {
        let received = Instant::now();
        Request {
            head: Box::default(),
            body: Body::Empty,
            peer: self.peer.clone(),
            id: self.core.new_id(received),
            received,
            interim: None,
            account: None,
            values: Vec::new(),
        }
    }

    fn log(&self, client: std::net::IpAddr, request: &Request, response: &Response, end: End<'_>) {
        let counted = || counted(request, response, end);
        self.core.count(request, counted);
        self.core.log(|| {
            let incoming = self.home.take();
            let received = incoming.as_ref().map_or(0, |incoming| incoming.received());
            self.home.set(incoming);
            Record {
                bytes: self.outgoing.body_sent(),
                received,
                ..record(client, request, response, end.error())
            }
        });
    }
}

/// How an exchange ended.
#[derive(Clone, Copy)]
enum End<'a> {
    /// With the last byte of the answer.
    Whole,
    /// On the client's side.
    Cut(&'a str),
    /// Where the answer came from.
    Broken(&'a str),
}

impl<'a> End<'a> {
    fn error(self) -> Option<&'a str> {
        match self {
            End::Whole => None,
            End::Cut(error) | End::Broken(error) => Some(error),
        }
    }
}

fn crowded(request: &Request) -> (Response, String) {
    let detail = "your address has too many connections here".to_owned();
    let mut response = error::bare(503, Some(&request.id), &detail);
    let added = response.head.fields.append(Name::RetryAfter, b"1");
    debug_assert!(added.is_ok(), "a digit is clean");
    (response, detail)
}

/// While a head is awaited: is the client's time over? An idle connection just closes, a head that was begun is answered.
fn poll_patience(
    core: &Core,
    incoming: &Incoming,
    partial: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Instant, Refusal>> {
    if core.drain.has_begun() && !core.drain.is_taken_over() && !partial {
        incoming.timer.shorten(DRAIN_GRACE);
    }
    incoming.timer.poll(cx).map(|()| match partial {
        true => Err(Refusal::Slow),
        false => Err(Refusal::Silence),
    })
}

/// How the body is delimited (RFC 9112 §6.3). A body that may not be is dropped.
fn framing(request: &Request, head: &mut ResponseHead, body: &mut Body) -> Framing {
    if !ResponseHead::may_have_body(head.status, request.head.method) {
        *body = Body::Empty;
        return Framing::None;
    }
    match (body.len(), request.head.version) {
        (Some(len), _) => Framing::Length(len),
        (None, Version::Http11) => Framing::Chunked,
        (None, Version::Http10) => Framing::UntilClose,
    }
}

/// What the head says of the body. The answer to HEAD says what the one to GET would (RFC 9110 §9.3.2): a length if it
/// is known, else chunks.
fn announced(request: &Request, head: &ResponseHead, framing: Framing) -> Framing {
    let unknown =
        head.content_length.is_none() && ResponseHead::may_have_body(head.status, Method::Get);
    match request.head.version {
        Version::Http11 if request.head.method == Method::Head && unknown => Framing::Chunked,
        _ => framing,
    }
}

/// What is counted for the name that was asked. How fast a client reads says nothing about the program that it asks, so the
/// latency is that of the head.
fn counted<'a>(request: &'a Request, response: &'a Response, end: End<'a>) -> Counted<'a> {
    let status = response.head.status;
    let (broken, reason) = match end {
        End::Broken(error) => (true, Some(error)),
        End::Whole | End::Cut(_) => (false, response.reason.as_deref()),
    };
    let failure = || Failure {
        method: request.head.method_text(),
        path: request.head.path(),
        reason,
    };
    Counted {
        status,
        latency: match &response.endpoint {
            Some(endpoint) => endpoint.latency,
            None => request.received.elapsed(),
        },
        failure: (broken || status >= 500).then(failure),
    }
}

fn record<'a>(
    client: std::net::IpAddr,
    request: &'a Request,
    response: &'a Response,
    error: Option<&'a str>,
) -> Record<'a> {
    let fields = &request.head.fields;
    Record {
        id: request.id.as_bytes(),
        client,
        method: request.head.method_text(),
        path: request.head.path(),
        query: request.head.query(),
        host: request.head.host(),
        user_agent: fields.get(Name::UserAgent),
        status: response.head.status,
        bytes: 0,
        received: 0,
        latency: request.received.elapsed(),
        endpoint: response
            .endpoint
            .as_ref()
            .map(|endpoint| &*endpoint.address),
        endpoint_latency: response.endpoint.as_ref().map(|endpoint| endpoint.latency),
        version: request.head.version,
        error,
    }
}
