//! From an accepted connection to a secure one (RFC 8446): which certificate it gets, whom it is for, and who is turned away.
//!
//! The library does the protocol; here is what it cannot know. The client's first message is read before anything is made for it,
//! because what follows depends on the name in it.

mod first;
mod hello;
mod site;
mod store;
mod subject;
mod terms;
mod tickets;

pub use site::{Certificates, ClientPolicy, Site, SiteOptions};
pub use store::{Store, Wanted};
pub use terms::Terms;
pub use tickets::TicketKeys;

use crate::error;
use crate::exchange::{Peer, Security};
use crate::protocol::h1::{discard, serve_connection};
use crate::serve::Core;
use crate::stream::Stream;
use crate::time::Timer;
use hello::{Hello, NoHello};
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A handshake that waits for a certificate that is being made has so long for it; what makes it goes on behind.
const ISSUANCE: Duration = Duration::from_secs(30);

/// What a core's secure listeners go by; replaced whole when the configuration changes.
pub type Current = Rc<RefCell<Arc<Terms>>>;

/// Serves a connection that begins with a handshake, until it ends, and drops `held` then. The stations:
///
/// 1. read the client's first message;
/// 2. see whom it is for;
/// 3. wait for a certificate, if that is still to be made;
/// 4. finish the handshake;
/// 5. serve what comes, as on any connection.
pub async fn serve(
    core: Rc<Core>,
    terms: Arc<Terms>,
    stream: Stream,
    peer: Peer,
    held: impl Sized,
) {
    // Boxed, as the memory of a connection is that of its largest wait.
    match Box::pin(shake_hands(&core, terms, stream, &peer)).await {
        Ok((stream, security)) => {
            let peer = Peer {
                security: Some(Box::new(security)),
                ..peer
            };
            serve_connection(core, stream, peer, held).await;
        }
        Err(refusal) => {
            tracing::debug!(client = %peer.remote, "no TLS connection: {refusal}");
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
enum Refusal {
    /// The first message is none, or cannot be read.
    Hello(NoHello),
    /// It took too long.
    Slow,
    /// Nobody here has this name, or there is no certificate for it.
    Unknown(Option<String>),
    /// The connection broke, or the two did not agree.
    Broken(io::Error),
    /// As the library says before anything was sent.
    Refused(rustls::Error),
    /// An authority has seen what it looked for.
    Shown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Hello(error) => error.fmt(f),
            Refusal::Slow => f.write_str("the handshake took too long"),
            Refusal::Unknown(Some(name)) => write!(f, "there is no certificate for {name}"),
            Refusal::Unknown(None) => {
                f.write_str("the client named no host, and there is no certificate for that")
            }
            Refusal::Broken(error) => error.fmt(f),
            Refusal::Refused(error) => error.fmt(f),
            Refusal::Shown => f.write_str("an authority has looked at a certificate"),
        }
    }
}

async fn shake_hands(
    core: &Core,
    terms: Arc<Terms>,
    stream: Stream,
    peer: &Peer,
) -> Result<(Stream, Security), Refusal> {
    let (timer, begun) = (Timer::new(&core.clock), core.clock.elapsed());
    let time = core.current().timeouts.tls_handshake;
    timer.set(time);
    let hello = match hello::receive(&stream, &timer).await {
        Ok(hello) => hello,
        Err(refusal) => return Err(decline(core, &stream, peer, refusal, &timer).await),
    };
    // What it waits for a certificate is not the client's time.
    let left = time.saturating_sub(core.clock.elapsed() - begun);
    if let Some(config) = terms.challenge(&hello) {
        return Err(show(stream, hello, config, &timer).await);
    }
    let name = hello.server_name();
    let Some(site) = terms.find(core, name.as_deref()) else {
        return Err(unknown(&stream, name));
    };
    let Some(config) = agree(&site, name.as_deref(), peer.local.ip(), &timer).await else {
        return Err(unknown(&stream, name));
    };
    timer.set(left);
    let stream = secured(stream, &hello, config)?;
    drop(hello);
    poll_fn(|cx| match stream.poll_handshake(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(Refusal::Broken)),
        Poll::Pending => timer.poll(cx).map(|()| Err(Refusal::Slow)),
    })
    .await?;
    let client = stream.agreed().and_then(|agreed| site::client(&agreed));
    let security = Security {
        server_name: name.map(String::into_boxed_str),
        policy: site.policy(),
        client,
    };
    Ok((stream, security))
}

/// The library reads the client's first message again, which begins the server's side.
fn secured(stream: Stream, hello: &Hello, config: Arc<ServerConfig>) -> Result<Stream, Refusal> {
    let connection = UnbufferedServerConnection::new(config).map_err(Refusal::Refused)?;
    Ok(stream.secured(connection, hello.received()))
}

/// What the handshake goes by, once there is a certificate: a site may have it made now. A client that names no host wants our
/// address.
async fn agree(
    site: &Site,
    name: Option<&str>,
    address: IpAddr,
    timer: &Timer,
) -> Option<Arc<ServerConfig>> {
    let Some(store) = site.store() else {
        return Some(site.config());
    };
    let wanted = name.map_or_else(|| address.to_string(), str::to_owned);
    if store.find(&wanted).is_none() {
        timer.set(ISSUANCE);
        let mut fetching = std::pin::pin!(store.fetch(&wanted));
        poll_fn(|cx| match fetching.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => timer.poll(cx),
        })
        .await;
    }
    let certificate = store.find(&wanted)?;
    Some(match name {
        Some(_) => site.config(),
        None => site.config_with(certificate),
    })
}

/// Finishes the handshake of an authority that only looks at the certificate.
async fn show(stream: Stream, hello: Hello, config: Arc<ServerConfig>, timer: &Timer) -> Refusal {
    let stream = match secured(stream, &hello, config) {
        Ok(stream) => stream,
        Err(refusal) => return refusal,
    };
    let done = poll_fn(|cx| match stream.poll_handshake(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(Refusal::Broken)),
        Poll::Pending => timer.poll(cx).map(|()| Err(Refusal::Slow)),
    });
    let done = done.await;
    stream.shutdown(Shutdown::Write);
    done.err().unwrap_or(Refusal::Shown)
}

/// Tells a client why what it sent is no handshake, as far as it would understand.
async fn decline(
    core: &Core,
    stream: &Stream,
    peer: &Peer,
    refusal: NoHello,
    timer: &Timer,
) -> Refusal {
    match &refusal {
        NoHello::Http => {
            write_at_once(stream, &error::plain_on_secure_port(peer.local.port()));
            // A close with unread bytes would take the answer away from it.
            discard(stream, timer, &core.snapshot().timeouts).await;
        }
        NoHello::Broken(_, alert) => write_at_once(stream, alert),
        NoHello::Slow => return Refusal::Slow,
        NoHello::Io(_) => {}
    }
    Refusal::Hello(refusal)
}

/// A fatal alert, `unrecognized_name` (RFC 8446 §6.2): in a record of its own, before anything is agreed.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

fn unknown(stream: &Stream, name: Option<String>) -> Refusal {
    write_at_once(stream, &UNRECOGNIZED_NAME);
    Refusal::Unknown(name)
}

/// Nobody waits for a client that is turned away.
fn write_at_once(stream: &Stream, bytes: &[u8]) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = stream.poll_write(&[io::IoSlice::new(bytes)], false, &mut cx);
    stream.shutdown(Shutdown::Write);
}
