//! Opening the listeners, and the words for it.

use crate::address::ListenAddress;
use crate::cli::{Base, Plan};
use crate::listener::{Bound, bind, busy_by};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Listeners, ready to be shared out.
#[derive(Default)]
pub(super) struct Opened {
    /// The sockets of each core that listens.
    pub(super) by_core: Vec<Vec<Bound>>,
    /// What was opened.
    pub(super) listeners: Vec<Listening>,
}

/// One entry of `listen`, and the socket addresses that it stands for.
pub(super) struct Listening {
    pub(super) address: ListenAddress,
    pub(super) sockets: Vec<SocketAddr>,
}

impl Listening {
    /// The address as a browser opens it.
    fn link(&self) -> String {
        match (self.address, self.sockets.as_slice()) {
            (ListenAddress::Exact(_), [only, ..]) => format!("http://{only}/"),
            (_, sockets) => {
                let port = sockets
                    .first()
                    .map_or(self.address.port(), SocketAddr::port);
                format!("http://localhost:{port}/")
            }
        }
    }
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

/// Where `dreamserver core` listens when port 80 needs rights that it does not have.
const UNPRIVILEGED: ListenAddress = ListenAddress::Any(8080);

/// Opens what the plan wants; the core server makes do with another port if nobody has chosen one.
pub(super) fn open_planned(plan: &Plan, cores: usize) -> Result<Opened, ListenError> {
    let opened = open(&plan.config.listen, cores);
    let chosen = plan.base != Base::Core || !plan.overrides.listen.is_empty();
    match opened {
        Err(error) if !chosen && error.error.kind() == io::ErrorKind::PermissionDenied => {
            let opened = open(&[UNPRIVILEGED], cores)?;
            eprintln!(
                "dreamserver: port 80 needs rights that this user does not have, so this is port {}\n{ALLOW}",
                UNPRIVILEGED.port()
            );
            Ok(opened)
        }
        opened => opened,
    }
}

/// How to get port 80.
const ALLOW: &str = "\
allow port 80 with one of these:
  sudo setcap cap_net_bind_service=+ep $(command -v dreamserver)
  sudo sysctl net.ipv4.ip_unprivileged_port_start=80";

/// Opens every address for `cores` cores.
pub(super) fn open(addresses: &[ListenAddress], cores: usize) -> Result<Opened, ListenError> {
    let mut opened = Opened {
        by_core: (0..cores).map(|_| Vec::new()).collect(),
        listeners: Vec::new(),
    };
    for address in addresses {
        let sockets = open_address(address, &mut opened.by_core)?;
        opened.listeners.push(Listening {
            address: *address,
            sockets,
        });
    }
    Ok(opened)
}

/// Opens one address, which may stand for one socket address of each family; one of the two is enough where
/// the machine lacks the other.
fn open_address(
    address: &ListenAddress,
    by_core: &mut [Vec<Bound>],
) -> Result<Vec<SocketAddr>, ListenError> {
    let mut found: Vec<SocketAddr> = Vec::new();
    let mut missing = None;
    for mut wanted in address.sockets() {
        if let Some(first) = found.first() {
            // Both families have the port that the system chose for the first.
            wanted.set_port(first.port());
        }
        match bind(wanted, by_core.len()) {
            Ok(sockets) => {
                found.extend(sockets.first().map(|bound| bound.address));
                for (core, bound) in by_core.iter_mut().zip(sockets) {
                    core.push(bound);
                }
            }
            Err(error) => {
                let fatal = !is_missing_family(&error);
                let error = ListenError {
                    address: wanted,
                    error,
                };
                if fatal {
                    return Err(error);
                }
                missing = Some(error);
            }
        }
    }
    match missing {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// The ports of these listeners.
pub(super) fn ports(listeners: &[Listening]) -> Vec<u16> {
    let sockets = listeners.iter().flat_map(|listening| &listening.sockets);
    sockets.map(SocketAddr::port).collect()
}

fn is_missing_family(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or_default();
    code == rustix::io::Errno::AFNOSUPPORT.raw_os_error()
        || code == rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()
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
        Base::Core => "what programs announce".into(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let links: Vec<String> = opened.listeners.iter().map(Listening::link).collect();
    let links = links.join(" ");
    let folder = match &plan.base {
        Base::Nothing => Some(Path::new("staticfiles")),
        Base::Files(folder) => Some(folder.as_path()),
        Base::File(_) | Base::Proxy(_) | Base::Core => None,
    };
    let next = match folder.filter(|folder| !folder.is_dir()) {
        Some(folder) => format!(
            "There is no folder {} yet: make it and put an index.html into it.",
            folder.display()
        ),
        None => "Ctrl-C stops it; `dreamserver --help` shows what else it can do.".to_owned(),
    };
    format!("dreamserver {version} serves {what} at {links}\n{next}\n")
}
