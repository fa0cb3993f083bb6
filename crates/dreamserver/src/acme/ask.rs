//! One question to an HTTP server, and the beginning of its answer.

use dream_http::h1::{self, ResponseParser};
use dream_http::{Method, ResponseHead};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The beginning of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// At least as many bytes as were wanted, if there are so many.
    pub(super) body: Vec<u8>,
}

/// Connects; whoever does not answer within the time that people wait is not there.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    timeout(PATIENCE, TcpStream::connect(address)).await?
}

/// Asks the server at this address for a path of a host.
pub(super) async fn get(
    address: SocketAddr,
    host: &str,
    path: &str,
    wanted: usize,
) -> io::Result<Answer> {
    let mut stream = connect(address).await?;
    timeout(PATIENCE, ask(&mut stream, host, path, wanted)).await?
}

async fn ask(stream: &mut TcpStream, host: &str, path: &str, wanted: usize) -> io::Result<Answer> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: dreamserver\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    let (mut head, mut body_at) = (ResponseHead::default(), None);
    let mut parser = ResponseParser::new(h1::Limits {
        head: LONGEST_HEAD,
        ..h1::Limits::default()
    });
    loop {
        let ended = stream.read_buf(&mut received).await? == 0;
        if body_at.is_none() {
            let parsed = parser.parse(&received, Method::Get, &mut head);
            let parsed = parsed.map_err(|_| io::Error::other("the answer is not HTTP"))?;
            body_at = parsed;
        }
        match body_at {
            Some(at) if ended || received.len() >= at + wanted => {
                let body = received.split_off(at);
                return Ok(Answer {
                    status: head.status,
                    body,
                });
            }
            None if ended => {
                return Err(io::Error::other("the connection ended without an answer"));
            }
            None if received.len() > LONGEST_HEAD => {
                return Err(io::Error::other("the answer has no end"));
            }
            _ => {}
        }
    }
}

/// How long a server may take to accept a connection, and then to answer. Authorities wait for 10 seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head that is read.
const LONGEST_HEAD: usize = 16 * 1024;
