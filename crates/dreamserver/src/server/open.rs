//! Opening the listeners, and the words for it.

use crate::address::{ListenAddress, ListenEntry};
use crate::cli::{Base, Mode, Plan};
use crate::config::Config;
use crate::exchange::Scheme;
use crate::listener::{Bound, Inherited, Kind, Sharing, Taken, bind, busy_by};
use crate::takeover::Holding;
use std::fmt;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;

/// Listeners, ready to be shared out.
#[derive(Default)]
pub(super) struct Opened {
    /// The sockets of each core.
    pub(super) by_core: Vec<Vec<Bound>>,
    /// What was opened.
    pub(super) listeners: Vec<Listening>,
    /// All of these sockets once more, for whoever takes over.
    pub(super) holdings: Vec<Holding>,
}

/// One entry of `listen`, and the socket addresses that it stands for.
pub(super) struct Listening {
    pub(super) entry: ListenEntry,
    pub(super) sockets: Vec<SocketAddr>,
}

impl Listening {
    /// The address as a browser opens it.
    fn link(&self) -> String {
        let ListenEntry { address, scheme } = self.entry;
        let first = self.sockets.first();
        let port = first.map_or(address.port(), SocketAddr::port);
        let host = match (address, first) {
            (ListenAddress::Exact(_), Some(only)) if !only.ip().is_unspecified() => {
                only.to_string()
            }
            _ if scheme == Scheme::Https && port == 443 => "localhost".into(),
            _ => format!("localhost:{port}"),
        };
        format!("{}://{host}/", scheme.as_str())
    }
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub(super) struct ListenError {
    address: SocketAddr,
    scheme: Scheme,
    error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port();
        let flag = match self.scheme {
            Scheme::Http => "--listen",
            Scheme::Https => "--listen-tls",
        };
        match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "port {port} is taken")?;
                if let Some((pid, name)) = busy_by(port) {
                    write!(f, " by {name} (process {pid})")?;
                }
                write!(
                    f,
                    "\nstop that, or listen elsewhere, such as with `{flag} :{}`",
                    another(port)
                )
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "port {port} needs rights that this user does not have\n\
                 allow it once with `sudo setcap cap_net_bind_service=+ep $(command -v dreamserver)`,\n\
                 or listen elsewhere, such as with `{flag} :{}`",
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
pub(super) fn open_planned(
    plan: &mut Plan,
    cores: usize,
    secure: bool,
    inherited: &mut Inherited,
) -> Result<Opened, ListenError> {
    let mut opened = open_plain(plan, cores, inherited)?;
    for entry in tls_entries(&plan.config, secure) {
        let was_chosen = plan.config.listen_tls.is_some() || plan.mode() == Mode::Release;
        match opened.add(&entry, inherited) {
            Err(error) if was_chosen => return Err(error),
            Err(error) => {
                eprintln!("dreamserver: HTTPS is off: {error}");
            }
            Ok(()) => {}
        }
    }
    Ok(opened)
}

/// Where the configuration wants to hear TLS; what nobody chose only where there are certificates.
pub(super) fn tls_entries(config: &Config, secure: bool) -> Vec<ListenEntry> {
    let beside = || config.listen.iter().filter_map(ListenAddress::secure_side);
    let addresses: Vec<_> = match &config.listen_tls {
        Some(chosen) => chosen.clone(),
        None if secure => beside().collect(),
        None => Vec::new(),
    };
    addresses.into_iter().map(ListenEntry::https).collect()
}

/// Does the configuration ask for TLS?
pub(super) fn chose_tls(config: &Config) -> bool {
    let chosen = config.listen_tls.as_ref();
    chosen.is_some_and(|addresses| !addresses.is_empty())
}

/// Would it have TLS if there were certificates, though nobody asked for that?
pub(super) fn lacks_certificates(config: &Config) -> bool {
    config.listen_tls.is_none()
        && config
            .listen
            .iter()
            .any(|address| address.secure_side().is_some())
}

/// All that the configuration wants to listen on.
pub(super) fn entries(config: &Config, secure: bool) -> Vec<ListenEntry> {
    let plain = config.listen.iter().copied().map(ListenEntry::http);
    plain.chain(tls_entries(config, secure)).collect()
}

fn open_plain(
    plan: &mut Plan,
    cores: usize,
    inherited: &mut Inherited,
) -> Result<Opened, ListenError> {
    let plain = |plan: &Plan| -> Vec<ListenEntry> {
        let addresses = plan.config.listen.iter().copied();
        addresses.map(ListenEntry::http).collect()
    };
    let opened = open(&plain(plan), cores, inherited);
    let chosen = !plan.is_core() || plan.config.chose_listen;
    match opened {
        Err(error) if !chosen && error.error.kind() == io::ErrorKind::PermissionDenied => {
            plan.listen_instead(vec![ListenEntry::http(UNPRIVILEGED)]);
            let opened = open(&plain(plan), cores, inherited)?;
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
  sudo sysctl net.ipv4.ip_unprivileged_port_start=80
  sudo systemctl enable --now dreamserver-core.socket   (systemd opens the port; the unit is in dist/)";

/// Where sockets listen already. Those on the ports of HTTPS are for that.
pub(super) fn passed(inherited: &Inherited) -> Vec<ListenEntry> {
    let sockets = inherited.addresses(Kind::Tcp);
    let mut entries: Vec<ListenEntry> = Vec::new();
    for (socket, dual) in &sockets {
        let port = socket.port();
        let any =
            |(other, _): &&(SocketAddr, bool)| other.ip().is_unspecified() && other.port() == port;
        let whole =
            socket.ip().is_unspecified() && (*dual || sockets.iter().filter(any).count() == 2);
        let address = match whole {
            true => ListenAddress::Any(port),
            false => ListenAddress::Exact(*socket),
        };
        let entry = match port {
            443 | 8443 => ListenEntry::https(address),
            _ => ListenEntry::http(address),
        };
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

/// Opens every address for `cores` cores: takes the sockets that are there already, and binds the others.
pub(super) fn open(
    entries: &[ListenEntry],
    cores: usize,
    inherited: &mut Inherited,
) -> Result<Opened, ListenError> {
    let mut opened = Opened {
        by_core: (0..cores).map(|_| Vec::new()).collect(),
        listeners: Vec::new(),
        holdings: Vec::new(),
    };
    for entry in entries {
        opened.add(entry, inherited)?;
    }
    Ok(opened)
}

impl Opened {
    fn add(&mut self, entry: &ListenEntry, inherited: &mut Inherited) -> Result<(), ListenError> {
        let sockets = self.open(entry, inherited)?;
        self.listeners.push(Listening {
            entry: *entry,
            sockets,
        });
        Ok(())
    }

    /// Opens one address, which may stand for one socket address of each family; one of the two is enough where
    /// the machine lacks the other.
    fn open(
        &mut self,
        entry: &ListenEntry,
        inherited: &mut Inherited,
    ) -> Result<Vec<SocketAddr>, ListenError> {
        let mut found: Vec<SocketAddr> = Vec::new();
        let mut missing = None;
        for mut wanted in entry.address.sockets() {
            if let Some(first) = found.first() {
                // Both families have the port that the system chose for the first.
                wanted.set_port(first.port());
            }
            match self.open_socket(entry, wanted, inherited) {
                Ok(address) => found.push(address),
                Err(error) => {
                    let fatal = !is_missing_family(&error);
                    let error = ListenError {
                        address: wanted,
                        scheme: entry.scheme,
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

    /// Opens one socket address; gives it with its port.
    fn open_socket(
        &mut self,
        entry: &ListenEntry,
        wanted: SocketAddr,
        inherited: &mut Inherited,
    ) -> io::Result<SocketAddr> {
        let cores = self.by_core.len();
        let (address, sockets) = match inherited.take(Kind::Tcp, wanted) {
            Some(taken) => (taken.address, shared(taken, cores)),
            None => {
                let bound = bind(wanted, cores)?;
                (bound.first().map_or(wanted, |bound| bound.address), bound)
            }
        };
        // Every socket has a core, also where there are more of them.
        for (number, mut bound) in sockets.into_iter().enumerate() {
            bound.scheme = entry.scheme;
            self.holdings.push(Holding {
                entry: *entry,
                address,
                socket: bound.socket.try_clone()?,
            });
            self.by_core[number % cores].push(bound);
        }
        Ok(address)
    }
}

/// Sockets that were there already; there may be more or fewer than cores.
fn shared(taken: Taken, cores: usize) -> Vec<Bound> {
    let Taken { address, sockets } = taken;
    let sharing = Sharing::of(sockets.len(), cores);
    let bound = |socket| Bound {
        socket,
        address,
        sharing,
        scheme: Scheme::Http,
    };
    sockets.into_iter().map(bound).collect()
}

fn is_missing_family(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or_default();
    code == rustix::io::Errno::AFNOSUPPORT.raw_os_error()
        || code == rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()
}

fn another(port: u16) -> u16 {
    match port {
        443 => 8443,
        0..1024 => 8080,
        _ => port.checked_add(1).unwrap_or(8080),
    }
}

/// What is served where.
pub(super) fn summary(plan: &Plan, listeners: &[Listening]) -> String {
    let what = match &plan.base {
        Base::File(file) => file.display().to_string(),
        Base::Nothing => "staticfiles/".into(),
        Base::Files(folder) => folder.display().to_string(),
        Base::Proxy(endpoints) => {
            let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            endpoints.join(", ")
        }
        Base::Demo(folder) => format!("the demo with the folder {}", folder.display()),
        Base::Program(_) => "a program".into(),
        Base::Core => "what programs announce".into(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let links: Vec<String> = listeners.iter().map(Listening::link).collect();
    format!("dreamserver {version} serves {what} at {}", links.join(" "))
}

/// What is said at the start: what is served where, and what to do next.
pub(super) fn banner(plan: &Plan, listeners: &[Listening]) -> String {
    let folder = match &plan.base {
        Base::Nothing => Some(Path::new("staticfiles")),
        Base::Files(folder) => Some(folder.as_path()),
        Base::File(_) | Base::Proxy(_) | Base::Demo(_) | Base::Program(_) | Base::Core => None,
    };
    let next = match folder.filter(|folder| !folder.is_dir()) {
        Some(folder) => format!(
            "There is no folder {} yet: make it and put an index.html into it.\n",
            folder.display()
        ),
        None if io::stderr().is_terminal() => {
            "Ctrl-C stops it; `dreamserver --help` shows what else it can do.\n".to_owned()
        }
        None => String::new(),
    };
    let is_secure = |listening: &Listening| listening.entry.scheme == Scheme::Https;
    let https = match lacks_certificates(&plan.config) && !listeners.iter().any(is_secure) {
        true => TRUST,
        false => "",
    };
    format!("{}\n{https}{next}", summary(plan, listeners))
}

/// What changes it where HTTPS is off because there is no certificate.
const TRUST: &str = "HTTPS is off: `dreamserver trust` makes certificates that the browsers of this machine believe.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: ListenAddress = ListenAddress::Exact(SocketAddr::new(
        std::net::IpAddr::V4(Ipv4Addr::LOCALHOST),
        0,
    ));

    /// So many sockets that share a port.
    fn inherited(count: usize) -> (Inherited, SocketAddr) {
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), count).unwrap();
        let address = bound[0].address;
        let mut inherited = Inherited::default();
        for bound in bound {
            inherited.add(bound.socket).unwrap();
        }
        (inherited, address)
    }

    #[test]
    fn with_fewer_sockets_than_cores_connections_are_dealt() {
        let (mut inherited, address) = inherited(1);
        let opened = open(&[ListenEntry::http(LOOPBACK)], 3, &mut inherited).unwrap();
        assert_eq!(opened.listeners[0].sockets, [address]);
        let counts: Vec<usize> = opened.by_core.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 0]);
        assert_eq!(opened.by_core[0][0].sharing, Sharing::Dealt);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn with_more_sockets_than_cores_each_has_a_core() {
        let (mut inherited, address) = inherited(5);
        let exact = ListenEntry::http(ListenAddress::Exact(address));
        let opened = open(&[exact], 2, &mut inherited).unwrap();
        let counts: Vec<usize> = opened.by_core.iter().map(Vec::len).collect();
        assert_eq!(counts, [3, 2]);
        let sharing = opened.by_core.iter().flatten().map(|bound| bound.sharing);
        assert!(
            sharing
                .into_iter()
                .all(|sharing| sharing == Sharing::Kernel)
        );
    }

    #[test]
    fn what_is_not_there_is_bound() {
        let (mut inherited, _) = inherited(1);
        let other = (std::net::Ipv6Addr::LOCALHOST, 0).into();
        // A machine without IPv6 has nothing to bind.
        let other = ListenEntry::http(ListenAddress::Exact(other));
        let Ok(opened) = open(&[other], 2, &mut inherited) else {
            return;
        };
        assert_eq!(opened.by_core.iter().map(Vec::len).sum::<usize>(), 2);
        assert_eq!(inherited.addresses(Kind::Tcp).len(), 1);
    }
}
