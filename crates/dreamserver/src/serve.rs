//! The hallway itself: from a request to its response, whatever protocol brought it.

use crate::challenges::{self, Challenges};
use crate::error;
use crate::exchange::{Body, Peer, Request, RequestId, Response, Scheme};
use crate::handler::proxy::client_address;
use crate::handler::{Handler, State};
use crate::limits::{Limits, Timeouts};
use crate::log::{Record, Sink, Visit};
use crate::metrics::{Account, Counted, Meter};
use crate::middleware::{ErrorPages, Flow, Middleware};
use crate::router::{Found, Host, MethodSet, Names, Table};
use crate::time::Clock;
use dream_control::Domain;
use dream_http::target::{TargetForm, clean_path};
use dream_http::{Fields, Method, Name, Reject};
use ipnet::IpNet;
use std::cell::{Cell, Ref, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What the back office publishes: immutable, replaced whole.
pub struct Snapshot {
    /// Which route a request takes.
    pub table: Table<Arc<Route>>,
    /// What answers that no other route is for, in place of the page that says 404.
    pub not_found: Option<Arc<Route>>,
    /// What sites show for errors of requests that take no route of theirs; nothing if no site says anything of that.
    pub pages: Option<Table<Arc<ErrorPages>>>,
    /// Bounds on what peers may ask for.
    pub limits: Limits,
    /// Bounds on how long peers may take.
    pub timeouts: Timeouts,
    /// Whose `X-Forwarded-*` and `X-Request-Id` are believed.
    pub trusted: Vec<IpNet>,
}

/// Names that were announced, and what each leads to; published whole too, but apart from the snapshot: they change far more
/// often, and neither disturbs the other.
pub type Announced = Names<Named>;

/// What an announced name leads to.
#[derive(Clone)]
pub struct Named {
    /// The route, which names with one target share.
    pub route: Arc<Route>,
    /// Where the name's own exchanges are counted.
    pub account: Account,
}

/// A core's own hold on what was published: exchanges share it without touching a counter that other cores see.
pub struct Held {
    snapshot: Arc<Snapshot>,
    /// Nothing where no announcements are taken.
    announced: Option<Arc<Announced>>,
}

impl Held {
    /// The route for a request, as [`Table::find`] finds it, and the account of the name that it is of; announced names, and then
    /// announced wildcards, stand between the exact hosts of the configuration and its wildcards.
    fn find(
        &self,
        host: &[u8],
        path: &[u8],
        method: Method,
        fields: &Fields,
    ) -> (Found<'_, Arc<Route>>, Option<Account>) {
        let mut buffer = [0; _];
        let host = Host::new(host, &mut buffer);
        match self.table.find_exact(host, path, method, fields) {
            Found::NoHost => {}
            found => return (found, None),
        }
        let announced = self.announced.as_ref();
        match announced.and_then(|names| names.find(host)) {
            Some(named) => (Found::Route(&named.route), Some(named.account)),
            None => (self.table.find_general(host, path, method, fields), None),
        }
    }
}

impl Held {
    /// Has this host, or a wildcard above it, been announced?
    pub fn is_announced(&self, host: Host<'_>) -> bool {
        let announced = self.announced.as_ref();
        announced.is_some_and(|names| names.find(host).is_some())
    }
}

impl Deref for Held {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// The port at which a host, as a client writes it, is served over HTTPS, if clients are to be sent there.
pub type SecureSide = Rc<dyn Fn(&Core, &[u8]) -> Option<u16>>;

/// What a route leads to.
pub struct Route {
    /// Bytes of the path's beginning that the handler does not see.
    pub strip: usize,
    /// The middleware, in walking order.
    pub chain: Vec<Middleware>,
    /// The handler.
    pub handler: Handler,
}

/// Everything that one core owns. Nothing in it is shared with another core.
pub struct Core {
    /// Time.
    pub clock: Rc<Clock>,
    /// What the handlers keep.
    pub state: State,
    log: RefCell<Sink>,
    /// Nothing where no announcements are taken.
    meter: Option<Meter>,
    /// What an authority may come to look at.
    challenges: Challenges,
    /// Nothing where clients are not sent to HTTPS.
    secure_side: Option<SecureSide>,
    /// Told when the core is to finish.
    pub drain: Rc<Drain>,
    ids: Ids,
    held: RefCell<Rc<Held>>,
}

impl Core {
    /// A core that serves by `snapshot`, and knows of no announcements.
    pub fn new(clock: Rc<Clock>, state: State, log: Sink, snapshot: Arc<Snapshot>) -> Core {
        Core {
            clock,
            state,
            log: RefCell::new(log),
            meter: None,
            challenges: Challenges::default(),
            secure_side: None,
            drain: Rc::default(),
            ids: Ids::default(),
            held: RefCell::new(Rc::new(Held {
                snapshot,
                announced: None,
            })),
        }
    }

    /// The same core, which counts the exchanges of announced names.
    pub fn with_meter(self, meter: Meter) -> Core {
        let meter = Some(meter);
        Core { meter, ..self }
    }

    /// The same core, which shows an authority what it asks to see.
    pub fn with_challenges(self, challenges: Challenges) -> Core {
        Core { challenges, ..self }
    }

    /// The same core, which sends clients to HTTPS where that is served.
    pub fn with_secure_side(self, secure_side: SecureSide) -> Core {
        let secure_side = Some(secure_side);
        Core {
            secure_side,
            ..self
        }
    }

    /// What to serve by. An exchange keeps what it began with.
    pub fn snapshot(&self) -> Rc<Held> {
        self.held.borrow().clone()
    }

    /// A look at what to serve by, which must be over before anything waits.
    pub fn current(&self) -> Ref<'_, Held> {
        Ref::map(self.held.borrow(), |held| &**held)
    }

    /// Serves by `snapshot` from now on; announced names stay.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.state
            .pools
            .configure(&snapshot.limits, &snapshot.timeouts);
        let announced = self.current().announced.clone();
        self.held.replace(Rc::new(Held {
            snapshot,
            announced,
        }));
    }

    /// Serves what `announced` says from now on; the snapshot stays.
    pub fn announce(&self, announced: Arc<Announced>) {
        let snapshot = self.current().snapshot.clone();
        self.held.replace(Rc::new(Held {
            snapshot,
            announced: Some(announced),
        }));
    }

    /// Counts an exchange that has ended, if it is of an announced name.
    pub fn count<'a>(&self, request: &Request, counted: impl FnOnce() -> Counted<'a>) {
        if let (Some(account), Some(meter)) = (request.account, &self.meter) {
            meter.count(account, &counted(), SystemTime::now);
        }
    }

    /// Writes the access line of an exchange, if lines are written.
    pub fn log<'a>(&self, record: impl FnOnce() -> Record<'a>) {
        let sink = self.log.borrow();
        if sink.is_on() {
            sink.write(&record());
        }
    }

    /// Writes a line of a connection that came, and one when what is given back is dropped, if such lines are written.
    pub fn log_visit(self: &Rc<Core>, peer: &Peer) -> Option<Box<Visiting>> {
        if !self.log.borrow().has_connections() {
            return None;
        }
        let visit = Visit {
            client: peer.remote,
            port: peer.local.port(),
            scheme: peer.scheme.as_str(),
            lasted: None,
        };
        self.log.borrow().write_visit(&visit);
        Some(Box::new(Visiting {
            core: self.clone(),
            visit,
            since: Instant::now(),
        }))
    }

    /// Hands the lines over that were written so far.
    pub fn flush_log(&self) {
        self.log.borrow().flush();
    }

    /// Writes access lines to `sink` from now on.
    pub fn redirect_log(&self, sink: Sink) {
        *self.log.borrow_mut() = sink;
    }

    /// A name for a request that came at `received`.
    pub fn new_id(&self, received: Instant) -> RequestId {
        self.ids.next(self.clock.wall(received))
    }
}

/// A connection whose end is written down.
pub struct Visiting {
    core: Rc<Core>,
    visit: Visit,
    since: Instant,
}

impl Drop for Visiting {
    fn drop(&mut self) {
        let lasted = Some(self.since.elapsed());
        let visit = Visit {
            lasted,
            ..self.visit
        };
        self.core.log.borrow().write_visit(&visit);
    }
}

/// The wish to finish — no new connections, and each exchange its connection's last — and how far it is.
#[derive(Default)]
pub struct Drain {
    begun: Cell<Option<Cause>>,
    cut: Cell<bool>,
    active: Cell<usize>,
}

/// Why the core is to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server ends.
    Stop,
    /// Another process serves in its place: it has the listening sockets too, and nobody waits for our end.
    TakenOver,
}

impl Drain {
    /// Has the core been told to finish?
    pub fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// Tells the core to finish; the clock must wake it.
    pub fn begin(&self, cause: Cause) {
        self.begun.set(Some(cause));
    }

    /// Does another process serve in place of this one?
    pub fn is_taken_over(&self) -> bool {
        self.begun.get() == Some(Cause::TakenOver)
    }

    /// Breaks off what has not finished by now; the clock must wake it.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    /// Is what has not finished to break off?
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Counts something that has to end before the core may: a connection, or a listener that still accepts.
    pub fn enter(self: &Rc<Drain>) -> Active {
        self.active.set(self.active.get() + 1);
        Active(self.clone())
    }

    /// Has everything ended?
    pub fn is_over(&self) -> bool {
        self.active.get() == 0
    }
}

/// Something that has to end before the core may.
pub struct Active(Rc<Drain>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
    }
}

/// Answers one request. The stations:
///
/// 1. name the request;
/// 2. answer what concerns the server and no site (`CONNECT`, `TRACE`, `OPTIONS *`, a host that the connection is not for);
/// 3. clean the path;
/// 4. answer what an authority asks before it certifies a name (http-01), if it waits for that;
/// 5. send a client to HTTPS that asks in the clear for what is served there;
/// 6. find the route;
/// 7. walk the chain in, to the handler, and out;
/// 8. sign the response.
pub async fn serve(core: &Core, snapshot: &Held, request: &mut Request) -> Response {
    keep_trusted_id(snapshot, request);
    let mut response = match check(request) {
        Err(Stop::Answer(answer)) => dressed(snapshot, request, *answer),
        Err(Stop::Malformed(reject)) => {
            // Boxed, as it is rare and large: the memory of a connection is that of its largest wait.
            return Box::pin(serve_reject(core, snapshot, request, reject)).await;
        }
        Ok(()) => match early(core, snapshot, request).map_or_else(|| find(snapshot, request), Err)
        {
            Err(answer) => dressed(snapshot, request, *answer),
            Ok(route) => {
                let (walked, early) = walk_in(&route.chain, request);
                let mut response = match early {
                    Some(early) => *early,
                    None => {
                        let handler = &route.handler;
                        handler
                            .answer(&core.state, &snapshot.trusted, request, route.strip)
                            .await
                    }
                };
                walk_out(walked, request, &mut response);
                response
            }
        },
    };
    sign(request, &mut response);
    response
}

/// Answers what is no valid request: with the page that the site's folder has for that, or the built-in one.
pub async fn serve_reject(
    core: &Core,
    snapshot: &Held,
    request: &mut Request,
    reject: Reject,
) -> Response {
    let host = request.head.host();
    let (found, _) = snapshot.find(host, b"/", Method::Get, &request.head.fields);
    let page = match found {
        Found::Route(route) if reject.status() == 400 => {
            route.handler.bad_request(&core.state).await
        }
        _ => None,
    };
    let mut response = page.unwrap_or_else(|| {
        let built_in = error::page(reject.status(), request, &reject.to_string());
        dressed(snapshot, request, built_in)
    });
    sign(request, &mut response);
    response
}

/// An error of a request that takes no route, with the page that its site has for that.
fn dressed(snapshot: &Snapshot, request: &Request, mut response: Response) -> Response {
    let head = &request.head;
    let pages = snapshot.pages.as_ref();
    let found = pages.map(|pages| pages.find(head.host(), b"/", Method::Get, &head.fields));
    if let Some(Found::Route(pages)) = found {
        pages.dress(request, &mut response);
    }
    response
}

/// The client's address, for the log.
pub fn client(snapshot: &Snapshot, request: &Request) -> IpAddr {
    match snapshot.trusted.is_empty() {
        true => request.peer.ip(),
        false => client_address(request, &snapshot.trusted),
    }
}

/// A trusted peer may have named the request already.
fn keep_trusted_id(snapshot: &Snapshot, request: &mut Request) {
    if is_trusted(snapshot, request.peer.ip())
        && let Some(id) = request
            .head
            .fields
            .get(Name::XRequestId)
            .and_then(RequestId::parse)
    {
        request.id = id;
    }
}

fn is_trusted(snapshot: &Snapshot, peer: IpAddr) -> bool {
    let mut networks = snapshot.trusted.iter();
    networks.any(|network| network.contains(&peer))
}

/// Why a request goes no further than the first stations.
enum Stop {
    Answer(Box<Response>),
    Malformed(Reject),
}

/// Stations 2 and 3.
fn check(request: &mut Request) -> Result<(), Stop> {
    if !is_for_this_connection(request) {
        let answer = error::page(421, request, MISDIRECTED);
        return Err(Stop::Answer(Box::new(answer)));
    }
    match request.head.method {
        // We are no tunnel, and an echo of cookies helps only attackers (RFC 9110 §9.3.6, §9.3.8).
        Method::Connect | Method::Trace => {
            let detail = "This method is not offered here.";
            let mut answer = error::page(405, request, detail);
            allow(&mut answer, b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
            return Err(Stop::Answer(Box::new(answer)));
        }
        Method::Options if request.head.path() == b"*" => {
            let mut answer = Response::new(204);
            allow(&mut answer, b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
            return Err(Stop::Answer(Box::new(answer)));
        }
        _ => {}
    }
    let mut clean = Vec::new();
    match clean_path(request.head.path(), &mut clean) {
        Ok(None) if request.head.target_form() == TargetForm::Origin => {}
        Ok(changed) => {
            if changed.is_none() {
                // The absolute form says what Host says too: behind us goes the origin form (RFC 9112 §3.2.1).
                clean = request.head.path().to_vec();
            }
            let query = request.head.query().map(<[u8]>::to_vec);
            request.head.set_path(&clean, query.as_deref());
        }
        Err(reject) => return Err(Stop::Malformed(reject)),
    }
    Ok(())
}

const MISDIRECTED: &str = "This connection was made for another host.";

/// Whose certificate a client has seen, and which of its own it had to show, depends on the host that it named in the handshake: a
/// request for another one belongs on another connection (RFC 9110 §7.4).
fn is_for_this_connection(request: &Request) -> bool {
    let security = request.peer.security.as_deref();
    let Some(name) = security.and_then(|security| security.server_name.as_deref()) else {
        return true;
    };
    let mut buffer = [0; _];
    let host = Host::new(request.head.host(), &mut buffer).name();
    // HTTP/1.0 clients may name none.
    host.is_empty() || host == name.as_bytes()
}

/// Stations 4 and 5.
fn early(core: &Core, snapshot: &Held, request: &Request) -> Option<Box<Response>> {
    challenge(core, request).or_else(|| to_https(core, snapshot, request))
}

/// Station 4. It is asked of every host: a name is certified before a site is there for it.
fn challenge(core: &Core, request: &Request) -> Option<Box<Response>> {
    let head = &request.head;
    // Before the lock: nearly every request goes on from here.
    if !head.path().starts_with(challenges::PREFIX.as_bytes())
        || !matches!(head.method, Method::Get | Method::Head)
    {
        return None;
    }
    let answer = core.challenges.answer(head.path())?;
    let mut response = Response::new(200);
    // As RFC 8555 §8.3 shows it.
    let typed = response
        .head
        .fields
        .append(Name::ContentType, b"application/octet-stream");
    debug_assert!(typed.is_ok(), "a type is clean");
    response.body = Body::Bytes(answer.as_bytes().to_vec().into());
    Some(Box::new(response))
}

/// Station 5. A trusted proxy has its own way of speaking to clients, and is not sent away.
fn to_https(core: &Core, snapshot: &Held, request: &Request) -> Option<Box<Response>> {
    let secure_side = core.secure_side.as_ref()?;
    let peer = &request.peer;
    if peer.scheme == Scheme::Https || is_trusted(snapshot, peer.ip()) {
        return None;
    }
    // A program behind us may order certificates of its own.
    if request
        .head
        .path()
        .starts_with(challenges::PREFIX.as_bytes())
    {
        return None;
    }
    let port = secure_side(core, request.head.host())?;
    let mut buffer = [0; _];
    let host = str::from_utf8(Host::new(request.head.host(), &mut buffer).name()).ok()?;
    let mut location = format!("https://{host}").into_bytes();
    if port != 443 {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    location.extend_from_slice(request.head.path());
    if let Some(query) = request.head.query() {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let mut response = Response::new(308);
    let added = response.head.fields.append(Name::Location, &location);
    debug_assert!(added.is_ok(), "host, path and query were read from a head");
    Some(Box::new(response))
}

/// Station 6.
fn find<'a>(snapshot: &'a Held, request: &mut Request) -> Result<&'a Route, Box<Response>> {
    let head = &request.head;
    let (found, account) = snapshot.find(head.host(), head.path(), head.method, &head.fields);
    request.account = account;
    let found = match (found, &snapshot.not_found) {
        (Found::Route(route), _) => Ok(route),
        (Found::MethodNotAllowed(methods), _) => Err(method_not_allowed(request, methods)),
        (Found::NoRoute | Found::NoHost, Some(route)) => Ok(route),
        (Found::NoRoute, None) => Err(error::page(
            404,
            request,
            "There is nothing at this address.",
        )),
        (Found::NoHost, None) => Err(no_host(snapshot, request)),
    };
    found.map(|route| &**route).map_err(Box::new)
}

/// Station 7: in through the chain, until one of it answers; tells how much of it was walked.
fn walk_in<'a>(
    chain: &'a [Middleware],
    request: &mut Request,
) -> (&'a [Middleware], Option<Box<Response>>) {
    for (place, middleware) in chain.iter().enumerate() {
        if let Flow::Answer(response) = middleware.on_request(request) {
            return (&chain[..=place], Some(response));
        }
    }
    (chain, None)
}

/// And out through as much of the chain as was walked.
fn walk_out(walked: &[Middleware], request: &Request, response: &mut Response) {
    for middleware in walked.iter().rev() {
        middleware.on_response(request, response);
    }
}

/// Station 8: the request's name on every response, ours on those that are ours.
fn sign(request: &Request, response: &mut Response) {
    let fields = &mut response.head.fields;
    fields.remove(Name::XRequestId);
    let named = fields.append(Name::XRequestId, request.id.as_bytes());
    debug_assert!(named.is_ok(), "a request id is letters, digits and hyphens");
    if response.endpoint.is_none() && !fields.has(Name::Server) {
        let signed = fields.append(Name::Server, b"dreamserver");
        debug_assert!(signed.is_ok(), "our name is clean");
    }
}

/// Where names can be announced, a developer is told how.
fn no_host(snapshot: &Held, request: &Request) -> Response {
    match domain(request).filter(|_| snapshot.announced.is_some()) {
        Some(domain) => error::unknown_domain(request, domain),
        None => error::page(404, request, "No site is configured for this host."),
    }
}

/// The host of a request, if it is one that can be announced.
fn domain(request: &Request) -> Option<Domain> {
    let mut buffer = [0; _];
    let host = Host::new(request.head.host(), &mut buffer);
    let domain = Domain::parse(str::from_utf8(host.name()).ok()?).ok()?;
    (!domain.is_wildcard()).then_some(domain)
}

fn method_not_allowed(request: &Request, methods: MethodSet) -> Response {
    let mut answer = error::page(405, request, "This address does not take that method.");
    allow(&mut answer, methods.to_string().as_bytes());
    answer
}

fn allow(answer: &mut Response, methods: &[u8]) {
    let allowed = answer.head.fields.append(Name::Allow, methods);
    debug_assert!(allowed.is_ok(), "methods are tokens");
}

/// Makes request ids: UUIDs of version 7 (RFC 9562 §5.7). Within a millisecond a counter orders them (§6.2, method 1);
/// the rest is a keyed hash of that counter, so that no system call is spent on them and no client can guess another's.
#[derive(Default)]
struct Ids {
    made: Cell<u64>,
    key: RandomState,
}

impl Ids {
    fn next(&self, now: SystemTime) -> RequestId {
        let count = self.made.get();
        self.made.set(count + 1);
        let mut random = [0; 10];
        random[..2].copy_from_slice(&(count as u16).to_be_bytes());
        random[2..].copy_from_slice(&self.key.hash_one(count).to_le_bytes());
        let millis = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        RequestId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}
