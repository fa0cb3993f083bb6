//! What is done about an announcement, whatever way it came.

use super::budget::Budget;
use super::commit::Queue;
use super::entries::Entries;
use super::health::Health;
use super::lease::Leases;
use super::owners::Owners;
use super::probes::Probes;
use super::table::{Change, Table};
use super::view::Views;
use super::{Ending, Options, Served, StartError, host, name, view};
use crate::certificates::Register;
use crate::cli::Mode;
use crate::log;
use crate::sockets::Sender;
use crate::state::{Entry, Folder, Process, Store};
use crate::takeover::{Holdings, Serves};
use dream_control::{Add, Command, Domain, Reply};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::{Mutex, Notify, mpsc};

/// So many announcements are answered at once; more are told to come again.
const MOST: usize = 10_000;

/// `ok …`, or else `err …`.
pub(super) type Answer = Result<Reply, Reply>;

/// What the control thread knows.
pub(super) struct Control {
    pub(super) queue: Queue,
    pub(super) leases: Leases,
    pub(super) counts: Counts,
    pub(super) budget: Budget,
    pub(super) table: RefCell<Table>,
    pub(super) owners: Owners,
    /// Told when a name has come that has no owner.
    pub(super) unowned: Notify,
    /// The names that are waited for in the background, to move.
    pub(super) moving: RefCell<HashSet<Arc<str>>>,
    /// Told when something was announced or has ended.
    pub(super) changed: Notify,
    pub(super) folder: Folder,
    /// Held by whoever writes the list for people.
    pub(super) mirroring: Mutex<()>,
    pub(super) holdings: Holdings,
    pub(super) mode: Mode,
    pub(super) log: Arc<std::sync::Mutex<log::Place>>,
    hosts: bool,
    pub(super) serves: Serves,
    pub(super) endings: mpsc::UnboundedSender<Ending>,
    pub(super) certificates: Arc<Register>,
    /// Told of names that were announced.
    served: Served,
    pub(super) probes: Probes,
    pub(super) health: Health,
    pub(super) views: Views,
    /// Where announcements come in.
    pub(super) addresses: Vec<SocketAddr>,
    /// Where the live view is.
    pub(super) view: String,
    pub(super) started: Instant,
}

/// What has come in, since the start.
#[derive(Default)]
pub(super) struct Counts {
    /// Announcements.
    pub(super) received: Cell<u64>,
    /// Of those, answered with an error.
    pub(super) refused: Cell<u64>,
    /// Not read, since they come from elsewhere than this machine.
    pub(super) dropped: Cell<u64>,
    /// Not received, since the system had no room for them, and when it was asked.
    pub(super) lost: Cell<Option<(Instant, u64)>>,
    /// Being answered.
    under_way: Cell<usize>,
}

pub(super) fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// See [`Control::enter`].
pub(super) struct UnderWay(Rc<Control>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let under_way = &self.0.counts.under_way;
        under_way.set(under_way.get() - 1);
    }
}

impl Control {
    /// What was known before is known again, and routed.
    pub(super) fn open(
        options: Options,
        addresses: Vec<SocketAddr>,
    ) -> Result<(Rc<Control>, Store), StartError> {
        let folder = options.folder;
        let (mut store, recovered) = Store::open(folder.clone()).map_err(StartError::State)?;
        for damage in &recovered.damaged {
            tracing::error!(%damage, "a kept announcement is damaged and was set aside");
        }
        let mut entries = Entries::from(recovered.entries);
        let found = entries.len();
        if let Some(known) = options.before.as_ref().map(|before| before.names)
            && known != found
        {
            return Err(StartError::Differs { known, found });
        }
        if let Err(error) = super::import::import(&folder, &mut store, &mut entries) {
            tracing::error!(%error, "the targets of the old core server cannot be taken over");
        }
        let owners = Owners::new(options.owners);
        let table = Table::new(entries, options.publisher, owners.count());
        let control = Rc::new(Control {
            queue: Queue::default(),
            leases: Leases::default(),
            counts: Counts::default(),
            budget: Budget::new(),
            table: RefCell::new(table),
            owners,
            unowned: Notify::new(),
            moving: RefCell::default(),
            changed: Notify::new(),
            folder,
            mirroring: Mutex::new(()),
            holdings: options.holdings,
            mode: options.mode,
            log: options.log,
            hosts: options.hosts,
            serves: options.serves,
            endings: options.endings,
            certificates: options.certificates,
            served: options.served,
            probes: Probes::default(),
            health: Health::default(),
            views: Views::default(),
            view: view::address(&addresses),
            addresses,
            started: Instant::now(),
        });
        for (name, entry) in control.table.borrow().entries().iter() {
            control.watch(name, &entry);
            if entry.from.is_some() {
                control.move_later(&name.into());
            }
        }
        Ok((control, store))
    }

    /// Answers one announcement.
    pub(super) async fn answer(self: &Rc<Self>, text: &[u8], sender: Sender) -> Reply {
        count(&self.counts.received);
        let _under_way = self.enter();
        let answer = match Command::parse(text) {
            Ok(_) if self.counts.under_way.get() > MOST => {
                Err(refusal("busy", "too many announcements at once"))
            }
            Ok(command) => self.carry_out(command, sender).await,
            Err(fault) => Err(Reply::from(&fault)),
        };
        answer.unwrap_or_else(|refusal| {
            count(&self.counts.refused);
            refusal
        })
    }

    /// Counts as something that will be answered, until it is dropped.
    pub(super) fn enter(self: &Rc<Self>) -> UnderWay {
        let under_way = &self.counts.under_way;
        under_way.set(under_way.get() + 1);
        UnderWay(self.clone())
    }

    /// Is something being answered?
    pub(super) fn is_busy(&self) -> bool {
        self.counts.under_way.get() > 0
    }

    async fn carry_out(self: &Rc<Self>, command: Command, sender: Sender) -> Answer {
        match command {
            Command::Add(add) => self.add(add, sender).await,
            Command::Remove(domain) => self.remove(&domain, sender).await,
            Command::List { after } => self.list(after.as_ref()).await,
            Command::Certs(which) => self.certs(&which).await,
            Command::Renew(domain) => self.renew(&domain, sender).await,
            Command::Import(domain) => self.import(&domain).await,
            Command::Status => Ok(self.status().await),
            Command::Ping => Ok(Reply::ok("ping")),
            Command::Shutdown => {
                self.may_end(sender).await?;
                // Nobody listens if the server ends already.
                let _ = self.endings.send(Ending::Shutdown);
                Ok(Reply::ok("shutdown"))
            }
        }
    }

    async fn add(self: &Rc<Self>, add: Add, sender: Sender) -> Answer {
        let name: Arc<str> = name::ascii(&add.domain)?.into();
        let mut entry = self.entry(&add)?;
        let claim = self.claim(&name, &entry, sender).await?;
        // From this look at what there is until the change is in the queue nothing is waited for: nobody comes between.
        let old = self.current(&name);
        if let Some(claim) = claim {
            entry.owner = claim.owner(&name, old.as_ref(), &entry)?;
        }
        let target = entry.target();
        if let Some(old) = old {
            entry.since = old.since;
            entry.from = Some(old.routed())
                .filter(|from| *from != target)
                .map(Box::new);
        }
        self.keep(name.clone(), Some(entry.clone())).await?;
        self.watch(&name, &entry);
        let ready = self.arrive(&name, &target, entry.check.as_deref()).await;
        let waiting = if ready { "" } else { " waiting" };
        Ok(Reply::ok(&format!("add {name} {}{waiting}", target.port)))
    }

    async fn remove(&self, domain: &Domain, sender: Sender) -> Answer {
        let name = name::ascii(domain)?;
        self.may_remove(&name, sender).await?;
        if self.current(&name).is_none() {
            return Err(refusal(
                "unknown-domain",
                &format!("{name} was not announced"),
            ));
        }
        self.keep(Arc::from(&*name), None).await?;
        Ok(Reply::ok(&format!("remove {name}")))
    }

    /// Ends a name whose lease or process has ended, if that is still the entry that it was.
    pub(super) async fn end(&self, name: &Arc<str>, still: impl Fn(&Entry) -> bool) {
        if self.current(name).as_ref().is_some_and(still) {
            match self.keep(name.clone(), None).await {
                Ok(()) => tracing::info!(domain = &**name, "an announcement has run out"),
                Err(reply) => {
                    tracing::error!(domain = &**name, %reply, "an announcement that has run out stays")
                }
            }
        }
    }

    /// What is to be kept of an announcement.
    fn entry(&self, add: &Add) -> Result<Entry, Reply> {
        let host = add.host.map(|host| self.host(host)).transpose()?;
        if host.is_none_or(host::is_ours) && self.is_own_port(add.port) {
            return Err(refusal(
                "own-port",
                &format!("{} is a port of this server", add.port),
            ));
        }
        Ok(Entry {
            port: add.port,
            host,
            from: None,
            owner: None,
            check: add.check.as_deref().map(Box::from),
            // A part of a second counts as a whole one: a lease ends no sooner than it says.
            until: add.ttl.map(|ttl| seconds(SystemTime::now() + ttl) + 1),
            process: add.pid.map(process).transpose()?,
            since: now(),
        })
    }

    /// Another machine that a name is to reach, if that is allowed.
    fn host(&self, host: IpAddr) -> Result<IpAddr, Reply> {
        if !self.hosts {
            return Err(refusal(
                "bad-option",
                "host: other machines need `control.hosts = true`",
            ));
        }
        host::of_one_machine(host)
            .ok_or_else(|| refusal("bad-option", &format!("host: {host} is not one machine")))
    }

    fn is_own_port(&self, port: u16) -> bool {
        let is_ours = |address: &SocketAddr| address.port() == port;
        self.holdings.has_port(port)
            || self.addresses.iter().any(is_ours)
            || port == dream_control::PORT
    }

    /// Makes a change durable, and has every core know it.
    pub(super) async fn keep(&self, name: Arc<str>, entry: Option<Entry>) -> Result<(), Reply> {
        self.queue
            .commit(Change { name, entry })
            .await
            .map_err(|error| {
                let folder = self.folder.path().display();
                refusal("not-kept", &format!("{folder}: {error}"))
            })
    }

    /// The table's, now that they are durable; ends when every core routes by them.
    pub(super) fn apply(&self, changes: Vec<Change>) -> impl Future<Output = ()> + use<> {
        let mut table = self.table.borrow_mut();
        if !changes.is_empty() {
            let added = changes.iter().filter(|change| change.entry.is_some());
            let added: Vec<Arc<str>> = added.map(|change| change.name.clone()).collect();
            for change in changes {
                table.apply(change);
            }
            table.tell();
            // Once they are routed: whoever is told looks whether they are.
            added.iter().for_each(|name| (self.served)(name));
            self.changed.notify_one();
        }
        if table.unowned().is_some_and(|unowned| !unowned.is_empty()) {
            self.unowned.notify_one();
        }
        table.followed()
    }

    /// A copy of what was announced, to be written down on another thread.
    pub(super) fn copy(&self) -> Entries {
        self.table.borrow().entries().clone()
    }
}

/// Why an announcement that can be read is not carried out.
pub(super) fn refusal(code: &'static str, detail: &str) -> Reply {
    Reply::err(code, detail)
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Now, as an entry remembers it.
fn now() -> Option<NonZeroU32> {
    let now = u32::try_from(seconds(SystemTime::now())).ok()?;
    NonZeroU32::new(now)
}

/// The process of this number, if it runs.
fn process(pid: u32) -> Result<Process, Reply> {
    super::process::started(pid)
        .map(|started| Process { pid, started })
        .ok_or_else(|| match cfg!(target_os = "linux") {
            true => refusal("bad-option", &format!("pid: there is no process {pid}")),
            false => refusal("bad-option", "pid: only Linux tells when a process ends"),
        })
}
