//! The client's first message: received whole, and looked at before anything is made for the connection.

use super::first::{Fault, First, encoded};
use crate::stream::Stream;
use crate::time::Timer;
use rustls::server::Accepted;
use rustls::{ServerConfig, ServerConnection};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Received at once. With a post-quantum key share the message has about 1.7 KiB, in two packets.
const PIECE: usize = 4096;

/// The client's first message.
pub(super) struct Hello(Accepted);

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
    poll_fn(|cx| match poll_receive(stream, &mut first, cx) {
        Poll::Ready(hello) => Poll::Ready(hello),
        Poll::Pending => timer.poll(cx).map(|()| Err(NoHello::Slow)),
    })
    .await
}

fn poll_receive(
    stream: &Stream,
    first: &mut First,
    cx: &mut Context<'_>,
) -> Poll<Result<Hello, NoHello>> {
    loop {
        // Not outside of the wait: it would be a part of the connection's memory.
        let mut buffer = [0; PIECE];
        let count = ready!(stream.poll_read(&mut buffer, cx)).map_err(NoHello::Io)?;
        if count == 0 {
            return Poll::Ready(Err(NoHello::Io(io::ErrorKind::UnexpectedEof.into())));
        }
        if let Some(accepted) = first.take(&buffer[..count])? {
            return Poll::Ready(Ok(Hello(accepted)));
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
        let name = self.0.client_hello().server_name()?.to_ascii_lowercase();
        Some(name)
    }

    /// Does it offer this protocol behind the handshake (RFC 7301)?
    pub(super) fn offers(&self, protocol: &[u8]) -> bool {
        let hello = self.0.client_hello();
        let offered = hello.alpn();
        offered.is_some_and(|mut offered| offered.any(|offer| offer == protocol))
    }

    /// Begins the server's side; or says why not, and what to tell the client.
    pub(super) fn accept(
        self,
        config: Arc<ServerConfig>,
    ) -> Result<ServerConnection, (rustls::Error, Vec<u8>)> {
        self.0
            .into_connection(config)
            .map_err(|(error, alert)| (error, encoded(alert)))
    }
}
