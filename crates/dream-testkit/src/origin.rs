//! An endpoint that does what a test tells it to, right or wrong, and remembers every byte it got.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

use crate::message::{Body, Head, latin1};
use crate::wait::{DEADLINE, poll_until};

/// A listening endpoint; each connection runs the test's closure on a thread of its own.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// One connection to an [`Origin`].
pub struct Connection {
    /// The how-manieth connection it is, from 0.
    pub number: usize,
    stream: Stream,
    unread: Vec<u8>,
    shared: Arc<Shared>,
}

/// A request as an [`Origin`] understood it: leniently, so that it never hides what was sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The connection that it came on.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The target, as it stood in the request line.
    pub target: String,
    /// The request line and the fields.
    pub head: Head,
    /// The content, without its coding.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Every byte of it.
    pub raw: Vec<u8>,
}

type Handler = dyn Fn(&mut Connection) + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    stopped: AtomicBool,
    accepted: AtomicUsize,
    open: AtomicUsize,
    cuts: AtomicUsize,
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    received: Vec<Vec<u8>>,
    streams: Vec<Stream>,
}

impl Origin {
    /// An endpoint that runs `handler` for each connection and closes it after.
    pub fn start(handler: impl Fn(&mut Connection) + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket");
        let wake = move || drop(TcpStream::connect(address));
        let accept = move || listener.accept().map(|(stream, _)| Stream::Tcp(stream));
        Origin::run(handler, address, accept, wake)
    }

    /// The same on a Unix socket at `path`.
    pub fn start_unix(
        path: &Path,
        handler: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Origin {
        let listener = UnixListener::bind(path).expect("a socket can be made in the folder");
        let path = path.to_path_buf();
        let wake = move || drop(UnixStream::connect(&path));
        let accept = move || listener.accept().map(|(stream, _)| Stream::Unix(stream));
        Origin::run(handler, SocketAddr::from(([0, 0, 0, 0], 0)), accept, wake)
    }

    /// The same over TLS. Handshakes happen with the first read or write; the end of a connection is said, unless it is
    /// [`Connection::cut`].
    pub fn start_secure(
        config: Arc<ServerConfig>,
        handler: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket");
        let wake = move || drop(TcpStream::connect(address));
        let accept = move || {
            let (socket, _) = listener.accept()?;
            let tls = ServerConnection::new(config.clone()).expect("the settings fit each other");
            Ok(Stream::Tls(Arc::new(Mutex::new(tls)), socket))
        };
        Origin::run(handler, address, accept, wake)
    }

    /// Answers every request with `response`, and keeps connections alive.
    pub fn answering(response: impl AsRef<[u8]>) -> Origin {
        let response = response.as_ref().to_vec();
        Origin::each(move |_| response.clone())
    }

    /// Answers every request with what `answer` makes of it, and keeps connections alive.
    pub fn each(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Origin {
        Origin::start(move |connection| {
            while let Some(request) = connection.read_request() {
                if !connection.write(answer(&request)) {
                    return;
                }
            }
        })
    }

    /// Answers every request with status 200 and, as its body, the request's own bytes as they came.
    pub fn echo() -> Origin {
        Origin::each(|request| respond(200, "message/http", &request.raw))
    }

    /// Agrees to an upgrade, and sends everything back from then on.
    pub fn tunnel() -> Origin {
        let agree =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        Origin::start(move |connection| {
            if connection.read_request().is_none() || !connection.write(agree) {
                return;
            }
            loop {
                let bytes = connection.read_some(1);
                if bytes.is_empty() || !connection.write(&bytes) {
                    return;
                }
            }
        })
    }

    /// Gives the n-th connection the n-th of `responses` after its first request, and closes it; the last goes to
    /// all that follow.
    pub fn script(responses: &[&[u8]]) -> Origin {
        let responses: Vec<Vec<u8>> = responses.iter().map(|bytes| bytes.to_vec()).collect();
        Origin::start(move |connection| {
            let response = &responses[connection.number.min(responses.len() - 1)];
            if connection.read_request().is_some() {
                connection.write(response);
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many of them it still has.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Gives the requests that it read whole since the last call, and forgets them.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// Every request that it read whole, in the order in which they ended.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The last request that it read whole.
    #[track_caller]
    pub fn last(&self) -> Request {
        self.requests()
            .pop()
            .expect("a request reached the endpoint")
    }

    /// Every byte it got, one entry a connection.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.shared.lock().received.clone()
    }

    /// Closes the connections that it has now, as an endpoint does that is restarted.
    pub fn cut_connections(&self) {
        self.shared.cuts.fetch_add(1, Ordering::SeqCst);
        for stream in &self.shared.lock().streams {
            stream.shutdown(Shutdown::Both);
        }
    }

    fn run(
        handler: impl Fn(&mut Connection) + Send + Sync + 'static,
        address: SocketAddr,
        accept: impl Fn() -> io::Result<Stream> + Send + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Origin {
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            stopped: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            state: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(accept));
        Origin {
            address,
            shared,
            wake: Box::new(wake),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        (self.wake)();
        self.cut_connections();
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.address)
    }
}

impl Shared {
    fn accept(self: Arc<Shared>, accept: impl Fn() -> io::Result<Stream>) {
        while let Ok(stream) = accept() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let connection = self.connection(stream);
            let shared = Arc::clone(&self);
            thread::spawn(move || {
                let mut connection = connection;
                (shared.handler)(&mut connection);
                connection.stream.shutdown(Shutdown::Both);
                shared.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    fn connection(self: &Arc<Shared>, stream: Stream) -> Connection {
        stream.set_patience(DEADLINE * 2);
        self.open.fetch_add(1, Ordering::SeqCst);
        let mut seen = self.lock();
        seen.received.push(Vec::new());
        seen.streams.push(stream.clone());
        Connection {
            number: self.accepted.fetch_add(1, Ordering::SeqCst),
            stream,
            unread: Vec::new(),
            shared: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().expect("no panic holds the lock")
    }
}

impl Connection {
    /// Reads a request whole and remembers it; nothing when the connection ends first.
    pub fn read_request(&mut self) -> Option<Request> {
        let (head, mut raw) = self.read_head()?;
        let mut words = head.start.split(' ');
        let mut request = Request {
            connection: self.number,
            method: words.next().unwrap_or_default().to_string(),
            target: words.next().unwrap_or_default().to_string(),
            body: Vec::new(),
            trailers: Vec::new(),
            raw: Vec::new(),
            head,
        };
        match lenient_framing(&request.head) {
            Body::Length(length) => self.take_exactly(length, |bytes| {
                request.body.extend_from_slice(bytes);
                raw.extend_from_slice(bytes);
            })?,
            Body::Chunked => self.take_chunks(&mut raw, &mut request)?,
            Body::UntilClose => unreachable!("requests do not end with their connection"),
        }
        request.raw = raw;
        self.shared.lock().requests.push(request.clone());
        Some(request)
    }

    /// Reads a head and gives it with its bytes.
    pub fn read_head(&mut self) -> Option<(Head, Vec<u8>)> {
        loop {
            if let Some(end) = lenient_head_end(&self.unread) {
                let raw: Vec<u8> = self.unread.drain(..end).collect();
                return Some((lenient_head(&raw), raw));
            }
            self.fill().then_some(())?;
        }
    }

    /// Reads `length` bytes piece by piece into `sink`; nothing when the connection ends first.
    pub fn take_exactly(&mut self, length: u64, mut sink: impl FnMut(&[u8])) -> Option<()> {
        let mut left = length;
        while left > 0 {
            if self.unread.is_empty() {
                self.fill().then_some(())?;
            }
            let now = self
                .unread
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&self.unread[..now]);
            self.unread.drain(..now);
            left -= now as u64;
        }
        Some(())
    }

    /// Reads until the peer closes its side; gives what came.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads at least `count` bytes and gives all that are there; fewer when the peer closed.
    pub fn read_some(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count && self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// Sends all of `bytes`; false when the peer is gone.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends what fits within `patience`; how many bytes went.
    pub fn write_within(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.stream.set_write_patience(patience);
        self.stream.write(bytes).unwrap_or(0)
    }

    /// Closes the sending side only.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write);
    }

    /// Waits until the peer is gone, for answers that must not be followed by our own close.
    pub fn wait_for_close(&mut self) {
        while self.fill() {}
    }

    /// Ends the connection without a word of TLS.
    pub fn cut(&mut self) {
        if let Stream::Tls(_, socket) = &self.stream {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// What the handshake came to; nothing before it, or without TLS.
    pub fn with_tls<T>(&self, look: impl FnOnce(&ServerConnection) -> T) -> Option<T> {
        match &self.stream {
            Stream::Tls(tls, _) => Some(look(&tls.lock().expect("no panic holds the lock"))),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    /// Reads nothing at all, until the test cuts the connections.
    pub fn wait_for_cut(&mut self) {
        let cuts = self.shared.cuts.load(Ordering::SeqCst);
        poll_until(DEADLINE * 3, || {
            (self.shared.cuts.load(Ordering::SeqCst) > cuts).then_some(())
        });
    }

    /// Reads one chunk piece by piece into `sink` and gives its size; trailers are passed over.
    pub fn take_chunk(&mut self, sink: impl FnMut(&[u8])) -> Option<u64> {
        let line = self.take_line(&mut Vec::new())?;
        let size = u64::from_str_radix(&line, 16).ok()?;
        self.take_exactly(size, sink)?;
        while !self.take_line(&mut Vec::new())?.is_empty() {}
        Some(size)
    }

    fn take_chunks(&mut self, raw: &mut Vec<u8>, request: &mut Request) -> Option<()> {
        loop {
            let line = self.take_line(raw)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).unwrap_or(0);
            if size == 0 {
                return self.take_trailers(raw, request);
            }
            self.take_exactly(size, |bytes| {
                request.body.extend_from_slice(bytes);
                raw.extend_from_slice(bytes);
            })?;
            self.take_line(raw)?;
        }
    }

    fn take_trailers(&mut self, raw: &mut Vec<u8>, request: &mut Request) -> Option<()> {
        loop {
            let line = self.take_line(raw)?;
            let Some((name, value)) = line.split_once(':') else {
                return Some(());
            };
            request
                .trailers
                .push((name.to_string(), value.trim().to_string()));
        }
    }

    fn take_line(&mut self, raw: &mut Vec<u8>) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                raw.extend_from_slice(&line);
                return Some(latin1(&line).trim_end_matches(['\r', '\n']).to_string());
            }
            self.fill().then_some(())?;
        }
    }

    fn fill(&mut self) -> bool {
        let mut block = [0; 65536];
        match self.stream.read(&mut block) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&block[..count]);
                let mut seen = self.shared.lock();
                let received = &mut seen.received[self.number];
                if received.len() < REMEMBERED {
                    received.extend_from_slice(&block[..count]);
                }
                true
            }
        }
    }
}

impl Request {
    /// The first field of that name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }
}

/// A response with a length, as most endpoints send it.
pub fn respond(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut raw = format!("HTTP/1.1 {status} Status\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")
        .into_bytes();
    raw.extend_from_slice(body);
    raw
}

/// Any kind of line end, and lines that are no fields are kept as names without a value.
fn lenient_head(raw: &[u8]) -> Head {
    let text = latin1(raw);
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let start = lines.next().unwrap_or_default().to_string();
    let fields = lines
        .filter(|line| !line.is_empty())
        .map(|line| line.split_once(':').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_string(), value.trim().to_string()))
        .collect();
    Head { start, fields }
}

fn lenient_head_end(bytes: &[u8]) -> Option<usize> {
    let strict = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4);
    let bare = bytes
        .windows(2)
        .position(|two| two == b"\n\n")
        .map(|at| at + 2);
    strict.into_iter().chain(bare).min()
}

/// As the most forgiving origins do: any `chunked` counts, and so do the leading digits of a length.
fn lenient_framing(head: &Head) -> Body {
    let coding = head.field("Transfer-Encoding").unwrap_or_default();
    if coding.to_ascii_lowercase().contains("chunked") {
        return Body::Chunked;
    }
    let length = head.field("Content-Length").unwrap_or_default();
    let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
    Body::Length(digits.parse().unwrap_or(0))
}

/// Bytes kept a connection for [`Origin::received`]: all of what a test looks at, little of a big upload.
const REMEMBERED: usize = 4 << 20;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Arc<Mutex<ServerConnection>>, TcpStream),
}

impl Stream {
    fn shutdown(&self, how: Shutdown) {
        // The peer may have been faster.
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
            Stream::Tls(tls, socket) => {
                // A connection that waits for its peer is in use, and says nothing.
                if let Ok(mut tls) = tls.try_lock()
                    && how != Shutdown::Read
                {
                    tls.send_close_notify();
                    let _ = tls.write_tls(&mut &*socket);
                }
                socket.shutdown(how)
            }
        };
    }

    fn set_patience(&self, patience: Duration) {
        let _ = match self {
            Stream::Tcp(stream) | Stream::Tls(_, stream) => {
                let _ = stream.set_nodelay(true);
                stream.set_read_timeout(Some(patience))
            }
            Stream::Unix(stream) => stream.set_read_timeout(Some(patience)),
        };
    }

    fn set_write_patience(&self, patience: Duration) {
        let _ = match self {
            Stream::Tcp(stream) | Stream::Tls(_, stream) => {
                stream.set_write_timeout(Some(patience))
            }
            Stream::Unix(stream) => stream.set_write_timeout(Some(patience)),
        };
    }
}

impl Clone for Stream {
    fn clone(&self) -> Stream {
        match self {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().expect("sockets can be cloned")),
            Stream::Unix(stream) => {
                Stream::Unix(stream.try_clone().expect("sockets can be cloned"))
            }
            Stream::Tls(tls, socket) => {
                let socket = socket.try_clone().expect("sockets can be cloned");
                Stream::Tls(Arc::clone(tls), socket)
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
            Stream::Tls(tls, socket) => {
                let mut tls = tls.lock().expect("no panic holds the lock");
                rustls::Stream::new(&mut *tls, socket).read(bytes)
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tls(tls, socket) => {
                let mut tls = tls.lock().expect("no panic holds the lock");
                let mut stream = rustls::Stream::new(&mut *tls, socket);
                let count = stream.write(bytes)?;
                stream.flush()?;
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, ReadError};
    use crate::wait::eventually;

    #[test]
    fn echoes_what_it_gets_and_keeps_the_connection() {
        let origin = Origin::echo();
        let mut client = Client::connect(origin.address());
        let one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        let two =
            b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;e\r\nhi\r\n0\r\nT: 1\r\n\r\n";
        assert_eq!(client.ask(one).body, one);
        assert_eq!(client.ask(two).body, two);
        let requests = origin.requests();
        assert_eq!(
            (requests[1].body.as_slice(), requests[1].target.as_str()),
            (&b"hi"[..], "/x")
        );
        assert_eq!(requests[1].trailers, [("T".to_string(), "1".to_string())]);
        assert_eq!(origin.connections(), 1);
        assert_eq!(origin.received()[0], [&one[..], &two[..]].concat());
    }

    #[test]
    fn scripts_end_each_connection() {
        let origin = Origin::script(&[b"HTTP/1.1 200 OK\r\n\r\nall of it", b"garbage"]);
        let mut client = Client::connect(origin.address());
        assert_eq!(client.ask("GET / HTTP/1.1\r\n\r\n").body, b"all of it");
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert!(
            matches!(client.read_response("GET"), Err(ReadError::Closed(bytes)) if bytes == b"garbage")
        );
    }

    #[test]
    fn reads_chunks_and_trailers() {
        let raw =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n";
        let origin = Origin::answering(raw);
        let answer = Client::connect(origin.address()).ask("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(
            (answer.text().as_str(), answer.trailers[0].0.as_str()),
            ("abc", "X")
        );
    }

    #[test]
    fn sees_a_reset_and_a_close() {
        let origin = Origin::start(|connection| connection.wait_for_close());
        let client = Client::connect(origin.address());
        client.reset();
        let mut client = Client::connect(origin.address());
        eventually("two connections", || origin.connections() == 2);
        assert!(!client.is_closed());
        client.half_close();
        assert!(client.closes_within(DEADLINE));
    }

    #[test]
    fn works_on_a_unix_socket() {
        let folder = crate::Folder::new("origin");
        let path = folder.join("origin.sock");
        let origin = Origin::start_unix(&path, |connection| {
            connection.read_request();
        });
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        eventually("a request", || origin.requests().len() == 1);
    }
}
