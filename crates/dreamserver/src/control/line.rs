//! Announcements by TCP: one line, with or without its end.

use super::answer::{Control, count};
use crate::sockets::{Protocol, Sender};
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

pub(super) async fn accept(control: Rc<Control>, listener: Rc<TcpListener>) {
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
        let control = control.clone();
        // Before its line is read, too: it was accepted here, and nobody else can answer it.
        let under_way = control.enter();
        tokio::task::spawn_local(async move {
            // Whoever is slow or gone gets no answer.
            let _ = tokio::time::timeout(PATIENCE, answer(&control, stream, address)).await;
            drop((under_way, seat));
        });
    }
}

async fn answer(
    control: &Rc<Control>,
    mut stream: TcpStream,
    address: SocketAddr,
) -> std::io::Result<()> {
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
async fn read_line(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
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
