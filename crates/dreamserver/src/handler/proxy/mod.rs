//! Passes a request on to an endpoint and its response back.

mod forward;
mod forwarded;
mod redirects;

pub use forwarded::client_address;

use crate::error;
use crate::exchange::{Body, BodyHandle, EndpointTrace, Request, Response};
use crate::spare;
use crate::upstream::{self, Connection, Endpoint, Failure, Pools, Sent, Upstream};
use dream_http::h1::{Framing, Persistence};
use dream_http::{Method, ResponseHead};
use ipnet::IpNet;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

/// How many redirects are followed at most, where following is on. Browsers stop at 20; a server
/// behind us that needs more than a few is going in circles.
const MAX_REDIRECTS: usize = 5;

/// How many interim responses an endpoint may give before the final one. A browser has use for two or three.
const MAX_INTERIM: usize = 32;

/// What a proxy route was configured to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where requests go.
    pub upstream: Upstream,
    /// Redirects that name the endpoint's own address are made to name ours.
    pub rewrite_redirects: bool,
    /// Redirects to the endpoint itself are followed here, for GET and HEAD.
    pub follow_redirects: bool,
    /// The protocols that a client may switch to, in lower case.
    pub upgrade: Vec<String>,
    /// Bytes of a request body; `limits.max_body` if it says nothing.
    pub max_body: Option<u64>,
}

/// The proxy of one route.
#[derive(Clone, Debug)]
pub struct Proxy {
    options: Options,
}

impl Proxy {
    /// A proxy that goes by `options`.
    pub fn new(options: Options) -> Proxy {
        Proxy { options }
    }

    /// What was configured.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Passes the request on and gives the response; its body is still coming.
    ///
    /// The stations: refuse what is too large or goes in circles · make the request's head ours ·
    /// exchange it with an endpoint · make the response's head ours.
    pub async fn answer(
        &self,
        pools: &Rc<Pools>,
        trusted: &[IpNet],
        request: &mut Request,
    ) -> Response {
        if let Some(refusal) = self.refuse(pools, request) {
            return refusal;
        }
        let upgrade = forward::wanted_upgrade(&request.head, &self.options.upgrade);
        let upstream = &self.options.upstream;
        forward::prepare_request(request, trusted, upgrade.is_some(), upstream);
        let begun = Instant::now();
        let outcome = self.exchange(pools, request, upgrade.as_deref()).await;
        match outcome {
            Ok((head, connection, endpoint)) => {
                let label = connection.label();
                let mut response = self.respond(request, head, connection, endpoint);
                let latency = begun.elapsed();
                forward::prepare_response(&mut response.head, upgrade.as_deref());
                if self.options.rewrite_redirects {
                    redirects::rewrite(request, &mut response.head, endpoint);
                }
                response.endpoint = Some(EndpointTrace {
                    address: label,
                    latency,
                });
                response
            }
            Err((failure, endpoint)) => {
                tracing::warn!(id = request.id.as_str(), endpoint = &*endpoint.label, %failure, "no response from an endpoint");
                let mut response = answer_failure(&failure, request);
                response.reason = Some(format!("{}: {failure}", endpoint.label).into());
                response.endpoint = Some(EndpointTrace {
                    address: Rc::from(&*endpoint.label),
                    latency: begun.elapsed(),
                });
                response
            }
        }
    }

    fn refuse(&self, pools: &Pools, request: &mut Request) -> Option<Response> {
        if forward::hops(&request.head.fields) >= forward::MAX_HOPS {
            let detail =
                "This request has passed through here too often: two proxies point at each other.";
            return Some(error::page(508, request, detail));
        }
        let max = self.options.max_body.or_else(|| pools.max_body())?;
        if matches!(request.head.framing, Framing::Length(len) if len > max) {
            return Some(error::page(413, request, "The request body is too large."));
        }
        if let Body::Stream(body) = &mut request.body {
            body.set_limit(max);
        }
        None
    }

    /// Exchanges the request with an endpoint, following redirects where that is on.
    async fn exchange<'a>(
        &'a self,
        pools: &Rc<Pools>,
        request: &mut Request,
        upgrade: Option<&str>,
    ) -> Result<(Box<ResponseHead>, Box<Connection>, &'a Endpoint), (Failure, &'a Endpoint)> {
        let safe = matches!(request.head.method, Method::Get | Method::Head);
        let mut left = if self.options.follow_redirects && safe {
            MAX_REDIRECTS
        } else {
            0
        };
        loop {
            let (head, connection, endpoint) = self.try_endpoints(pools, request, upgrade).await?;
            let target = (left > 0)
                .then(|| redirects::target(request, &head, endpoint))
                .flatten();
            let Some(target) = target else {
                return Ok((head, connection, endpoint));
            };
            left -= 1;
            request.head.set_path(&target.path, target.query.as_deref());
            drop(BodyHandle::new(connection));
        }
    }

    /// Tries the endpoints from the one whose turn it is, each once, until one gives a response or
    /// has seen too much of the request.
    async fn try_endpoints<'a>(
        &'a self,
        pools: &Rc<Pools>,
        request: &mut Request,
        upgrade: Option<&str>,
    ) -> Result<(Box<ResponseHead>, Box<Connection>, &'a Endpoint), (Failure, &'a Endpoint)> {
        let endpoints = &self.options.upstream.endpoints;
        let first = pools.turn(&self.options.upstream);
        let mut tried = 0;
        loop {
            let endpoint = &endpoints[(first + tried) % endpoints.len()];
            tried += 1;
            match try_endpoint(pools, endpoint, request, upgrade).await {
                Ok((head, connection)) => return Ok((head, connection, endpoint)),
                Err(failure) if failure.is_unseen() && tried < endpoints.len() => {
                    tracing::debug!(endpoint = &*endpoint.label, %failure, "the next endpoint is asked");
                }
                Err(failure) => return Err((failure, endpoint)),
            }
        }
    }

    /// Makes a response of a head and the connection that its body comes from.
    fn respond(
        &self,
        request: &Request,
        head: Box<ResponseHead>,
        connection: Box<Connection>,
        endpoint: &Endpoint,
    ) -> Response {
        let body = match head.framing {
            // CONNECT never gets here, so a tunnel is a 101; and only one that was asked for.
            Framing::Tunnel if forward::is_upgrade(&request.head.fields) => {
                Body::Tunnel(Box::new(connection.into_tunnel()))
            }
            Framing::Tunnel => {
                let detail =
                    "The server behind this one switched protocols without being asked to.";
                tracing::warn!(endpoint = &*endpoint.label, "101 without an Upgrade");
                return error::page(502, request, detail);
            }
            Framing::None => {
                drop(BodyHandle::new(connection));
                Body::Empty
            }
            _ => Body::Stream(BodyHandle::new(connection)),
        };
        Response {
            head,
            body,
            endpoint: None,
            reason: None,
        }
    }
}

/// Exchanges the request with one endpoint: on an idle connection if there is one, and once more on a
/// fresh one if the idle one turns out to be dead and nothing is lost by it.
async fn try_endpoint(
    pools: &Rc<Pools>,
    endpoint: &Endpoint,
    request: &mut Request,
    upgrade: Option<&str>,
) -> Result<(Box<ResponseHead>, Box<Connection>), Failure> {
    let idempotent = request.head.method.is_idempotent();
    if let Some(mut connection) = pools
        .reuse(endpoint)
        .filter(|c| idempotent || !c.has_input())
    {
        match try_connection(&mut connection, endpoint, request, upgrade).await {
            Ok(head) => return Ok((head, connection)),
            Err(Failure::Died(sent, error)) => {
                let again = sent == Sent::Nothing || (idempotent && sent == Sent::Head);
                match connection.take_back() {
                    Some(body) if again => request.body = body,
                    _ => return Err(Failure::Died(sent, error)),
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    // Boxed, as it is rare and large: the memory of a connection is that of its largest wait.
    let mut connection = Box::pin(pools.connect(endpoint)).await?;
    match try_connection(&mut connection, endpoint, request, upgrade).await {
        Ok(head) => Ok((head, connection)),
        Err(failure) => Err(unless_refused(failure, connection, request)),
    }
}

/// What an endpoint refuses before it knows who we are, it has not looked at; and what of it is still here, another one can get.
fn unless_refused(
    failure: Failure,
    mut connection: Box<Connection>,
    request: &mut Request,
) -> Failure {
    match failure {
        Failure::Died(_, error) if upstream::is_refusal(&error) => match connection.take_back() {
            Some(body) => {
                request.body = body;
                Failure::Handshake(error)
            }
            None => Failure::Died(Sent::Body, error),
        },
        failure => failure,
    }
}

/// Sends the request and waits for the final head; interim ones go to the client at once.
async fn try_connection(
    connection: &mut Connection,
    endpoint: &Endpoint,
    request: &mut Request,
    upgrade: Option<&str>,
) -> Result<Box<ResponseHead>, Failure> {
    let persistence = match upgrade {
        Some(_) => Persistence::Upgrade,
        None => Persistence::Implied,
    };
    let body = std::mem::take(&mut request.body);
    // A Host that the configuration chose stays.
    let host = endpoint
        .own_host()
        .filter(|_| request.head.has_original_host());
    connection.begin(&request.head, host, persistence, body);
    let mut head = spare::response_head();
    for _ in 0..=MAX_INTERIM {
        poll_fn(|cx| connection.poll_head(request.head.method, &mut head, cx)).await?;
        if !head.is_interim() || head.status == 101 {
            return Ok(head);
        }
        if let Some(interim) = &request.interim {
            forward::prepare_response(&mut head, None);
            interim.send(&head);
        }
    }
    Err(Failure::Endless)
}

/// The one table that turns a failed exchange into an answer.
fn answer_failure(failure: &Failure, request: &Request) -> Response {
    let (status, detail) = match failure {
        Failure::Connect(_) => (502, "The server behind this one cannot be reached."),
        Failure::ConnectTimeout => (
            504,
            "The server behind this one did not accept the connection in time.",
        ),
        Failure::Handshake(_) => (
            502,
            "No secure connection to the server behind this one can be made.",
        ),
        Failure::HandshakeTimeout => (
            504,
            "The server behind this one did not agree on a secure connection in time.",
        ),
        Failure::Died(..) | Failure::Broken(_) => (
            502,
            "The server behind this one closed the connection without an answer.",
        ),
        Failure::Rejected(_) => (
            502,
            "The server behind this one gave an answer that is not valid HTTP.",
        ),
        Failure::Endless => (
            502,
            "The server behind this one announced an answer for ever.",
        ),
        Failure::Timeout => (504, "The server behind this one did not answer in time."),
        Failure::Request(error) => return error::body(error, request),
    };
    error::page(status, request, detail)
}
