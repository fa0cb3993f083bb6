//! Opening the listeners, and the words for it.

use crate::address::ListenAddress;
use crate::cli::{Base, Plan};
use crate::listener::{Bound, bind, busy_by};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// The listeners, ready to be shared out.
pub(super) struct Opened {
    /// The sockets of each core.
    pub(super) by_core: Vec<Vec<Bound>>,
    /// The address of each `listen` entry, as a browser can open it.
    pub(super) links: Vec<String>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub(super) struct ListenError {
    address: SocketAddr,
    error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port();
        match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "port {port} is taken")?;
                if let Some((pid, name)) = busy_by(port) {
                    write!(f, " by {name} (process {pid})")?;
                }
                write!(
                    f,
                    "\nstop that, or listen elsewhere: dreamserver --listen :{}",
                    another(port)
                )
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "port {port} needs rights that this user does not have\n\
                 allow it once with `sudo setcap cap_net_bind_service=+ep $(command -v dreamserver)`,\n\
                 or listen elsewhere: dreamserver --listen :{}",
                another(port)
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "{} is not an address of this machine; `ip address` lists those",
                self.address.ip()
            ),
            _ => write!(f, "{} cannot be listened on: {}", self.address, self.error),
        }
    }
}

/// Opens every address for `cores` cores.
pub(super) fn open(addresses: &[ListenAddress], cores: usize) -> Result<Opened, ListenError> {
    let mut opened = Opened {
        by_core: (0..cores).map(|_| Vec::new()).collect(),
        links: Vec::new(),
    };
    for address in addresses {
        let bound = open_address(address, cores, &mut opened.by_core)?;
        opened.links.push(link(address, bound));
    }
    Ok(opened)
}

/// Opens one address, which may stand for one socket address of each family; one of the two is enough where
/// the machine lacks the other.
fn open_address(
    address: &ListenAddress,
    cores: usize,
    by_core: &mut [Vec<Bound>],
) -> Result<SocketAddr, ListenError> {
    let mut found: Option<SocketAddr> = None;
    let mut missing = None;
    for mut wanted in address.sockets() {
        if let Some(first) = found {
            wanted.set_port(first.port());
        }
        match bind(wanted, cores) {
            Ok(sockets) => {
                found = found.or(sockets.first().map(|bound| bound.address));
                for (core, bound) in by_core.iter_mut().zip(sockets) {
                    core.push(bound);
                }
            }
            Err(error) if is_missing_family(&error) => {
                missing = Some(ListenError {
                    address: wanted,
                    error,
                });
            }
            Err(error) => {
                return Err(ListenError {
                    address: wanted,
                    error,
                });
            }
        }
    }
    match (found, missing) {
        (Some(address), _) => Ok(address),
        (None, Some(error)) => Err(error),
        (None, None) => unreachable!("every address stands for a socket"),
    }
}

fn is_missing_family(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or_default();
    code == rustix::io::Errno::AFNOSUPPORT.raw_os_error()
        || code == rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()
}

/// The address as a browser opens it.
fn link(address: &ListenAddress, bound: SocketAddr) -> String {
    match address {
        ListenAddress::Any(_) | ListenAddress::Loopback(_) => {
            format!("http://localhost:{}/", bound.port())
        }
        ListenAddress::Exact(_) => format!("http://{bound}/"),
    }
}

fn another(port: u16) -> u16 {
    match port {
        0..1024 => 8080,
        _ => port.checked_add(1).unwrap_or(8080),
    }
}

/// What is said at the start: what is served where, and what to do next.
pub(super) fn banner(plan: &Plan, opened: &Opened) -> String {
    let what = match &plan.base {
        Base::File(file) => file.display().to_string(),
        Base::Nothing => "staticfiles/".into(),
        Base::Files(folder) => folder.display().to_string(),
        Base::Proxy(endpoints) => {
            let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            endpoints.join(", ")
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let links = opened.links.join(" ");
    let next = match &plan.base {
        Base::Nothing if !std::path::Path::new("staticfiles").is_dir() => {
            "There is no folder staticfiles/ here yet: make it and put an index.html into it."
        }
        _ => "Ctrl-C stops it; `dreamserver --help` shows what else it can do.",
    };
    format!("dreamserver {version} serves {what} at {links}\n{next}\n")
}
