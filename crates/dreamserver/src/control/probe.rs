//! Does a target answer?

use crate::state::Target;
use dream_http::h1::{self, ResponseParser};
use dream_http::{Method, ResponseHead};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One try may take this long: a program on this machine that needs longer is not ready.
const TRY: Duration = Duration::from_secs(2);
/// The longest answer to a check that is looked at.
const LONGEST_HEAD: usize = 16 * 1024;

/// Does the target accept a connection, and answer its check with a status of success?
pub(super) async fn answers(target: &Target, check: Option<&str>) -> bool {
    for address in addresses(target) {
        if let Ok(true) = timeout(TRY, answers_at(address, check)).await {
            return true;
        }
    }
    false
}

/// `localhost` is both of its addresses, as for requests.
pub(super) fn addresses(target: &Target) -> Vec<SocketAddr> {
    match target.host {
        Some(host) => vec![SocketAddr::new(host, target.port)],
        None => [
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ]
        .map(|host| SocketAddr::new(host, target.port))
        .to_vec(),
    }
}

async fn answers_at(address: SocketAddr, check: Option<&str>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let Some(path) = check else {
        return true;
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: dreamserver\r\nConnection: close\r\n\r\n"
    );
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    matches!(status(&mut stream).await, Some(200..=299))
}

/// The status of a response, if it is one.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut received = Vec::new();
    let mut parser = ResponseParser::new(h1::Limits {
        head: LONGEST_HEAD,
        ..h1::Limits::default()
    });
    let mut head = ResponseHead::default();
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 || received.len() > LONGEST_HEAD {
            return None;
        }
        if parser
            .parse(&received, Method::Get, &mut head)
            .ok()?
            .is_some()
        {
            return Some(head.status);
        }
    }
}
