//! The other end of the grammar: sends a command to the server and waits for its reply.

use crate::PORT;
use crate::add::Add;
use crate::command::Command;
use crate::domain::Domain;
use crate::fault::{Code, Fault};
use crate::reply::{Refusal, Reply};
use std::error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Tells the server on this machine that `domain` is served by the program on `port`, and waits for its reply, two
/// seconds at most.
///
/// ```no_run
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// dream_control::announce("example.com", listener.local_addr()?.port())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`Error`]. A program that may start before the server tries again after [`Error::NobodyThere`].
pub fn announce(domain: &str, port: u16) -> Result<(), Error> {
    Client::local().announce(domain, port)
}

/// Sends commands to one server. It keeps no connection: each command is one datagram from a socket of its own.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    /// Is tried if nobody answers at the first.
    other: Option<SocketAddr>,
}

impl Client {
    /// A client of the server at `address`.
    pub fn new(address: SocketAddr) -> Client {
        let other = None;
        Client { address, other }
    }

    /// A client of the server on this machine: 127.0.0.1, or `[::1]` if nobody answers there, and [`PORT`].
    pub fn local() -> Client {
        Client {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            other: Some(SocketAddr::from((Ipv6Addr::LOCALHOST, PORT))),
        }
    }

    /// Sends `add`, without options; see [`announce`](crate::announce).
    ///
    /// # Errors
    /// As [`send`](Client::send), and [`Error::Refused`].
    pub fn announce(&self, domain: &str, port: u16) -> Result<(), Error> {
        let add = Add::new(Domain::parse(domain)?, port);
        let reply = self.send(&Command::Add(add))?;
        reply.into_result()?;
        Ok(())
    }

    /// Sends a command and waits for the reply, two seconds at most. A reply may say `err`:
    /// [`Reply::into_result`] makes an error of it.
    ///
    /// # Errors
    /// Each of [`Error`] but `Refused`.
    pub fn send(&self, command: &Command) -> Result<Reply, Error> {
        let text = text_of(command)?;
        let deadline = Instant::now() + PATIENCE;
        let Some(other) = self.other else {
            return exchange(self.address, &text, deadline);
        };
        match exchange(self.address, &text, deadline - PATIENCE / 2) {
            Err(first) if first.is_silence() => {
                exchange(other, &text, deadline).map_err(|second| more_telling(first, second))
            }
            answer => answer,
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command cannot be written; nothing was sent. Trying again does not help.
    Fault(Fault),
    /// Nobody listens at this address: the server does not run. Worth trying again when it does.
    NobodyThere(SocketAddr),
    /// Somebody listens at this address but did not answer in time, so the command may have been carried out or not. Worth
    /// trying again: a command that is said twice does no harm.
    NoAnswer(SocketAddr),
    /// The server says no, and why. The code tells whether trying again can help.
    Refused(Refusal),
    /// What listens at this address is not DreamServer. Trying again does not help.
    NotAReply(SocketAddr, Fault),
    /// The system could not send to, or receive from, this address.
    Io(SocketAddr, io::Error),
}

impl Error {
    /// Could somebody at another address do better?
    fn is_silence(&self) -> bool {
        matches!(
            self,
            Error::NobodyThere(_) | Error::NoAnswer(_) | Error::Io(..)
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Fault(fault) => fault.fmt(f),
            Error::NobodyThere(address) => write!(
                f,
                "nobody listens on UDP {address}: start the server with `dreamserver core`"
            ),
            Error::NoAnswer(address) => {
                write!(
                    f,
                    "no answer from UDP {address} within {PATIENCE:?}: the server hangs, or another program listens there"
                )
            }
            Error::Refused(refusal) => write!(f, "the server refused: {refusal}"),
            Error::NotAReply(address, fault) => {
                write!(f, "UDP {address} is not DreamServer: {fault}")
            }
            Error::Io(address, error) => write!(f, "UDP {address}: {error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Fault(fault) | Error::NotAReply(_, fault) => Some(fault),
            Error::Refused(refusal) => Some(refusal),
            Error::Io(_, error) => Some(error),
            Error::NobodyThere(_) | Error::NoAnswer(_) => None,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Fault(fault)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

/// The command as it is sent. What the fields of an [`Add`] hold may be more than can be written, or, in a path with a blank,
/// something else.
fn text_of(command: &Command) -> Result<String, Fault> {
    let text = command.to_string();
    if Command::parse(text.as_bytes())? == *command {
        return Ok(text);
    }
    let detail = "an option of this command has a value that cannot be written";
    Err(Fault::new(Code::BadOption, detail))
}

/// Of two addresses without an answer, what is said of them: somebody's silence is more than nobody.
fn more_telling(first: Error, second: Error) -> Error {
    match (&first, &second) {
        (Error::NoAnswer(_), _) => first,
        (_, Error::NobodyThere(_) | Error::Io(..)) => first,
        _ => second,
    }
}

fn exchange(address: SocketAddr, text: &str, deadline: Instant) -> Result<Reply, Error> {
    let socket = connect(address).map_err(|error| Error::Io(address, error))?;
    ask(&socket, address, text, deadline)
}

/// A connected socket hears this peer only, and is told when nobody is there (by ICMP).
fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let from = match address.ip() {
        // What is said on this machine cannot be answered from another.
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

fn ask(
    socket: &UdpSocket,
    address: SocketAddr,
    text: &str,
    deadline: Instant,
) -> Result<Reply, Error> {
    let failed = |error: io::Error| match error.kind() {
        // Windows says "reset" for the same.
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Error::NobodyThere(address),
        _ => Error::Io(address, error),
    };
    // The system may pick the very port that we send to, and we would take our own words for the reply.
    if socket.local_addr().map_err(failed)? == address {
        return Err(Error::NobodyThere(address));
    }
    socket.send(text.as_bytes()).map_err(failed)?;
    let mut buffer = vec![0; MAX_REPLY];
    let len = receive(socket, &mut buffer, deadline)
        .map_err(failed)?
        .ok_or(Error::NoAnswer(address))?;
    Reply::parse(&buffer[..len]).map_err(|fault| Error::NotAReply(address, fault))
}

/// The length of the datagram that came before the deadline.
fn receive(socket: &UdpSocket, buffer: &mut [u8], deadline: Instant) -> io::Result<Option<usize>> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(buffer) {
            Ok(len) => return Ok(Some(len)),
            // A time-out is one or the other, as the system likes; the clock decides.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The server answers at once unless it is in trouble, and a program should not start much later because of that.
const PATIENCE: Duration = Duration::from_secs(2);

/// No datagram is longer.
const MAX_REPLY: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn socket() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Nobody listens at this address, and nobody will: the socket that has it hears itself only.
    fn dead() -> (UdpSocket, SocketAddr) {
        let (socket, address) = socket();
        socket.connect(address).unwrap();
        (socket, address)
    }

    /// Answers one datagram.
    fn server(reply: &'static [u8]) -> SocketAddr {
        let (socket, address) = socket();
        thread::spawn(move || {
            let (_, from) = socket.recv_from(&mut [0; 2000]).unwrap();
            socket.send_to(reply, from).unwrap();
        });
        address
    }

    fn two(address: SocketAddr, other: SocketAddr) -> Client {
        let other = Some(other);
        Client { address, other }
    }

    #[test]
    fn the_second_address_is_tried_when_nobody_is_at_the_first() {
        let (_socket, dead) = dead();
        let reply = two(dead, server(b"ok ping")).send(&Command::Ping);
        assert_eq!(reply.unwrap(), Reply::ok("ping"));
    }

    #[test]
    fn the_second_address_is_tried_when_the_first_is_silent() {
        let (_socket, silent) = socket();
        let reply = two(silent, server(b"ok ping")).send(&Command::Ping);
        assert_eq!(reply.unwrap(), Reply::ok("ping"));
    }

    #[test]
    fn the_first_answer_counts_whatever_it_says() {
        let reply = two(server(b"err busy"), server(b"ok ping")).send(&Command::Ping);
        assert_eq!(reply.unwrap(), Reply::err("busy", ""));
        let answer = two(server(b"hello"), server(b"ok ping")).send(&Command::Ping);
        assert!(matches!(answer, Err(Error::NotAReply(..))), "{answer:?}");
    }

    #[test]
    fn the_error_is_that_of_the_address_where_somebody_is() {
        let ((_silent, silent), (_dead, dead)) = (socket(), dead());
        for client in [two(silent, dead), two(dead, silent)] {
            let answer = client.send(&Command::Ping);
            let named = matches!(answer, Err(Error::NoAnswer(address)) if address == silent);
            assert!(named, "{answer:?}");
        }
        let (_other, other) = self::dead();
        let answer = two(dead, other).send(&Command::Ping);
        let named = matches!(answer, Err(Error::NobodyThere(address)) if address == dead);
        assert!(named, "{answer:?}");
    }

    #[test]
    fn our_own_words_are_not_a_reply() {
        let (socket, address) = dead();
        let answer = ask(&socket, address, "ping", Instant::now() + PATIENCE);
        assert!(matches!(answer, Err(Error::NobodyThere(_))), "{answer:?}");
    }

    #[test]
    fn what_cannot_be_written_is_not_sent() {
        let plain = Add::new(Domain::parse("a.example").unwrap(), 1);
        let with = |change: fn(&mut Add)| {
            let mut add = plain.clone();
            change(&mut add);
            text_of(&Command::Add(add)).map_err(|fault| fault.code())
        };
        assert_eq!(with(|_| {}).as_deref(), Ok("add a.example 1"));
        assert_eq!(with(|add| add.port = 0), Err("bad-port"));
        assert_eq!(with(|add| add.pid = Some(0)), Err("bad-option"));
        assert_eq!(with(|add| add.ttl = Some(PATIENCE / 3)), Err("bad-option"));
        let changes: [fn(&mut Add); 3] = [
            |add| add.ttl = Some(Duration::from_millis(1500)),
            |add| add.check = Some("/a host=10.0.0.1".into()),
            |add| add.check = Some("up".into()),
        ];
        for change in changes {
            assert_eq!(with(change), Err("bad-option"));
        }
        let lines = with(|add| add.check = Some("/a\nadd b.example 2".into()));
        assert_eq!(lines, Err("not-text"));
        let long = with(|add| add.check = Some("/".repeat(MAX_REPLY)));
        assert_eq!(long, Err("too-long"));
    }
}
