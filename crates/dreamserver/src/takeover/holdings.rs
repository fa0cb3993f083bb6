//! The listening sockets of this server, for whoever takes over.

use super::Purpose;
use crate::address::ListenEntry;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All of them, each once more: the cores have the others. Shared by the main thread, which changes it, and the control thread.
#[derive(Clone, Debug, Default)]
pub struct Holdings(Arc<Mutex<Vec<Holding>>>);

/// One of them.
#[derive(Debug)]
pub struct Holding {
    /// The entry of `listen` that it is for.
    pub entry: ListenEntry,
    /// Its address.
    pub address: SocketAddr,
    /// The socket. As long as it is open here, the kernel gives it connections.
    pub socket: OwnedFd,
}

impl Holdings {
    /// Adds what is listened on from now on.
    pub fn add(&self, more: Vec<Holding>) {
        self.lock().extend(more);
    }

    /// Closes what is not for one of these entries.
    pub fn keep(&self, entries: &[ListenEntry]) {
        self.lock()
            .retain(|holding| entries.contains(&holding.entry));
    }

    /// Is one of them on this port?
    pub fn has_port(&self, port: u16) -> bool {
        self.lock()
            .iter()
            .any(|holding| holding.address.port() == port)
    }

    /// Each of them once more, with what it is for.
    ///
    /// # Errors
    /// The system gives no more descriptors.
    pub fn again(&self) -> io::Result<Vec<(Purpose, OwnedFd)>> {
        let again = |holding: &Holding| {
            let socket = holding.socket.try_clone()?;
            Ok((Purpose::Clients(holding.entry), socket))
        };
        self.lock().iter().map(again).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Holding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
