//! One request and its response, whatever protocol carried them.
//!
//! An exchange owns its heads and bodies and borrows no connection, so that a protocol may await it
//! (HTTP/1.1) or spawn it.

mod file;
mod make;
mod pieces;
mod source;
mod whole;

pub use file::{
    Ends, FileBody, FileBroke, FileState, PartsBody, SharedFile, read_cached, read_waiting,
};
pub(crate) use make::put;
pub use source::Source;

use bytes::Bytes;
use dream_http::{Fields, RequestHead, ResponseHead};
use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::metrics::Account;
use crate::pipe::Pipe;
use crate::spare;
use crate::stream::Stream;

/// A request on its way in.
///
/// Its head is valid and unambiguous when a handler sees it, its path without dot segments; what could be read in two ways was refused before.
pub struct Request {
    /// The head; its path is already clean when the router sees it.
    pub head: Box<RequestHead>,
    /// The body, not yet read.
    pub body: Body,
    /// Who sent it, and to which of our addresses.
    pub peer: Rc<Peer>,
    /// Its name in the log, to the endpoint and to the client.
    pub id: RequestId,
    /// When its first byte was seen.
    pub received: Instant,
    /// Where interim responses (1xx) go; none for a request without a client.
    pub(crate) interim: Option<Rc<dyn Interim>>,
    /// Where it is counted: on the name's account, where the route is that of an announced name.
    pub(crate) account: Option<Account>,
    /// What stands in the path for the `{names}` of the route's pattern, where a handler of the library asked for that.
    pub(crate) values: Vec<(Box<str>, String)>,
}

#[cfg(test)]
impl Request {
    /// One with this head that nobody has sent.
    pub(crate) fn of_nobody(head: RequestHead) -> Request {
        Request {
            head: head.into(),
            body: Body::Empty,
            peer: Peer::local().into(),
            id: RequestId::from_uuid(uuid::Uuid::now_v7()),
            received: Instant::now(),
            interim: None,
            account: None,
            values: Vec::new(),
        }
    }
}

impl Request {
    /// What stands in the path for `{name}` of the [pattern](crate::Mux), its escapes decoded; for `*`, what is below.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values.iter();
        let found = values.find(|(known, _)| **known == *name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A response on its way out: the answer of a handler, or what a [`Middleware`](crate::Middleware) makes of it.
pub struct Response {
    /// The head, without what is the protocol's work (framing, Date, connection fields); boxed, since it passes through many hands.
    pub head: Box<ResponseHead>,
    /// The body.
    pub body: Body,
    /// The endpoint that gave it, if one did.
    pub(crate) endpoint: Option<EndpointTrace>,
    /// Why the answer is an error of ours, for whoever looks after the server.
    pub(crate) reason: Option<Box<str>>,
}

/// Which endpoint answered, and how long its head took, for the log.
#[derive(Clone, Debug)]
pub struct EndpointTrace {
    /// The endpoint's address as the configuration names it.
    pub address: Rc<str>,
    /// From the first try to the endpoint's head.
    pub latency: Duration,
}

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Response {
        let mut head = spare::response_head();
        head.begin(status);
        Response::with_head(head)
    }

    /// A response with the head `head` and no body.
    pub fn with_head(head: Box<ResponseHead>) -> Response {
        Response {
            head,
            body: Body::Empty,
            endpoint: None,
            reason: None,
        }
    }
}

/// Both ends of the connection that a request came in on.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client; `::ffff:` addresses are unmapped, a unix socket's peer is 127.0.0.1 port 0.
    pub remote: SocketAddr,
    /// Our side.
    pub local: SocketAddr,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// The fields that tell every endpoint the same of this connection, made for its first proxied request.
    pub(crate) introduction: OnceCell<Box<Fields>>,
    /// What the handshake told, if there was one.
    pub security: Option<Box<Security>>,
}

/// What a TLS handshake told of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// The host that it asked for (RFC 6066 §3), in lower case.
    pub server_name: Option<Box<str>>,
    /// By which policy it was asked for a certificate, if it was.
    pub(crate) policy: Option<PolicyId>,
    /// The certificate that it has shown, if it has.
    pub client: Option<ClientCertificate>,
}

/// Who the client has proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The subject of its certificate, as RFC 4514 writes it.
    pub subject: Box<str>,
}

/// Names a policy by which clients are asked for certificates: a digest of where the configuration says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId(pub [u8; 32]);

impl Peer {
    /// The two ends of a connection.
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr, scheme: Scheme) -> Peer {
        Peer {
            remote,
            local,
            scheme,
            introduction: OnceCell::new(),
            security: None,
        }
    }

    /// The client's address.
    pub fn ip(&self) -> IpAddr {
        self.remote.ip()
    }

    /// The two ends of a connection without addresses.
    pub(crate) fn local() -> Peer {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Peer::new(nowhere, nowhere, Scheme::Http)
    }
}

/// How the client reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme as a URI writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The name of a request: 1 to 64 of `[A-Za-z0-9-]`, kept inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; RequestId::MAX],
    len: u8,
}

impl RequestId {
    /// The longest name that is kept.
    pub(crate) const MAX: usize = 64;

    /// The name that a trusted peer gave, if it may be kept.
    pub(crate) fn parse(text: &[u8]) -> Option<RequestId> {
        let fits = (1..=RequestId::MAX).contains(&text.len());
        let clean = text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if !(fits && clean) {
            return None;
        }
        let mut id = RequestId {
            text: [0; RequestId::MAX],
            len: text.len() as u8,
        };
        id.text[..text.len()].copy_from_slice(text);
        Some(id)
    }

    /// A UUID as a name.
    pub(crate) fn from_uuid(uuid: uuid::Uuid) -> RequestId {
        let mut text = [0; RequestId::MAX];
        uuid.hyphenated().encode_lower(&mut text);
        RequestId {
            text,
            len: uuid::fmt::Hyphenated::LENGTH as u8,
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The name as bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len as usize]
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of a request or response: what stands between its head and the next message.
#[derive(Default)]
#[non_exhaustive]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that are in memory.
    Bytes(Bytes),
    /// A part of a file, sent without passing through our memory.
    #[doc(hidden)]
    File(FileBody),
    /// Several parts of a file, likewise.
    #[doc(hidden)]
    Parts(Box<PartsBody>),
    /// Bytes that come from a connection, or are made meanwhile.
    Stream(BodyHandle),
    /// After a 101: the endpoint's connection, no longer HTTP.
    #[doc(hidden)]
    Tunnel(Box<Tunnel>),
}

impl Body {
    /// The length in bytes, where it is known before the end.
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(file) => Some(file.len),
            Body::Parts(parts) => Some(parts.len()),
            Body::Stream(stream) => stream.remaining(),
            Body::Tunnel(_) => None,
        }
    }

    /// Is it known that there is nothing to send?
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::Bytes(bytes.into())
    }
}

/// A connection that is no longer HTTP.
pub struct Tunnel {
    /// The endpoint's side.
    pub stream: Stream,
    /// What the endpoint sent behind its head already.
    pub received: Vec<u8>,
    /// The longest time without a byte in either direction.
    pub idle: Duration,
}

/// A body that comes from a connection, read like a buffer: wait, look at what is there, take some of it.
pub trait BodyStream {
    /// Waits until there is data to look at, or the end.
    ///
    /// # Errors
    /// [`BodyError`] if the rest will never come.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>>;

    /// The data that is there; after [`BodyStream::poll_ready`], nothing means the end.
    fn data(&self) -> &[u8];

    /// Takes `count` bytes of the data.
    fn consume(&mut self, count: usize);

    /// The length in bytes of what is still to be taken, as far as it is known.
    fn remaining(&self) -> Option<u64>;

    /// Bytes that the kernel can move to another socket by itself, because nothing of them is in our memory.
    fn spliceable(&self) -> u64;

    /// Moves some of the [`BodyStream::spliceable`] bytes into an empty pipe, waiting if there are none yet.
    ///
    /// # Errors
    /// [`BodyError`] if the rest will never come.
    fn poll_splice(
        &mut self,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, BodyError>>;

    /// Nobody will ask for more for a while.
    fn pause(&self);

    /// The trailers, once the end was seen.
    fn trailers(&self) -> Option<&Fields>;

    /// At most so many bytes may come in all; more is [`BodyError::TooLarge`]. Bodies of responses
    /// know no such limit.
    fn set_limit(&mut self, bytes: u64);

    /// Nobody reads on: the connection goes back to where it came from, or is closed.
    fn release(self: Box<Self>);
}

/// A body that comes from a connection, or is made meanwhile, read like a buffer: wait, look at what is there, take some of it. Dropped, it
/// leaves the rest to where it comes from.
pub struct BodyHandle(Option<Box<dyn BodyStream>>);

impl BodyHandle {
    /// Takes charge of `stream`.
    pub(crate) fn new(stream: Box<dyn BodyStream>) -> BodyHandle {
        BodyHandle(Some(stream))
    }

    /// Waits until there is data to look at, or the end.
    ///
    /// # Errors
    /// [`BodyError`] if the rest will never come.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match &mut self.0 {
            Some(stream) => stream.poll_ready(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// The data that is there; after [`BodyHandle::poll_ready`], nothing means the end.
    pub fn data(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |stream| stream.data())
    }

    /// Takes `count` bytes of the data, of which there are as many.
    pub fn consume(&mut self, count: usize) {
        if let Some(stream) = &mut self.0 {
            stream.consume(count);
        }
    }

    /// The length in bytes of what is still to be taken, as far as it is known.
    pub fn remaining(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |stream| stream.remaining())
    }

    /// See [`BodyStream::spliceable`].
    pub(crate) fn spliceable(&self) -> u64 {
        self.0.as_ref().map_or(0, |stream| stream.spliceable())
    }

    /// See [`BodyStream::poll_splice`].
    ///
    /// # Errors
    /// [`BodyError`] if the rest will never come.
    pub(crate) fn poll_splice(
        &mut self,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, BodyError>> {
        match &mut self.0 {
            Some(stream) => stream.poll_splice(pipe, cx),
            None => Poll::Ready(Ok(0)),
        }
    }

    /// See [`BodyStream::pause`].
    pub(crate) fn pause(&self) {
        if let Some(stream) = &self.0 {
            stream.pause();
        }
    }

    /// See [`BodyStream::set_limit`].
    pub(crate) fn set_limit(&mut self, bytes: u64) {
        if let Some(stream) = &mut self.0 {
            stream.set_limit(bytes);
        }
    }

    /// The trailers ([RFC 9110 §6.5](https://www.rfc-editor.org/rfc/rfc9110#section-6.5)), once the end was seen.
    pub fn trailers(&self) -> Option<&Fields> {
        self.0.as_ref().and_then(|stream| stream.trailers())
    }
}

impl Drop for BodyHandle {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.release();
        }
    }
}

/// Why a body broke off, and on whose side.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The client broke a rule in its body.
    Rejected(dream_http::Reject),
    /// The client went away.
    Client(io::Error),
    /// The client took too long.
    ClientTimeout,
    /// The endpoint went away or broke a rule; the text says which.
    Endpoint(io::Error),
    /// The endpoint took too long.
    EndpointTimeout,
    /// The body is larger than `max_body` or the handler allows.
    TooLarge,
    /// What makes the body cannot go on.
    Source(io::Error),
    /// The file is no longer what was announced.
    #[doc(hidden)]
    File(FileBroke),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Rejected(reject) => write!(f, "the request body is malformed: {reject}"),
            BodyError::Client(error) => write!(f, "the client went away: {error}"),
            BodyError::ClientTimeout => f.write_str("the client sent too slowly"),
            BodyError::Endpoint(error) => write!(f, "the endpoint broke off: {error}"),
            BodyError::EndpointTimeout => f.write_str("the endpoint sent nothing for too long"),
            BodyError::TooLarge => f.write_str("the request body is larger than is allowed"),
            BodyError::Source(error) => write!(f, "the handler broke off: {error}"),
            BodyError::File(broke) => broke.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Rejected(reject) => Some(reject),
            BodyError::Client(error) | BodyError::Endpoint(error) | BodyError::Source(error) => {
                Some(error)
            }
            BodyError::File(broke) => Some(broke),
            BodyError::ClientTimeout | BodyError::EndpointTimeout | BodyError::TooLarge => None,
        }
    }
}

/// Where interim responses go.
pub trait Interim {
    /// Sends a 1xx to the client now, unless the final response has begun.
    fn send(&self, head: &ResponseHead);
}
