//! A client that is a socket: it sends the bytes it is told to, and reads answers by their framing.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustls::ClientConnection;
use socket2::SockRef;

use crate::message::{Body, Head, Response, head_end};
use crate::tls::{self, Security};
use crate::wait::{DEADLINE, poll_until};

/// A connection to a server, and what was received on it but not yet asked for.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Nothing where the bytes go as they are.
    tls: Option<Box<ClientConnection>>,
    unread: Vec<u8>,
}

/// Why no answer could be read.
#[derive(Debug)]
pub enum ReadError {
    /// The connection ended; these bytes came before.
    Closed(Vec<u8>),
    /// A TLS connection ended, and the peer did not say so; these bytes came before.
    Cut(Vec<u8>),
    /// Nothing more came in time; these bytes came before.
    TimedOut(Vec<u8>),
    /// The peer cut the connection hard.
    Reset,
    /// What came is not HTTP.
    Malformed(String),
}

impl Client {
    /// Connects; each read waits at most [`DEADLINE`].
    #[track_caller]
    pub fn connect(address: impl ToSocketAddrs) -> Client {
        Client::try_connect(address).expect("the server accepts connections")
    }

    /// Connects, if someone listens.
    pub fn try_connect(address: impl ToSocketAddrs) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Client::new(stream))
    }

    fn new(stream: TcpStream) -> Client {
        Client {
            stream,
            tls: None,
            unread: Vec::new(),
        }
    }

    /// Connects and shakes hands.
    #[track_caller]
    pub fn secure(address: impl ToSocketAddrs, security: &Security) -> Client {
        Client::connect(address).secured(security)
    }

    /// Shakes hands.
    #[track_caller]
    pub fn secured(self, security: &Security) -> Client {
        self.try_secured(security)
            .expect("the handshake comes to its end")
    }

    /// Shakes hands, if the server agrees; [`crate::alert`] reads the error.
    pub fn try_secured(mut self, security: &Security) -> io::Result<Client> {
        let mut connection = security.begin();
        while connection.is_handshaking() {
            connection.complete_io(&mut self.stream)?;
        }
        self.tls = Some(Box::new(connection));
        Ok(self)
    }

    /// What the handshake came to.
    #[track_caller]
    pub fn agreed(&mut self) -> &mut ClientConnection {
        self.tls.as_mut().expect("a secure connection")
    }

    /// Says that nothing more will be sent, as TLS does; the socket stays open.
    #[track_caller]
    pub fn close_notify(&mut self) {
        let Client { stream, tls, .. } = self;
        let tls = tls.as_mut().expect("a secure connection");
        tls.send_close_notify();
        while tls.wants_write() {
            tls.write_tls(stream).expect("the server takes it");
        }
    }

    /// Connects with small socket buffers, so that little is in flight when this side does not read or write.
    pub fn connect_narrow(address: std::net::SocketAddr) -> Client {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a receive buffer");
        socket.set_send_buffer_size(4096).expect("a send buffer");
        socket
            .connect(&address.into())
            .expect("the server accepts connections");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
        stream
            .set_write_timeout(Some(DEADLINE))
            .expect("a time-out");
        Client::new(stream)
    }

    /// How long each read waits from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.stream
            .set_read_timeout(Some(patience))
            .expect("time-outs above zero are accepted");
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Sends all of `bytes`, unless the peer does not want them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let Client { stream, tls, .. } = self;
        match tls {
            Some(tls) => tls::write_all(tls, stream, bytes.as_ref()),
            None => stream.write_all(bytes.as_ref()),
        }
    }

    /// Sends and gives the answer to a request by `GET` or whatever `bytes` start with.
    #[track_caller]
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        let bytes = bytes.as_ref();
        let method = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
        let method = String::from_utf8_lossy(method).into_owned();
        self.send(bytes);
        self.answer_to(&method)
    }

    /// Gives the next final response to a `GET`.
    #[track_caller]
    pub fn answer(&mut self) -> Response {
        self.answer_to("GET")
    }

    /// Gives the next final response to a request by `method`; interim ones are passed over.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Response {
        loop {
            match self.read_response(method) {
                Ok(response) if (100..200).contains(&response.status) && response.status != 101 => {
                }
                Ok(response) => return response,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// Reads one response, interim ones too.
    pub fn read_response(&mut self, method: &str) -> Result<Response, ReadError> {
        let head = self.read_head()?;
        let status = head.status().map_err(ReadError::Malformed)?;
        let framing = head.response_body(method).map_err(ReadError::Malformed)?;
        let mut body = Vec::new();
        let trailers = self.read_body(framing, |bytes| body.extend_from_slice(bytes))?;
        Ok(Response {
            head,
            status,
            body,
            trailers,
            framing,
        })
    }

    /// Reads a message's head only.
    pub fn read_head(&mut self) -> Result<Head, ReadError> {
        loop {
            if let Some(end) = head_end(&self.unread) {
                let raw: Vec<u8> = self.unread.drain(..end).collect();
                return Head::parse(&raw).map_err(ReadError::Malformed);
            }
            self.fill()?;
        }
    }

    /// Reads a body piece by piece into `sink`, so that big ones need no memory. Gives the trailers.
    pub fn read_body(
        &mut self,
        framing: Body,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Vec<(String, String)>, ReadError> {
        match framing {
            Body::Length(length) => self.read_exactly(length, &mut sink)?,
            Body::UntilClose => self.read_until_close(&mut sink)?,
            Body::Chunked => return self.read_chunks(&mut sink),
        }
        Ok(Vec::new())
    }

    /// Reads all that comes until the peer closes; a reset ends it too.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = self.read_until_close(&mut |bytes: &[u8]| all.extend_from_slice(bytes));
        all
    }

    /// Reads at least `count` bytes, whatever they are, and gives all that there are.
    pub fn read_some(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        while self.unread.len() < count {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// Says that nothing more will be sent, and can still read.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Cuts the connection with a RST, as a killed browser or a broken network does.
    pub fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("SO_LINGER can be set");
    }

    /// Whether the peer closes within `deadline`, with nothing more to say.
    pub fn closes_within(&mut self, deadline: Duration) -> bool {
        self.unread.is_empty() && poll_until(deadline, || self.is_closed().then_some(())).is_some()
    }

    /// Whether the peer has closed by now and sent nothing that is unread.
    pub fn is_closed(&mut self) -> bool {
        self.stream
            .set_nonblocking(true)
            .expect("non-blocking mode");
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("blocking mode");
        match seen {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Whether bytes are there to be read now.
    pub fn has_bytes(&mut self) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        self.stream
            .set_nonblocking(true)
            .expect("non-blocking mode");
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("blocking mode");
        matches!(seen, Ok(1))
    }

    /// The socket itself, for a second thread.
    pub fn stream(&self) -> TcpStream {
        self.stream.try_clone().expect("sockets can be cloned")
    }

    /// This end's port: what the server sees as the peer's.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().expect("a connected socket").port()
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let mut block = [0; 65536];
        let Client { stream, tls, .. } = self;
        let read = match tls {
            Some(tls) => rustls::Stream::new(tls.as_mut(), stream).read(&mut block),
            None => stream.read(&mut block),
        };
        match read {
            Ok(0) => Err(ReadError::Closed(std::mem::take(&mut self.unread))),
            Ok(count) => {
                self.unread.extend_from_slice(&block[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(ReadError::Cut(std::mem::take(&mut self.unread)))
            }
            Err(error) if is_timeout(&error) => Err(ReadError::TimedOut(self.unread.clone())),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(ReadError::Malformed(error.to_string()))
            }
            Err(_) => Err(ReadError::Reset),
        }
    }

    fn read_exactly(&mut self, length: u64, sink: &mut impl FnMut(&[u8])) -> Result<(), ReadError> {
        let mut left = length;
        while left > 0 {
            if self.unread.is_empty() {
                self.fill()?;
            }
            let now = self
                .unread
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&self.unread[..now]);
            self.unread.drain(..now);
            left -= now as u64;
        }
        Ok(())
    }

    fn read_until_close(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<(), ReadError> {
        loop {
            sink(&self.unread);
            self.unread.clear();
            match self.fill() {
                Ok(()) => {}
                Err(ReadError::Closed(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn read_chunks(
        &mut self,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<Vec<(String, String)>, ReadError> {
        loop {
            let line = self.read_line()?;
            let size = u64::from_str_radix(&line, 16)
                .map_err(|_| ReadError::Malformed(format!("not a chunk's size: {line:?}")))?;
            if size == 0 {
                return self.read_trailers();
            }
            self.read_exactly(size, sink)?;
            let end = self.read_line()?;
            if !end.is_empty() {
                return Err(ReadError::Malformed(format!(
                    "{end:?} after a chunk's data"
                )));
            }
        }
    }

    fn read_trailers(&mut self) -> Result<Vec<(String, String)>, ReadError> {
        let mut trailers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| ReadError::Malformed(format!("not a trailer: {line:?}")))?;
            trailers.push((name.to_string(), value.trim().to_string()));
        }
    }

    fn read_line(&mut self) -> Result<String, ReadError> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(crate::message::latin1(&line[..end]));
            }
            self.fill()?;
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            ReadError::Closed(bytes) => write!(f, "closed after {:?}", text(bytes)),
            ReadError::Cut(bytes) => write!(f, "cut after {:?}", text(bytes)),
            ReadError::TimedOut(bytes) => write!(f, "nothing more after {:?}", text(bytes)),
            ReadError::Reset => f.write_str("reset"),
            ReadError::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ReadError {}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
