//! Where announcements come in, and what is said about it.

use super::secure::Secure;
use super::{Desk, Publisher};
use crate::address::ListenAddress;
use crate::cli::Plan;
use crate::control::{Ending, Options, Running, StartError};
use crate::log;
use crate::takeover::Holdings;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
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
    log: &Arc<Mutex<log::Place>>,
    endings: mpsc::UnboundedSender<Ending>,
    secure: &Secure,
) -> Result<Running, StartError> {
    let door = secure.door();
    let options = Options {
        folder: desk.folder,
        before: desk.before,
        publisher,
        holdings: holdings.clone(),
        owners: plan.owners(),
        mode: plan.mode(),
        log: log.clone(),
        hosts: plan.config.control.hosts,
        serves: plan.serves(),
        endings,
        certificates: secure.register(),
        served: Box::new(move |name| {
            if let Some(office) = door.get() {
                office.added(name);
            }
        }),
    };
    Running::start(options, desk.ports)
}

/// Senders use IPv4, so that goes first.
pub(super) fn addresses(address: ListenAddress) -> Vec<SocketAddr> {
    let mut addresses = address.sockets();
    addresses.reverse();
    addresses
}

/// What ends this server.
pub(super) fn stop_command(plan: &Plan, running: Option<&Running>) -> String {
    match running.and_then(|running| running.addresses.first()) {
        Some(_) if plan.overrides.control.is_usual() => "dreamserver stop".to_owned(),
        Some(address) => format!("dreamserver stop --control {address}"),
        None => format!("kill {}", std::process::id()),
    }
}

/// What is said at the start.
pub(super) fn banner(running: Option<&Running>) -> String {
    let Some(running) = running else {
        return String::new();
    };
    let addresses: Vec<String> = running.addresses.iter().map(ToString::to_string).collect();
    let view = running.view();
    format!(
        "Announcements come in at {}\nThe live view is at {view}\n",
        addresses.join(" and ")
    )
}
