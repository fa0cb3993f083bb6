//! Whether programs on this machine may announce names here, and what is said about it.

use super::Publisher;
use crate::address::ListenAddress;
use crate::cli::{Base, Plan};
use crate::control::{self, Options, Running};
use crate::listener::Inherited;
use crate::state;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Begins to take announcements, if the plan wants that. A server that has other things to do goes on without.
///
/// # Errors
/// Why there are none, if they are all that the server is for.
pub(super) fn start(
    plan: &Plan,
    publisher: Publisher,
    own_ports: &Arc<Mutex<Vec<u16>>>,
    shutdown: mpsc::UnboundedSender<()>,
    inherited: &mut Inherited,
) -> Result<Option<Running>, control::StartError> {
    let Some(address) = plan.control() else {
        return Ok(None);
    };
    let begin = || {
        let folder = state::folder(plan.overrides.state.as_deref());
        let options = Options {
            addresses: addresses(address),
            folder: folder.map_err(control::StartError::NoFolder)?,
            publisher,
            own_ports: own_ports.clone(),
            hosts: plan.config.control.hosts,
            shutdown,
        };
        Running::start(options, inherited)
    };
    match begin() {
        Ok(running) => Ok(Some(running)),
        Err(error) if plan.base == Base::Core => Err(error),
        Err(error) => {
            tracing::warn!("this server goes on without announcements: {error}");
            Ok(None)
        }
    }
}

/// Senders use IPv4, so that goes first.
fn addresses(address: ListenAddress) -> Vec<SocketAddr> {
    let mut addresses = address.sockets();
    addresses.reverse();
    addresses
}

/// What is said at the start.
pub(super) fn banner(running: Option<&Running>) -> String {
    let Some(running) = running else {
        return String::new();
    };
    let addresses: Vec<String> = running.addresses.iter().map(ToString::to_string).collect();
    format!("Announcements come in at {}\n", addresses.join(" and "))
}
