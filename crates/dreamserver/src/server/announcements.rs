//! Where announcements come in, and what is said about it.

use super::{Desk, Publisher};
use crate::address::ListenAddress;
use crate::cli::Plan;
use crate::control::{Ending, Options, Running, StartError};
use crate::takeover::Holdings;
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Starts the control plane. What was announced before is routed when this returns.
///
/// # Errors
/// [`StartError`].
pub(super) fn start(
    plan: &Plan,
    desk: Desk,
    publisher: Publisher,
    holdings: &Holdings,
    endings: mpsc::UnboundedSender<Ending>,
) -> Result<Running, StartError> {
    let options = Options {
        folder: desk.folder,
        before: desk.before,
        publisher,
        holdings: holdings.clone(),
        owners: plan.owners(),
        hosts: plan.config.control.hosts,
        serves: plan.serves(),
        endings,
    };
    Running::start(options, desk.ports)
}

/// Senders use IPv4, so that goes first.
pub(super) fn addresses(address: ListenAddress) -> Vec<SocketAddr> {
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
