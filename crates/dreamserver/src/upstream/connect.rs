//! Reaching an endpoint: names to addresses, and the first address that answers (RFC 8305).

use crate::address::EndpointAddress;
use crate::stream::Stream;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long one address has for itself before the next one is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection to `address`. It has no time-out of its own.
///
/// # Errors
/// The last error, when no address could be reached.
pub(super) async fn connect(address: &EndpointAddress) -> io::Result<Stream> {
    match address {
        EndpointAddress::Unix(path) => connect_unix(path).await,
        EndpointAddress::Tcp { host, port, .. } => {
            connect_first(&resolve(host, *port).await?).await
        }
    }
}

/// The addresses of `host`, IPv6 and IPv4 in turn. `localhost` is both loopback addresses, whatever
/// the machine's files say: development servers bind to one of them, and nobody knows which.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ]);
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let (v6, v4): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    let longest = v6.len().max(v4.len());
    let in_turn = |n| [v6.get(n), v4.get(n)].into_iter().flatten().copied();
    Ok((0..longest).flat_map(in_turn).collect())
}

async fn connect_unix(path: &Path) -> io::Result<Stream> {
    let address = rustix::net::SocketAddrUnix::new(path)?;
    let socket = socket(AddressFamily::UNIX)?;
    rustix::net::connect(&socket, &address)?;
    Ok(Stream::new(socket))
}

/// Tries the addresses one after the other, each with a head start before the next.
async fn connect_first(addresses: &[SocketAddr]) -> io::Result<Stream> {
    let mut race = Race {
        waiting: addresses,
        running: Vec::new(),
        error: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
    };
    loop {
        race.start_next();
        #[allow(
            clippy::disallowed_methods,
            reason = "once per connection, where the coarse clock is too coarse"
        )]
        let mut head_start = pin!(tokio::time::sleep(HEAD_START));
        let won = poll_fn(|cx| race.poll(head_start.as_mut(), cx)).await;
        match won {
            Some(stream) => return Ok(stream),
            None if race.running.is_empty() && race.waiting.is_empty() => return Err(race.error),
            None => {}
        }
    }
}

struct Race<'a> {
    waiting: &'a [SocketAddr],
    running: Vec<Stream>,
    error: io::Error,
}

impl Race<'_> {
    fn start_next(&mut self) {
        if let [next, rest @ ..] = self.waiting {
            self.waiting = rest;
            match begin(*next) {
                Ok(stream) => self.running.push(stream),
                Err(error) => self.error = error,
            }
        }
    }

    /// Ready with the winner, or with nothing when it is time for the next address.
    fn poll(
        &mut self,
        head_start: Pin<&mut tokio::time::Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Stream>> {
        let mut failed = false;
        let mut at = 0;
        while at < self.running.len() {
            match self.running[at].poll_connected(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Some(self.running.swap_remove(at))),
                Poll::Ready(Err(error)) => {
                    self.error = error;
                    self.running.swap_remove(at);
                    failed = true;
                }
                Poll::Pending => at += 1,
            }
        }
        let may_start = !self.waiting.is_empty();
        let over = self.running.is_empty() || (failed && may_start);
        if over || (may_start && head_start.poll(cx).is_ready()) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// Begins a TCP connection without waiting for it.
fn begin(address: SocketAddr) -> io::Result<Stream> {
    let socket = socket(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(Stream::new(socket)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
fn socket(family: AddressFamily) -> io::Result<std::os::fd::OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(
        family,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn socket(family: AddressFamily) -> io::Result<std::os::fd::OwnedFd> {
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}
