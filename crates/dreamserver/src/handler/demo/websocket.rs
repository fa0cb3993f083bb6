//! A WebSocket (RFC 6455) that sends back each message.
//!
//! The exchange ends with a 101, behind which the connection is a tunnel. Its other end is a pair of sockets of our own, with
//! the library behind them.

use crate::error;
use crate::exchange::{Body, Request, Response, Tunnel, put};
use crate::stream::Stream;
use dream_http::{Fields, Name};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The switch to a WebSocket, or how to ask for it (RFC 6455 §4.2).
pub(super) fn answer(request: &Request) -> Response {
    let fields = &request.head.fields;
    let Some(key) = key(fields) else {
        let detail = "Here is a WebSocket: ask for it with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13 \
                      and a Sec-WebSocket-Key.";
        let mut response = error::page(426, request, detail);
        put(&mut response.head.fields, Name::Upgrade, b"websocket");
        let added = response
            .head
            .fields
            .append_text(b"Sec-WebSocket-Version", b"13");
        debug_assert!(added.is_ok(), "a field");
        return response;
    };
    match open() {
        Ok(tunnel) => switch(&derive_accept_key(key), tunnel),
        Err(error) => {
            tracing::warn!(%error, "no WebSocket");
            error::page(503, request, "The server has no socket left.")
        }
    }
}

/// The key of a handshake that is one.
fn key(fields: &Fields) -> Option<&[u8]> {
    let is_one = fields.has_token(Name::Connection, b"upgrade")
        && fields.has_token(Name::Upgrade, b"websocket")
        && fields.find(b"sec-websocket-version") == Some(b"13");
    fields.find(b"sec-websocket-key").filter(|_| is_one)
}

fn switch(accept: &str, tunnel: Tunnel) -> Response {
    let mut response = Response::new(101);
    put(&mut response.head.fields, Name::Upgrade, b"websocket");
    let fields = &mut response.head.fields;
    let added = fields.append_text(b"Sec-WebSocket-Accept", accept.as_bytes());
    debug_assert!(added.is_ok(), "base64 is a value");
    response.body = Body::Tunnel(Box::new(tunnel));
    response
}

/// A tunnel to where messages are sent back.
fn open() -> io::Result<Tunnel> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let theirs = tokio::net::UnixStream::from_std(theirs)?;
    tokio::task::spawn_local(echo(theirs));
    Ok(Tunnel {
        stream: Stream::new(ours.into()),
        received: Vec::new(),
        idle: IDLE,
    })
}

/// Sends each message back, until the client closes, breaks a rule or is gone.
async fn echo(socket: tokio::net::UnixStream) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
    while let Some(Ok(message)) = socket.next().await {
        // The library answers pings and closes by itself.
        let is_said = message.is_text() || message.is_binary();
        if is_said && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// The largest message, which is whole in memory.
const LARGEST: usize = 4 * 1024 * 1024;

/// A client that says nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(5 * 60);
