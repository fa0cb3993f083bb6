//! Announcements by TCP: one line, with or without its end. A browser that connects to the same port sees the live view.

use super::answer::{Control, count};
use crate::admin::{Door, Ends};
use crate::sockets::{Protocol, Sender};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// One byte more than the longest announcement, so that a longer one is seen to be.
const LONGEST: usize = 1025;
/// A sender that takes longer is cut off.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many senders at once; more wait to be accepted.
const MOST: usize = 64;
/// After the system refused a connection, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) async fn accept(
    control: Rc<Control>,
    door: Option<Rc<Door>>,
    listener: Rc<TcpListener>,
) {
    let seats = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else {
            return;
        };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "accepting announcements pauses");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !address.ip().is_loopback() {
            count(&control.counts.dropped);
            continue;
        }
        let (control, door) = (control.clone(), door.clone());
        // Before its line is read, too: it was accepted here, and nobody else can answer it.
        let under_way = control.enter();
        tokio::task::spawn_local(async move {
            // Whoever is slow or gone gets no answer.
            let _ = tokio::time::timeout(PATIENCE, receive(&control, door, stream, address)).await;
            drop((under_way, seat));
        });
    }
}

/// Finds out who speaks, and answers a line; a browser is led to the door.
async fn receive(
    control: &Rc<Control>,
    door: Option<Rc<Door>>,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<()> {
    match door {
        Some(door) if is_browser(&stream).await? => {
            let ends = Ends {
                remote: address,
                local: stream.local_addr()?,
            };
            door.serve(stream.into_std()?.into(), ends);
            Ok(())
        }
        _ => answer(control, stream, address).await,
    }
}

/// Does the connection begin with a method of HTTP? Nothing is taken from it.
async fn is_browser(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; LONGEST_METHOD];
    loop {
        let len = stream.peek(&mut begin).await?;
        match speaks_http(&begin[..len]) {
            Some(is_http) => return Ok(is_http),
            // A method in pieces: no browser does that, but a person may.
            None => tokio::time::sleep(GLANCE).await,
        }
    }
}

/// Is this the beginning of a request? Nothing, if it may become one. Commands are in lower case.
fn speaks_http(begin: &[u8]) -> Option<bool> {
    if METHODS.iter().any(|method| begin.starts_with(method)) {
        return Some(true);
    }
    let may_become = |method: &&[u8]| method.starts_with(begin) && !begin.is_empty();
    match METHODS.iter().any(may_become) {
        true => None,
        false => Some(false),
    }
}

const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
];
const LONGEST_METHOD: usize = 8;
/// Between two looks at a method that is not whole.
const GLANCE: Duration = Duration::from_millis(20);

async fn answer(
    control: &Rc<Control>,
    mut stream: TcpStream,
    address: SocketAddr,
) -> io::Result<()> {
    let line = read_line(&mut stream).await?;
    let sender = Sender {
        protocol: Protocol::Tcp,
        address,
        ours: stream.local_addr()?,
    };
    let reply = control.answer(&line, sender).await;
    stream.write_all(reply.to_string().as_bytes()).await?;
    stream.write_all(b"\n").await?;
    stream.shutdown().await
}

/// What comes before the first line end, or before the end.
async fn read_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LONGEST);
    while line.len() < LONGEST {
        let seen = line.len();
        if stream.read_buf(&mut line).await? == 0 {
            break;
        }
        if let Some(end) = memchr::memchr(b'\n', &line[seen..]) {
            line.truncate(seen + end);
            break;
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_begins_with_a_method() {
        for (begin, is_http) in [
            ("GET / HTTP/1.1", Some(true)),
            ("OPTIONS ", Some(true)),
            ("P", None),
            ("OPTIONS", None),
            ("GETX", Some(false)),
            ("PROPFIND", Some(false)),
            ("add example.com 5665", Some(false)),
            ("ping", Some(false)),
            ("", Some(false)),
            ("\x16\x03\x01", Some(false)),
        ] {
            assert_eq!(speaks_http(begin.as_bytes()), is_http, "{begin}");
        }
    }
}
