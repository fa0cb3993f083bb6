//! Holds how often a request on a connection that stays asks the allocator for memory. The goal is 0 for files and proxies.
//!
//! A core serves on the test's own thread, where the allocator counts; the client and the endpoint are other threads. What a
//! long connection allocates, less what a short one does, is what the requests between them allocate: it leaves out how a
//! connection begins and ends, and is the same however fast the three are.
//!
//! `cargo test -p dreamserver --test allocations -- --nocapture --test-threads 1` prints the figures, and
//! `bench/exchange/allocations` shows where the allocations come from.

#![expect(
    clippy::unwrap_used,
    reason = "in a test the panic is the report; clippy knows only the functions that are tests themselves"
)]

use dream_testkit::{Client, Folder, Origin, respond};
use dreamserver::inside::coding::CompressOptions;
use dreamserver::inside::exchange::nobody;
use dreamserver::inside::handler::{Handler, State, files, proxy};
use dreamserver::inside::limits::{Limits, Timeouts};
use dreamserver::inside::log;
use dreamserver::inside::metrics::{Accounts, Metrics};
use dreamserver::inside::middleware::{Compress, Middleware};
use dreamserver::inside::protocol::serve_connection;
use dreamserver::inside::router::{HostPattern, Matcher, PathPattern, SiteRoutes, Table};
use dreamserver::inside::serve::{Announced, Core, Named, Route, Snapshot};
use dreamserver::inside::stream::Stream;
use dreamserver::inside::time::Clock;
use dreamserver::inside::upstream::{Pools, Reach, Registry};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use tokio::runtime::{self, LocalRuntime};

/// Heads and buffers are used again, and what is said of a connection is made once for it.
const FILE: u64 = 0;
const NOT_MODIFIED: u64 = 0;
const PROXY: u64 = 0;

/// What looks at the disk is boxed; the page's text, which grows line by line, and its body.
const NOT_FOUND: u64 = 7;

#[test]
fn a_file_from_memory() {
    hold("file, 1 KiB", FILE, &in_folder(get("/file.txt", ""), 200));
}

#[test]
fn a_file_from_memory_in_a_coding() {
    let exchange = in_folder(get("/file.txt", BROWSER), 200);
    if let Answerer::Folder(folder) = &exchange.answerer {
        folder.write("file.txt.br", "brotli, by its name");
    }
    hold("file, a neighbour of it", FILE, &exchange);
}

#[test]
fn a_file_that_the_client_has() {
    let request = get("/file.txt", "If-None-Match: *\r\n");
    hold("304", NOT_MODIFIED, &in_folder(request, 304));
}

#[test]
fn a_file_that_is_missing() {
    let request = get("/missing.txt", "");
    hold("404", NOT_FOUND, &in_folder(request, 404));
}

#[test]
fn a_proxied_answer() {
    let request = get("/", "");
    hold("proxied, 1 KiB", PROXY, &behind_proxy(request));
}

#[test]
fn a_proxied_answer_for_an_announced_name() {
    let exchange = Exchange {
        announced: true,
        ..behind_proxy(get("/", ""))
    };
    hold("proxied by name, 1 KiB", PROXY, &exchange);
}

#[test]
fn a_proxied_answer_to_a_browser() {
    let request = get("/", BROWSER);
    hold("proxied, 1 KiB, 12 fields", PROXY, &behind_proxy(request));
}

/// Fails unless a request allocates exactly so often, whether it is logged or not.
#[track_caller]
fn hold(name: &str, figure: u64, exchange: &Exchange) {
    let folder = Folder::new("allocations");
    let json = log::Target::File(folder.join("access.log"));
    for (target, logged) in [(log::Target::Off, "log off"), (json, "JSON log")] {
        let server = Server::start(exchange, target);
        let counted = server.allocations(exchange);
        println!(
            "{name:25} {logged:8} {:6.2} allocations a request",
            counted as f64 / REQUESTS as f64
        );
        let held = figure * REQUESTS;
        assert!(
            counted <= held,
            "{name}, {logged}: {counted} allocations by {REQUESTS} requests, {held} were held: something on their way \
             allocates that did not; `bench/exchange/allocations` shows all that do"
        );
        assert!(
            counted == held,
            "{name}, {logged}: only {counted} allocations by {REQUESTS} requests, {held} were held: lower the figure in \
             {}, so that it stays so",
            file!()
        );
    }
}

/// What a client asks again and again, and who answers.
struct Exchange {
    request: String,
    status: u16,
    answerer: Answerer,
    /// Is the route that of an announced name, instead of a site's?
    announced: bool,
}

enum Answerer {
    Folder(Folder),
    Endpoint(Origin),
}

fn in_folder(request: String, status: u16) -> Exchange {
    let folder = Folder::new("site");
    folder.write("file.txt", [b'x'; 1024]);
    Exchange {
        request,
        status,
        answerer: Answerer::Folder(folder),
        announced: false,
    }
}

fn behind_proxy(request: String) -> Exchange {
    // As it comes: what a browser would get compressed is another matter.
    let answer = respond(200, "image/png", &[b'x'; 1024]);
    Exchange {
        request,
        status: 200,
        answerer: Answerer::Endpoint(Origin::answering(answer)),
        announced: false,
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:8080\r\n{fields}\r\n")
}

/// A core on this thread, with what it needs to live.
struct Server {
    core: Rc<Core>,
    runtime: LocalRuntime,
    /// Writes what `core` logs, and so outlives it.
    _log: log::Writer,
}

impl Server {
    fn start(exchange: &Exchange, target: log::Target) -> Server {
        let log = log::Writer::start(&log::Options {
            target,
            format: log::Format::Json,
            ..log::Options::default()
        });
        let log = log.unwrap();
        let route = Route {
            strip: 0,
            chain: vec![Middleware::Compress(Compress::new(
                CompressOptions::default(),
            ))],
            handler: handler(&exchange.answerer),
        };
        let (site, name) = match exchange.announced {
            false => (Some(route), None),
            true => (None, Some(route)),
        };
        let snapshot = Arc::new(snapshot(site));
        // Nobody moves the clock: nothing on it happens between two requests.
        let clock = Clock::new(Instant::now());
        let state = State {
            files: files::Store::new(snapshot.limits.file_store),
            pools: Pools::new(clock.clone(), &snapshot.limits, &snapshot.timeouts),
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(runtime::LocalOptions::default());
        let (_, mut meters) = Metrics::new(1);
        let core = Core::new(clock, state, log.sink(), snapshot).with_meter(meters.remove(0));
        let core = Rc::new(core);
        if let Some(route) = name {
            core.announce(Arc::new(announced(route)));
        }
        Server {
            core,
            runtime: runtime.unwrap(),
            _log: log,
        }
    }

    /// How often [`REQUESTS`] requests allocate.
    fn allocations(&self, exchange: &Exchange) -> u64 {
        let least = |requests| {
            let counts = (0..RUNS).map(|_| self.connection(exchange, requests));
            counts.min().unwrap()
        };
        let warm = least(WARM);
        least(WARM + REQUESTS) - warm
    }

    /// How often a connection with so many requests allocates.
    fn connection(&self, exchange: &Exchange, requests: u64) -> u64 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (waits, is_waited_for) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                is_waited_for.recv().unwrap();
                for _ in 0..requests {
                    assert_eq!(client.ask(&exchange.request).status, exchange.status);
                }
            });
            self.serve(listener.accept().unwrap().0, waits)
        })
    }

    fn serve(&self, socket: TcpStream, waits: mpsc::Sender<()>) -> u64 {
        socket.set_nonblocking(true).unwrap();
        let counted = allocation_counter::measure(|| {
            self.runtime.block_on(async {
                let stream = Stream::new(socket.into());
                // Its turn comes once the connection waits for its first request, and so is watched, which allocates: a client
                // that is faster than us now and then would make the counts differ.
                tokio::task::spawn_local(async move { waits.send(()).unwrap() });
                serve_connection(self.core.clone(), stream, nobody(), ()).await;
            });
        });
        counted.count_total
    }
}

fn handler(answerer: &Answerer) -> Handler {
    match answerer {
        Answerer::Folder(folder) => Handler::Files(files::Files::new(files::Options {
            root: folder.path().into(),
            versions: Some(files::Versions {
                options: CompressOptions::default(),
                kept: files::Kept::new(0),
            }),
            ..files::Options::default()
        })),
        Answerer::Endpoint(origin) => Handler::Proxy(proxy::Proxy::new(proxy::Options {
            upstream: Registry::default().upstream(&[Reach {
                address: origin.url().parse().unwrap(),
                trust: None,
            }]),
            rewrite_redirects: true,
            follow_redirects: false,
            upgrade: vec!["websocket".into()],
            max_body: None,
        })),
    }
}

/// The name that [`get`] asks for, and a thousand others.
fn announced(route: Route) -> Announced {
    let (route, mut names) = (Arc::new(route), Announced::new());
    let mut accounts = Accounts::default();
    let mut insert = |name: &str| {
        let (route, account) = (route.clone(), accounts.open());
        names.insert(name, Named { route, account });
    };
    insert("localhost");
    for number in 0..1000 {
        insert(&format!("name-{number}.example.com"));
    }
    names
}

/// One site for every host, with one route for every path; no site without a route.
fn snapshot(route: Option<Route>) -> Snapshot {
    let site = |route| SiteRoutes {
        hosts: vec![HostPattern::Any],
        routes: vec![(Matcher::path(PathPattern::all()), Arc::new(route))],
    };
    let sites = route.map(site).into_iter().collect();
    Snapshot {
        table: Table::build(sites).unwrap_or_else(|_| panic!("one route has no conflict")),
        not_found: None,
        pages: None,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        trusted: Vec::new(),
    }
}

/// Requests of the short connection: by then files are stored, buffers have grown, the endpoint's connection is pooled.
const WARM: u64 = 50;

/// Requests that the long connection has more.
const REQUESTS: u64 = 200;

/// Each connection is made so often, and the least of its counts counts: once a second a file is looked at anew and the log's date is
/// formatted, and a log buffer that the disk has not given back yet is replaced. None of that is a request's.
const RUNS: usize = 5;

/// What a browser sends besides `Host`.
const BROWSER: &str = "Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Referer: https://www.example.com/articles/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=5f2b8c1e9a7d4036; theme=dark; consent=1\r\n";
