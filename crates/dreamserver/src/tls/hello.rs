//! The client's first message: received whole, and looked at before anything is made for the connection.

use super::first::{Fault, First};
use crate::stream::Stream;
use crate::time::Timer;
use rustls::server::Accepted;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

/// Received at once. With a post-quantum key share the message has about 1.7 KiB, in two packets.
const PIECE: usize = 4096;

/// The client's first message.
pub(super) struct Hello {
    accepted: Accepted,
    /// As it came, perhaps with what follows it.
    received: Vec<u8>,
}

/// What came instead of one.
#[derive(Debug)]
pub(super) enum NoHello {
    /// A client that speaks HTTP without TLS.
    Http,
    /// It breaks a rule; and what to answer.
    Broken(rustls::Error, Vec<u8>),
    /// Not all of it came in time.
    Slow,
    /// The connection broke.
    Io(io::Error),
}

impl fmt::Display for NoHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoHello::Http => f.write_str("the client speaks HTTP without TLS"),
            NoHello::Broken(error, _) => error.fmt(f),
            NoHello::Slow => f.write_str("the first message took too long"),
            NoHello::Io(error) => error.fmt(f),
        }
    }
}

/// Receives the client's first message.
pub(super) async fn receive(stream: &Stream, timer: &Timer) -> Result<Hello, NoHello> {
    let mut first = First::default();
    let accepted = poll_fn(|cx| match poll_receive(stream, &mut first, cx) {
        Poll::Ready(accepted) => Poll::Ready(accepted),
        Poll::Pending => timer.poll(cx).map(|()| Err(NoHello::Slow)),
    })
    .await?;
    Ok(Hello {
        accepted,
        received: first.received(),
    })
}

fn poll_receive(
    stream: &Stream,
    first: &mut First,
    cx: &mut Context<'_>,
) -> Poll<Result<Accepted, NoHello>> {
    loop {
        // Not outside of the wait: it would be a part of the connection's memory.
        let mut buffer = [0; PIECE];
        let count = ready!(stream.poll_read(&mut buffer, cx)).map_err(NoHello::Io)?;
        if count == 0 {
            return Poll::Ready(Err(NoHello::Io(io::ErrorKind::UnexpectedEof.into())));
        }
        if let Some(accepted) = first.take(&buffer[..count])? {
            return Poll::Ready(Ok(accepted));
        }
    }
}

impl From<Fault> for NoHello {
    fn from(fault: Fault) -> NoHello {
        match fault {
            Fault::Http => NoHello::Http,
            Fault::Broken(error, alert) => NoHello::Broken(error, alert),
            Fault::Io(error) => NoHello::Io(error),
        }
    }
}

impl Hello {
    /// The host that the client asks for (RFC 6066 §3), in lower case.
    pub(super) fn server_name(&self) -> Option<String> {
        let name = self
            .accepted
            .client_hello()
            .server_name()?
            .to_ascii_lowercase();
        Some(name)
    }

    /// Does it offer this protocol behind the handshake (RFC 7301)?
    pub(super) fn offers(&self, protocol: &[u8]) -> bool {
        let hello = self.accepted.client_hello();
        let offered = hello.alpn();
        offered.is_some_and(|mut offered| offered.any(|offer| offer == protocol))
    }

    /// The message as it came, perhaps with what follows it.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }
}
