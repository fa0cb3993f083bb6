//! Handlers of a program that uses the library, through the real engine: requests with bodies, and answers that are made while
//! they are sent.

#![expect(
    clippy::unwrap_used,
    reason = "in a test the panic is the report; clippy knows only the functions that are tests themselves"
)]

use bytes::Bytes;
use dream_testkit::{Client, DEADLINE, Folder, Origin, eventually, pattern};
use dreamserver::inside::exchange::{Ends, FileBody, FileState, SharedFile};
use dreamserver::{
    Body, BodyHandle, Config, Fields, Flow, Middleware, Mux, Name, Request, Response, Running,
    Server, Source, error,
};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use tokio::sync::mpsc;

/// A server with one handler, below `/api/`.
struct House {
    address: SocketAddr,
    running: Option<Running>,
}

impl House {
    fn new<R: Into<Response> + 'static>(
        handler: impl AsyncFn(&mut Request) -> R + Send + Sync + 'static,
    ) -> House {
        House::configured("", handler)
    }

    fn configured<R: Into<Response> + 'static>(
        config: &str,
        handler: impl AsyncFn(&mut Request) -> R + Send + Sync + 'static,
    ) -> House {
        let mut mux = Mux::new();
        mux.handle("/api/*", handler);
        let config = format!("log.access = 'off'\n{config}");
        let config = Config::parse(&config, Path::new("house.toml")).unwrap();
        let server = Server::with_config(config, mux).listen("127.0.0.1:0");
        let running = server.start().unwrap();
        House {
            address: running.addresses()[0],
            running: Some(running),
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.running.take().unwrap().stop();
    }
}

/// Says what it was asked.
async fn echo(request: &mut Request) -> Result<Response, Response> {
    let body = request.read_body(1000).await;
    let body = body.map_err(|wrong| error::body(&wrong, request))?;
    let head = &request.head;
    let (path, query) = (head.path(), head.query().unwrap_or_default());
    let said = [head.method_text(), b" ", path, b"?", query, b" ", &body].concat();
    let mut response = Response::new(201).with_body(said);
    let fields = &mut response.head.fields;
    fields.append(Name::ContentType, b"text/plain").unwrap();
    Ok(response)
}

#[test]
fn a_handler_sees_the_request_and_its_body() {
    let house = House::new(echo);
    let mut client = house.client();
    let answer = client.ask("GET /api/things?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        (answer.status, &*answer.text()),
        (201, "GET /api/things?a=b ")
    );
    assert_eq!(answer.field("Server"), Some("dreamserver"));
    assert!(answer.head.has("Date") && answer.head.has("X-Request-Id"));
    let plain = "POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(client.ask(plain).text(), "POST /api/? hello");
    let chunked = "POST /api/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).text(), "POST /api/? hello");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
}

/// A file that cannot be read.
fn unreadable(path: &Path) -> Body {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let state = FileState::of(&file.metadata().unwrap());
    let part = 0..state.size;
    let shared = SharedFile::new(file, state, Ends::default());
    Body::File(FileBody::new(shared, part))
}

#[test]
fn a_file_that_cannot_be_read_breaks_off() {
    let folder = Folder::new("unreadable");
    folder.write("a.bin", [b'x'; 100_000]);
    let path = folder.join("a.bin");
    let house = House::new(made(move || unreadable(&path)));
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.read_head().unwrap();
    assert_eq!(head.field("Content-Length"), Some("100000"));
    let framing = head.response_body("GET").unwrap();
    assert!(client.read_body(framing, |_| {}).is_err());
}

#[test]
fn the_answer_to_head_is_that_to_get_without_its_body() {
    let house = House::new(echo);
    let mut client = house.client();
    let answer = client.ask("HEAD /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = "HEAD /api/? ".len().to_string();
    assert_eq!(answer.field("Content-Length"), Some(&*length));
    assert_eq!(
        client.ask("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n").status,
        201
    );
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let house = House::new(echo);
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
    let house = House::new(echo);
    let mut client = house.client();
    client
        .send("PUT /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
    assert_eq!(client.read_response("PUT").unwrap().status, 100);
    client.send("ok");
    assert_eq!(client.answer_to("PUT").text(), "PUT /api/? ok");
}

/// A handler whose body is made anew for each request.
fn made(
    body: impl Fn() -> Body + Send + Sync + 'static,
) -> impl AsyncFn(&mut Request) -> Response + Send + Sync + 'static {
    async move |_: &mut Request| Response::new(200).with_body(body())
}

/// What comes through a channel.
fn relay(say: impl Fn(mpsc::Sender<io::Result<Bytes>>)) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    say(sender);
    Body::from_source(receiver)
}

/// Says these pieces, one after the other.
fn saying(pieces: &'static [&'static str]) -> Body {
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
    let house = House::new(made(|| saying(&["one ", "", "two ", "three"])));
    let mut client = house.client();
    for _ in 0..2 {
        let answer = client.ask("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
        assert_eq!(answer.text(), "one two three");
    }
}

#[test]
fn by_http_1_0_it_goes_on_to_the_end_of_the_connection() {
    let house = House::new(made(|| saying(&["one ", "two"])));
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
    let house = House::new(made(move || {
        relay(|sender| {
            let pieces = pieces.lock().unwrap().take().unwrap();
            thread::spawn(move || {
                for piece in pieces {
                    sender.blocking_send(Ok(piece.into())).unwrap();
                }
            });
        })
    }));
    let mut client = house.client();
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_head().is_ok());
    // What ends a chunk leaves with the next one.
    for (piece, chunk) in [("first", "5\r\nfirst"), ("second", "\r\n6\r\nsecond")] {
        say.send(piece).unwrap();
        assert_eq!(client.read_some(chunk.len()).unwrap(), chunk.as_bytes());
    }
    drop(say);
    let end = b"\r\n0\r\n\r\n";
    assert_eq!(client.read_some(end.len()).unwrap(), end);
}

#[test]
fn half_a_body_never_looks_whole() {
    let breaking = |sender: mpsc::Sender<io::Result<Bytes>>| {
        tokio::task::spawn_local(async move {
            let _ = sender.send(Ok(Bytes::from_static(b"half"))).await;
            let _ = sender.send(Err(io::Error::other("a fault"))).await;
        });
    };
    let house = House::new(made(move || relay(breaking)));
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

fn endless(asked: &Arc<AtomicU64>, alive: &Arc<()>) -> impl Fn() -> Body + use<> {
    let (asked, alive) = (asked.clone(), alive.clone());
    move || {
        Body::from_source(Endless {
            asked: asked.clone(),
            _alive: alive.clone(),
        })
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_the_source_and_nobody_else() {
    let (asked, alive) = (Arc::new(AtomicU64::new(0)), Arc::new(()));
    let house = House::new(made(endless(&asked, &alive)));
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
    let house = House::configured("timeouts.write = '500ms'", made(endless(&asked, &alive)));
    let mut client = Client::connect_narrow(house.address);
    client.send("GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("it begins", || Arc::strong_count(&alive) == 3);
    eventually("the source is dropped", || Arc::strong_count(&alive) == 2);
}

#[test]
fn a_source_is_dropped_when_its_client_is_gone() {
    let alive = Arc::new(());
    let shown = alive.clone();
    let house = House::new(made(move || {
        Body::from_source(Silent {
            _alive: shown.clone(),
        })
    }));
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
    let house = House::new(made(measured));
    let mut client = house.client();
    client.set_patience(DEADLINE);
    for method in ["GET", "HEAD"] {
        let answer = client.ask(format!("{method} /api/ HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(answer.field("Content-Length"), Some("12"), "{method}");
    }
}

/// Answers in place of the handler where a client says so, and leaves a mark on what comes back.
struct Mark(&'static str);

impl Middleware for Mark {
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

/// Makes every body twice as long, letter by letter.
struct Twice;

impl Middleware for Twice {
    fn on_request(&self, request: &mut Request) -> Flow {
        request.body = twice(&mut request.body);
        Flow::Continue
    }

    fn on_response(&self, _: &Request, response: &mut Response) {
        response.body = twice(&mut response.body);
    }
}

fn twice(body: &mut Body) -> Body {
    match std::mem::take(body).into_handle() {
        Ok(handle) => Body::from_source(Doubled(handle)),
        Err(other) => other,
    }
}

struct Doubled(BodyHandle);

impl Source for Doubled {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        ready!(self.0.poll_ready(cx)).map_err(io::Error::other)?;
        let data = self.0.data();
        let piece: Vec<u8> = data.iter().flat_map(|&byte| [byte, byte]).collect();
        let count = data.len();
        self.0.consume(count);
        Poll::Ready((count > 0).then_some(Ok(piece.into())))
    }

    fn trailers(&self) -> Option<&Fields> {
        self.0.trailers()
    }
}

#[test]
fn a_middleware_changes_bodies_wherever_they_come_from() {
    let folder = Folder::new("twice");
    let mut large = vec![0; 300_000];
    pattern(5, &mut large);
    folder.write("small.txt", "abcdef");
    folder.write("large.bin", &large);
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n",
    );
    let mut mux = Mux::new();
    mux.wrap(Twice);
    mux.handle("/memory", async |_: &mut Request| "abc");
    mux.handle("/nothing", async |_: &mut Request| Response::new(204));
    mux.handle("/sent", async |request: &mut Request| {
        match request.read_body(6).await {
            Ok(body) => String::from_utf8(body).unwrap(),
            Err(wrong) => wrong.to_string(),
        }
    });
    mux.files("/files/*", folder.path());
    mux.proxy("/proxied", &origin.url());
    let running = Server::new(mux).listen("127.0.0.1:0").start().unwrap();
    let mut client = Client::connect(running.addresses()[0]);
    let mut ask =
        |line: &str, more: &str| client.ask(format!("{line} HTTP/1.1\r\nHost: x\r\n{more}\r\n"));
    assert_eq!(ask("GET /memory", "").text(), "aabbcc");
    assert_eq!(ask("GET /nothing", "").status, 204);
    assert_eq!(ask("GET /files/small.txt", "").text(), "aabbccddeeff");
    let doubled: Vec<u8> = large.iter().flat_map(|&byte| [byte, byte]).collect();
    assert!(ask("GET /files/large.bin", "").body == doubled);
    let parts = ask("GET /files/large.bin", "Range: bytes=0-3,9-9\r\n");
    assert_eq!(parts.status, 206);
    let part = [&doubled[..8], b"\r\r\n\n--"].concat();
    assert!(parts.body.windows(part.len()).any(|window| window == part));
    let proxied = ask("GET /proxied", "");
    assert_eq!(proxied.text(), "aabbcc");
    assert_eq!(proxied.trailers, [("X-End".to_owned(), "yes".to_owned())]);
    // What is sent is changed before the handler sees it, and its limit holds for what it sees.
    let length = "Content-Length: 3\r\n\r\nabc";
    assert_eq!(ask("POST /sent", length).text(), "aaaabbbbcccc");
    let length = "Content-Length: 4\r\n\r\nabcd";
    assert!(ask("POST /sent", length).text().contains("llaarrggeerr"));
    running.stop();
}

#[test]
fn answers_become_smaller_where_the_program_says_so() {
    let mut mux = Mux::new();
    let text = || "much the same, ".repeat(200);
    mux.handle("/before", async move |_: &mut Request| text());
    mux.wrap(Mark("inner")).compress();
    mux.handle("/after", async move |_: &mut Request| text());
    let running = Server::new(mux).listen("127.0.0.1:0").start().unwrap();
    let ask = |path: &str| {
        let fields = "Host: x\r\nAccept-Encoding: gzip\r\n";
        let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
        Client::connect(running.addresses()[0]).ask(request)
    };
    assert_eq!(ask("/before").text(), text());
    let answer = ask("/after");
    assert_eq!(answer.field("Content-Encoding"), Some("gzip"));
    assert!(answer.body.len() < 200, "{}", answer.body.len());
    assert_eq!(answer.field("X-Mark"), Some("inner"));
    running.stop();
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

#[test]
fn a_folder_that_anybody_could_fill_is_refused_here_too() {
    let text = "[sites.\"up.example\"]\nfiles = { root = \"in\", upload = true }\n";
    let start = |address: &str| {
        let config = Config::parse(text, Path::new("dreamserver.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        Server::with_config(config, Mux::new())
            .listen(address)
            .start()
    };
    let failure = start("0.0.0.0:0").err().unwrap().to_string();
    assert!(
        failure.contains("anybody who reaches this server could upload"),
        "{failure}"
    );
    start("127.0.0.1:0").unwrap().stop();
}
