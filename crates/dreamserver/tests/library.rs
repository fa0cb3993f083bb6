//! Handlers of a program that uses the library, through the real engine: requests with bodies, and answers that are made while
//! they are sent.

#![expect(
    clippy::unwrap_used,
    reason = "in a test the panic is the report; clippy knows only the functions that are tests themselves"
)]

use bytes::Bytes;
use dream_http::Name;
use dream_testkit::{Client, DEADLINE, Folder, eventually};
use dreamserver::exchange::{
    Body, Ends, FileBody, FileState, Request, Response, SharedFile, Source,
};
use dreamserver::handler::{Answering, Custom, Handler, State, files};
use dreamserver::limits::{Limits, Timeouts};
use dreamserver::listener::{self, Gate, Place, bind};
use dreamserver::middleware::{self, Flow};
use dreamserver::router::{HostPattern, Matcher, SiteRoutes, Table};
use dreamserver::serve::{Core, Route, Snapshot};
use dreamserver::time::{Clock, TICK};
use dreamserver::upstream::Pools;
use dreamserver::{Mux, Server, error, log};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, mpsc};

/// A core on a thread of its own, with these handlers below `/`.
struct House {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl House {
    fn new(path: &str, handler: impl Custom + 'static) -> House {
        House::patient(path, handler, Timeouts::default())
    }

    fn patient(path: &str, handler: impl Custom + 'static, timeouts: Timeouts) -> House {
        let route = Route {
            strip: 4,
            chain: Vec::new(),
            handler: Handler::Custom(Arc::new(handler)),
        };
        let site = SiteRoutes {
            hosts: vec![HostPattern::Any],
            routes: vec![(Matcher::path(path.parse().unwrap()), Arc::new(route))],
        };
        let snapshot = Snapshot {
            table: Table::build(vec![site]).unwrap_or_else(|_| panic!("no conflict")),
            not_found: None,
            pages: None,
            limits: Limits::default(),
            timeouts,
            trusted: Vec::new(),
        };
        let mut bound = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
        let bound = bound.remove(0);
        let (address, (stop, stopped)) = (bound.address, tokio::sync::oneshot::channel());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default())
                .unwrap();
            runtime.block_on(async {
                let core = core(snapshot);
                let place = Place {
                    core: core.clone(),
                    terms: Rc::default(),
                    gate: Gate::new(100, 100),
                };
                let running = listener::run(place, bound, None, Rc::new(Notify::new()));
                tokio::select! {
                    ended = running => ended.unwrap(),
                    () = tick(&core) => {}
                    _ = stopped => {}
                }
            });
        });
        House {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn core(snapshot: Snapshot) -> Rc<Core> {
    let clock = Clock::new(Instant::now());
    let state = State {
        files: files::Store::new(0),
        pools: Pools::new(clock.clone(), &snapshot.limits, &snapshot.timeouts),
    };
    let off = log::Options {
        target: log::Target::Off,
        ..log::Options::default()
    };
    let log = log::Writer::start(&off).unwrap().sink();
    Rc::new(Core::new(clock, state, log, Arc::new(snapshot)))
}

async fn tick(core: &Core) {
    let mut beat = tokio::time::interval(TICK);
    loop {
        beat.tick().await;
        core.clock.advance(Instant::now(), SystemTime::now());
    }
}

/// Says what it was asked.
struct Echo;

impl Custom for Echo {
    fn answer<'a>(&'a self, request: &'a mut Request) -> Answering<'a> {
        Box::pin(async {
            let body = match request.read_body(1000).await {
                Ok(body) => String::from_utf8(body).unwrap(),
                Err(error) => return error::body(&error, request),
            };
            let head = &request.head;
            let path = String::from_utf8_lossy(head.path()).into_owned();
            let query = String::from_utf8_lossy(head.query().unwrap_or_default()).into_owned();
            let method = String::from_utf8_lossy(head.method_text()).into_owned();
            let mut response = Response::new(201);
            let fields = &mut response.head.fields;
            fields.append(Name::ContentType, b"text/plain").unwrap();
            response.body = Body::from(format!("{method} {path}?{query} {body}").into_bytes());
            response
        })
    }
}

#[test]
fn a_handler_sees_the_request_and_its_body() {
    let house = House::new("/api/*", Echo);
    let mut client = house.client();
    let answer = client.ask("GET /api/things?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((answer.status, &*answer.text()), (201, "GET /things?a=b "));
    assert_eq!(answer.field("Server"), Some("dreamserver"));
    assert!(answer.head.has("Date") && answer.head.has("X-Request-Id"));
    let plain = "POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(client.ask(plain).text(), "POST /? hello");
    let chunked = "POST /api/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).text(), "POST /? hello");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
}

/// Answers with a file that cannot be read.
struct Unreadable(Folder);

impl Custom for Unreadable {
    fn answer<'a>(&'a self, _: &'a mut Request) -> Answering<'a> {
        let mut options = std::fs::File::options();
        let file = options.write(true).open(self.0.join("a.bin")).unwrap();
        let state = FileState::of(&file.metadata().unwrap());
        let part = 0..state.size;
        let shared = SharedFile::new(file, state, Ends::default());
        let mut response = Response::new(200);
        response.body = Body::File(FileBody::new(shared, part));
        Box::pin(async { response })
    }
}

#[test]
fn a_file_that_cannot_be_read_breaks_off() {
    let folder = Folder::new("unreadable");
    folder.write("a.bin", [b'x'; 100_000]);
    let house = House::new("/api/*", Unreadable(folder));
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.read_head().unwrap();
    assert_eq!(head.field("Content-Length"), Some("100000"));
    let framing = head.response_body("GET").unwrap();
    assert!(client.read_body(framing, |_| {}).is_err());
}

#[test]
fn the_answer_to_head_is_that_to_get_without_its_body() {
    let house = House::new("/api/*", Echo);
    let mut client = house.client();
    let answer = client.ask("HEAD /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = "HEAD /? ".len().to_string();
    assert_eq!(answer.field("Content-Length"), Some(&*length));
    assert_eq!(
        client.ask("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n").status,
        201
    );
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let house = House::new("/api/*", Echo);
    let known =
        "POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n";
    let mut client = house.client();
    client.send(known);
    assert_eq!(
        client.read_response("POST").unwrap().status,
        413,
        "and no 100"
    );
    let mut client = house.client();
    let chunk = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(0x400));
    let unknown = "POST /api/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(unknown.to_owned() + &chunk).status, 413);
}

#[test]
fn a_client_that_waits_is_told_to_send() {
    let house = House::new("/api/*", Echo);
    let mut client = house.client();
    client
        .send("PUT /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
    assert_eq!(client.read_response("PUT").unwrap().status, 100);
    client.send("ok");
    assert_eq!(client.answer_to("PUT").text(), "PUT /? ok");
}

/// Gives what comes through its channel.
struct Relay(Box<dyn Fn(mpsc::Sender<io::Result<Bytes>>) + Send + Sync>);

impl Custom for Relay {
    fn answer<'a>(&'a self, _: &'a mut Request) -> Answering<'a> {
        let (sender, receiver) = mpsc::channel(1);
        (self.0)(sender);
        Box::pin(async {
            Response {
                body: Body::from_source(receiver),
                ..Response::new(200)
            }
        })
    }
}

fn relay(say: impl Fn(mpsc::Sender<io::Result<Bytes>>) + Send + Sync + 'static) -> Relay {
    Relay(Box::new(say))
}

/// Says these pieces, one after the other.
fn saying(pieces: &'static [&'static str]) -> Relay {
    relay(move |sender| {
        tokio::task::spawn_local(async move {
            for piece in pieces {
                if sender
                    .send(Ok(Bytes::from_static(piece.as_bytes())))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
    })
}

#[test]
fn a_body_in_the_making_goes_out_in_chunks_and_the_connection_stays() {
    let house = House::new("/api/*", saying(&["one ", "", "two ", "three"]));
    let mut client = house.client();
    for _ in 0..2 {
        let answer = client.ask("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
        assert_eq!(answer.text(), "one two three");
    }
}

#[test]
fn by_http_1_0_it_goes_on_to_the_end_of_the_connection() {
    let house = House::new("/api/*", saying(&["one ", "two"]));
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert!(!answer.head.has("Transfer-Encoding") && !answer.head.has("Content-Length"));
    assert_eq!(answer.text(), "one two");
}

#[test]
fn each_piece_is_there_before_the_next_is_made() {
    let (say, pieces) = std::sync::mpsc::channel::<&'static str>();
    let pieces = std::sync::Mutex::new(Some(pieces));
    let house = House::new(
        "/api/*",
        relay(move |sender| {
            let pieces = pieces.lock().unwrap().take().unwrap();
            thread::spawn(move || {
                for piece in pieces {
                    sender.blocking_send(Ok(piece.into())).unwrap();
                }
            });
        }),
    );
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_head().is_ok());
    // What ends a chunk leaves with the next one.
    for (piece, chunk) in [("first", "5\r\nfirst"), ("second", "\r\n6\r\nsecond")] {
        say.send(piece).unwrap();
        assert_eq!(client.read_some(chunk.len()).unwrap(), chunk.as_bytes());
    }
}

#[test]
fn half_a_body_never_looks_whole() {
    let breaking = |sender: mpsc::Sender<io::Result<Bytes>>| {
        tokio::task::spawn_local(async move {
            let _ = sender.send(Ok(Bytes::from_static(b"half"))).await;
            let _ = sender.send(Err(io::Error::other("a fault"))).await;
        });
    };
    let house = House::new("/api/*", relay(breaking));
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_response("GET").is_err(), "no last chunk");
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.0\r\n\r\n");
    assert!(client.read_response("GET").is_err(), "a reset");
}

/// Never ends; counts the pieces that it was asked for.
struct Endless {
    asked: Arc<AtomicU64>,
    _alive: Arc<()>,
}

const PIECE: usize = 64 * 1024;

impl Source for Endless {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; PIECE]))))
    }
}

/// Never says anything.
struct Silent {
    _alive: Arc<()>,
}

impl Source for Silent {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Pending
    }
}

/// Answers with a body that is made anew for each request.
struct Made<F>(F);

impl<F: Fn() -> Body + Send + Sync> Custom for Made<F> {
    fn answer<'a>(&'a self, _: &'a mut Request) -> Answering<'a> {
        let body = (self.0)();
        Box::pin(async {
            Response {
                body,
                ..Response::new(200)
            }
        })
    }
}

fn endless(asked: &Arc<AtomicU64>, alive: &Arc<()>) -> Made<impl Fn() -> Body + use<>> {
    let (asked, alive) = (asked.clone(), alive.clone());
    Made(move || {
        Body::from_source(Endless {
            asked: asked.clone(),
            _alive: alive.clone(),
        })
    })
}

#[test]
fn a_client_that_does_not_read_holds_up_the_source_and_nobody_else() {
    let (asked, alive) = (Arc::new(AtomicU64::new(0)), Arc::new(()));
    let house = House::new("/api/*", endless(&asked, &alive));
    let mut client = Client::connect_narrow(house.address);
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let (mut before, mut same) = (0, 0);
    eventually("nothing more is made", || {
        let now = asked.load(Ordering::Relaxed);
        same = if now == before && now > 0 {
            same + 1
        } else {
            0
        };
        before = now;
        same > 20
    });
    let made = before * PIECE as u64;
    assert!(
        made < 16 << 20,
        "{made} bytes for a client that reads nothing"
    );
    let other = house.client().ask("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(other.status, 404, "others are served");
    // It goes on where it was.
    assert!(client.read_some(4 << 20).is_ok());
    eventually("more is made", || asked.load(Ordering::Relaxed) > before);
    client.reset();
    eventually("the source is dropped", || Arc::strong_count(&alive) == 2);
}

#[test]
fn a_client_that_reads_nothing_for_too_long_is_cut_off() {
    let (asked, alive) = (Arc::new(AtomicU64::new(0)), Arc::new(()));
    let timeouts = Timeouts {
        write: Duration::from_millis(500),
        ..Timeouts::default()
    };
    let house = House::patient("/api/*", endless(&asked, &alive), timeouts);
    let mut client = Client::connect_narrow(house.address);
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("it begins", || Arc::strong_count(&alive) == 3);
    eventually("the source is dropped", || Arc::strong_count(&alive) == 2);
}

#[test]
fn a_source_is_dropped_when_its_client_is_gone() {
    let alive = Arc::new(());
    let made = alive.clone();
    let house = House::new(
        "/api/*",
        Made(move || {
            Body::from_source(Silent {
                _alive: made.clone(),
            })
        }),
    );
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_head().is_ok());
    assert_eq!(Arc::strong_count(&alive), 3);
    client.reset();
    eventually("the source is dropped", || Arc::strong_count(&alive) == 2);
    // Nobody gets the body of an answer to HEAD.
    let answer = house.client().ask("HEAD /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    eventually("the source is dropped", || Arc::strong_count(&alive) == 2);
}

/// Knows its length.
struct Measured(Option<Bytes>);

impl Source for Measured {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(self.0.take().map(Ok))
    }

    fn remaining(&self) -> Option<u64> {
        self.0.as_ref().map(|bytes| bytes.len() as u64).or(Some(0))
    }
}

#[test]
fn a_known_length_is_announced() {
    let measured = || Body::from_source(Measured(Some(Bytes::from_static(b"twelve bytes"))));
    let house = House::new("/api/*", Made(measured));
    let mut client = house.client();
    client.set_patience(DEADLINE);
    for method in ["GET", "HEAD"] {
        let answer = client.ask(format!("{method} /api/ HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(answer.field("Content-Length"), Some("12"), "{method}");
    }
}

/// Answers in place of the handler where a client says so, and leaves a mark on what comes back.
struct Mark(&'static str);

impl middleware::Custom for Mark {
    fn on_request(&self, request: &mut Request) -> Flow {
        match request.head.path() == b"/stop" {
            true => Flow::Answer(Box::new(Response::text(self.0))),
            false => Flow::Continue,
        }
    }

    fn on_response(&self, _: &Request, response: &mut Response) {
        let fields = &mut response.head.fields;
        fields.append_text(b"X-Mark", self.0.as_bytes()).unwrap();
    }
}

#[test]
fn a_server_runs_beside_its_program_until_it_is_told_to_stop() {
    let folder = Folder::new("static");
    folder.write("a.txt", "a file");
    let mut mux = Mux::new();
    mux.handle("/before", async |_: &mut Request| "before");
    mux.wrap(Mark("outer")).wrap(Mark("inner"));
    mux.handle("PUT,DELETE /things/{id}", async |request: &mut Request| {
        let id = request.value("id").unwrap_or_default().to_owned();
        let body = request.read_body(10).await;
        let body = body.map_err(|wrong| error::body(&wrong, request))?;
        Ok::<String, Response>(format!("{id} {}", String::from_utf8_lossy(&body)))
    });
    mux.handle("/stop", async |_: &mut Request| "not reached");
    mux.files("/static/*", folder.path());
    mux.not_found(async |_: &mut Request| Response::text("nothing").with_status(404));
    let running = Server::new(mux).listen("127.0.0.1:0").start().unwrap();
    let address = running.addresses()[0];
    let mut client = Client::connect(address);
    let mut ask = |line: &str| {
        client.ask(format!(
            "{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let before = ask("GET /before");
    assert_eq!((&*before.text(), before.field("X-Mark")), ("before", None));
    let put = ask("PUT /things/7");
    assert_eq!(put.text(), "7 ");
    let marks = put.head.all("X-Mark");
    assert_eq!(marks, ["inner", "outer"], "out in the other order");
    let wrong = ask("GET /things/7");
    assert_eq!(
        (wrong.status, wrong.field("Allow")),
        (405, Some("PUT, DELETE"))
    );
    assert_eq!(ask("GET /stop").text(), "outer");
    assert_eq!(ask("GET /static/a.txt").text(), "a file");
    assert_eq!(ask("GET /nowhere").text(), "nothing");
    let second = Server::new(Mux::new())
        .listen("127.0.0.1:0")
        .start()
        .unwrap();
    assert_eq!(
        Client::connect(second.addresses()[0])
            .ask("GET / HTTP/1.0\r\n\r\n")
            .status,
        404
    );
    second.stop();
    let stopping = thread::spawn(|| running.stop());
    assert!(client.closes_within(DEADLINE));
    stopping.join().unwrap();
    assert!(Client::try_connect(address).is_err());
}

#[test]
fn all_that_is_wrong_is_told_at_the_start() {
    let mut mux = Mux::new();
    for pattern in ["GET nowhere", "get /", "/a/{x}", "/a/{y}"] {
        mux.handle(pattern, async |_: &mut Request| "");
    }
    mux.proxy("/p", "not an endpoint");
    let failure = Server::new(mux)
        .listen("here")
        .start()
        .err()
        .unwrap()
        .to_string();
    for part in [
        "`GET nowhere`",
        "no method `get`",
        "`/a/{x}` and `/a/{y}`",
        "`not an endpoint`",
        "`here`",
    ] {
        assert!(failure.contains(part), "{part} is missing in\n{failure}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failure = Server::new(Mux::new())
        .listen(&address)
        .start()
        .err()
        .unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = format!("port {port} is taken");
    assert!(failure.to_string().contains(&said), "{failure}");
}
