//! Certificates that are made or loaded when they are first asked for. The back office puts them here; a handshake finds them, or asks.
//!
//! The store is shared by the cores: it is looked at once in a handshake, which costs a thousand times more than that.

use quick_cache::sync::Cache;
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// So many certificates are held in memory, each of some 5 KiB; the others are on the disk, or can be made again.
const HELD: usize = 10_000;

/// So many handshakes may wait for a certificate. Whoever comes then is turned away at once.
const WAITING: usize = 1024;

/// How long nobody asks again for what was asked for without waiting.
const AGAIN: Duration = Duration::from_secs(60);

/// The certificates at hand.
pub struct Store {
    held: Cache<Box<str>, Arc<CertifiedKey>>,
    /// When somebody last asked without waiting.
    asked: Cache<Box<str>, Instant>,
    wanted: mpsc::Sender<Wanted>,
}

/// A handshake that waits.
pub struct Wanted {
    /// The name, in lower case.
    pub name: String,
    /// Told when the store has a certificate for it; dropped if it gets none.
    pub done: oneshot::Sender<()>,
}

impl Store {
    /// An empty store, and what is asked of it.
    pub fn new() -> (Arc<Store>, mpsc::Receiver<Wanted>) {
        let (wanted, asked) = mpsc::channel(WAITING);
        let store = Store {
            held: Cache::new(HELD),
            asked: Cache::new(HELD),
            wanted,
        };
        (Arc::new(store), asked)
    }

    /// The certificate for `name`, if it is at hand.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.held.get(name)
    }

    /// Waits until a certificate for `name` is at hand; `false` if there will be none.
    pub async fn fetch(&self, name: &str) -> bool {
        let (done, made) = oneshot::channel();
        let name = name.to_owned();
        match self.wanted.try_send(Wanted { name, done }) {
            Ok(()) => made.await.is_ok(),
            Err(_) => false,
        }
    }

    /// Asks for a certificate for `name` without waiting for it; again only after a while, however many ask.
    pub fn ask(&self, name: &str) {
        let now = Instant::now();
        let recently = |asked: &Instant| now.duration_since(*asked) < AGAIN;
        if !self.asked.get(name).as_ref().is_some_and(recently) {
            self.asked.insert(name.into(), now);
            let (done, _) = oneshot::channel();
            let name = name.to_owned();
            // If too many wait already, somebody asks again.
            let _ = self.wanted.try_send(Wanted { name, done });
        }
    }

    /// Has handshakes for `name` use this one from now on.
    pub fn put(&self, name: &str, certificate: Arc<CertifiedKey>) {
        self.held.insert(name.into(), certificate);
    }

    /// Forgets what is held for `name`: the next handshake asks again.
    pub fn remove(&self, name: &str) {
        self.held.remove(name);
    }

    /// The names that certificates are held for.
    pub fn names(&self) -> Vec<Box<str>> {
        self.held.iter().map(|(name, _)| name).collect()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}
