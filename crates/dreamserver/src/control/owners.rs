//! Whose a name is, and who may change it.
//!
//! A name belongs to the user whose program listens on its port. Who sends the announcement does not matter, because most
//! senders close their socket at once and cannot be looked up. So anybody may say `add shop.example 5665`, but a name that
//! has an owner goes only where the owner's programs, or root's, listen. What would take a name away — `remove`, an earlier
//! end, another machine — needs a sender who can be looked up: whose socket is open, and who is the owner, root, or the user
//! that this server runs as.

use super::answer::{Control, refusal};
use super::table::Change;
use crate::sockets::{Listener, Sender, Sockets, User};
use crate::state::{Entry, Process, Target};
use dream_control::Reply;
use rustix::process::geteuid;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep;

/// Whether names belong to users, and how that is known.
pub(super) enum Owners {
    /// They belong to everybody.
    Off,
    /// They do.
    On(Known),
    /// They do, but the system tells nothing: what needs an owner is refused.
    Unknown(io::Error),
}

/// What it takes to know it.
pub(super) struct Known {
    sockets: Arc<Sockets>,
    /// Tables of the system are read by one at a time: they are large on a busy machine, and the disk needs a thread too.
    reading: Semaphore,
    /// The user that this server runs as.
    us: User,
}

/// What is known of those who announce a name, at one time.
pub(super) struct Claim {
    /// Whose the port is; for another machine, who says so.
    listener: Listener,
    /// Who says so, if that was looked at.
    speaker: Option<Speaker>,
}

/// Who has sent a command.
struct Speaker {
    /// Nothing if the socket is closed by now.
    user: Option<User>,
    /// The user that this server runs as.
    us: User,
}

impl Owners {
    pub(super) fn new(wanted: bool) -> Owners {
        if !wanted {
            return Owners::Off;
        }
        match Sockets::open() {
            Ok(sockets) => {
                if sockets.is_slow() {
                    tracing::warn!(
                        "whose ports are is read from /proc/net, because sock_diag(7) is not allowed here: this takes longer"
                    );
                }
                Owners::On(Known {
                    sockets: Arc::new(sockets),
                    reading: Semaphore::new(1),
                    us: geteuid().as_raw(),
                })
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "`control.owners` is on, and whose ports are cannot be known here: what is announced is refused"
                );
                Owners::Unknown(error)
            }
        }
    }

    pub(super) fn count(&self) -> bool {
        !matches!(self, Owners::Off)
    }

    fn known(&self) -> io::Result<&Known> {
        match self {
            Owners::On(known) => Ok(known),
            Owners::Off => Err(io::Error::other("owners do not count")),
            Owners::Unknown(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    async fn listener(&self, port: u16) -> Result<Listener, Reply> {
        let known = self.known();
        let listener = match known {
            Ok(known) => known.ask(move |sockets| sockets.listener(port)).await,
            Err(error) => Err(error),
        };
        listener
            .map_err(|error| not_owner(&format!("whose port {port} is cannot be told: {error}")))
    }

    async fn speaker(&self, sender: Sender) -> Result<Speaker, Reply> {
        let speaker = match self.known() {
            Ok(known) => {
                let user = known.ask(move |sockets| sockets.sender(&sender)).await;
                user.map(|user| Speaker { user, us: known.us })
            }
            Err(error) => Err(error),
        };
        speaker.map_err(|error| not_owner(&format!("who says this cannot be told: {error}")))
    }
}

impl Known {
    /// Asks at once what is answered at once, and else on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Sockets) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if !self.sockets.is_slow() {
            return question(&self.sockets);
        }
        let _turn = self.reading.acquire().await;
        let sockets = self.sockets.clone();
        spawn_blocking(move || question(&sockets))
            .await
            .map_err(io::Error::other)?
    }
}

impl Control {
    /// What there is of a name, or will be by a change that is under way.
    pub(super) fn current(&self, name: &str) -> Option<Entry> {
        let entry = || self.table.borrow().entries().get(name);
        self.queue.latest(name).unwrap_or_else(entry)
    }

    /// Looks at who wants a name to be this; nothing where owners do not count.
    pub(super) async fn claim(
        &self,
        name: &str,
        wanted: &Entry,
        sender: Sender,
    ) -> Result<Option<Claim>, Reply> {
        if !self.owners.count() {
            return Ok(None);
        }
        let is_sooner = |old: &Entry| old.owner.is_some() && ends_sooner(old, wanted);
        let matters = wanted.host.is_some() || self.current(name).as_ref().is_some_and(is_sooner);
        let speaker = match matters {
            true => Some(self.owners.speaker(sender).await?),
            false => None,
        };
        let listener = match (wanted.host, &speaker) {
            (Some(_), Some(speaker)) => {
                speaker.check(None, "have a name reach another machine")?;
                speaker.user.into_iter().collect()
            }
            _ => self.owners.listener(wanted.port).await?,
        };
        Ok(Some(Claim { listener, speaker }))
    }

    /// Refuses whoever may not take this name away.
    pub(super) async fn may_remove(&self, name: &str, sender: Sender) -> Result<(), Reply> {
        let owner = || self.current(name).and_then(|entry| entry.owner);
        if !self.owners.count() || owner().is_none() {
            return Ok(());
        }
        let speaker = self.owners.speaker(sender).await?;
        // It may have got another owner meanwhile.
        match owner() {
            Some(owner) => speaker.check(Some(owner), &format!("remove {name}")),
            None => Ok(()),
        }
    }

    /// Refuses whoever may not have something done for this name, which may be one of the configuration: that belongs to nobody.
    pub(super) async fn may_act(
        &self,
        name: &str,
        what: &str,
        sender: Sender,
    ) -> Result<(), Reply> {
        if !self.owners.count() {
            return Ok(());
        }
        let speaker = self.owners.speaker(sender).await?;
        speaker.check(self.current(name).and_then(|entry| entry.owner), what)
    }

    /// Is it known who speaks, where that matters? Whoever is may try to change something.
    pub(super) async fn is_known(&self, sender: Sender) -> bool {
        if !self.owners.count() {
            return true;
        }
        let speaker = self.owners.speaker(sender).await;
        speaker.is_ok_and(|speaker| speaker.user.is_some())
    }

    /// Refuses whoever may not end the server.
    pub(super) async fn may_end(&self, sender: Sender) -> Result<(), Reply> {
        if !self.owners.count() {
            return Ok(());
        }
        let speaker = self.owners.speaker(sender).await?;
        speaker.check(None, "end this server")
    }

    /// May a name go to whoever listens at this target now? The first who does is its owner from then on.
    pub(super) async fn may_go(&self, name: &Arc<str>, target: &Target) -> bool {
        if !self.owners.count() || target.host.is_some() {
            return true;
        }
        let Ok(listener) = self.owners.listener(target.port).await else {
            return false;
        };
        let Some(entry) = self.current(name).filter(|entry| entry.target() == *target) else {
            return false;
        };
        match (entry.owner, listener) {
            (Some(owner), Listener::User(user)) => user == owner || user == ROOT,
            (None, Listener::User(user)) => self.own(name, entry, user).await,
            // Something answers that is not of this machine's own sockets; the name belongs to nobody, so it may.
            (None, Listener::Nobody) => true,
            (Some(_), Listener::Nobody) | (_, Listener::Several) => false,
        }
    }

    /// Gives a name its owner; tells whether that is on the disk.
    async fn own(&self, name: &Arc<str>, entry: Entry, user: User) -> bool {
        let owner = Some(user);
        let owned = self.keep(name.clone(), Some(Entry { owner, ..entry }));
        owned.await.is_ok()
    }

    /// Gives the names that wait for a port to the user who listens there.
    async fn own_all(&self, port: u16, user: User) {
        let names = match self.table.borrow().unowned() {
            Some(unowned) => unowned.get(&port).cloned().unwrap_or_default(),
            None => return,
        };
        let names: Vec<Arc<str>> = names.into_iter().collect();
        for names in names.chunks(TOGETHER) {
            // All of them are in the queue before the first is waited for, so that they share a turn of the disk.
            let commits: Vec<_> = names
                .iter()
                .filter_map(|name| {
                    let entry = self.current(name)?;
                    let waits = entry.owner.is_none() && entry.host.is_none() && entry.port == port;
                    let owner = Some(user);
                    let entry = Some(Entry { owner, ..entry }).filter(|_| waits)?;
                    self.queue
                        .push(Change {
                            name: name.clone(),
                            entry: Some(entry),
                        })
                        .ok()
                })
                .collect();
            for commit in commits {
                // What could not be kept is tried again.
                let _ = commit.await;
            }
        }
    }
}

/// Gives names their owner as soon as somebody listens on their port.
pub(super) async fn follow(control: Rc<Control>) {
    if !control.owners.count() {
        return;
    }
    loop {
        let begun = Instant::now();
        let ports: Vec<u16> = match control.table.borrow().unowned() {
            Some(unowned) => unowned.keys().copied().collect(),
            None => return,
        };
        if ports.is_empty() {
            control.unowned.notified().await;
            continue;
        }
        for port in ports {
            if let Ok(Listener::User(user)) = control.owners.listener(port).await {
                control.own_all(port, user).await;
            }
            yield_now().await;
        }
        sleep(PAUSE.max(begun.elapsed() * SHARE)).await;
    }
}

/// Between two looks for owners: until then anybody can take the name over …
const PAUSE: Duration = Duration::from_millis(100);
/// … and many ports take no more than one part in so many of the time.
const SHARE: u32 = 20;
/// So many names get their owner by one turn of the disk.
const TOGETHER: usize = 1000;

impl Claim {
    /// The owner that a name has when this is done to it.
    ///
    /// # Errors
    /// It may not be done.
    pub(super) fn owner(
        &self,
        name: &str,
        old: Option<&Entry>,
        wanted: &Entry,
    ) -> Result<Option<User>, Reply> {
        let port = wanted.port;
        let owner = old.and_then(|old| old.owner);
        let user = match self.listener {
            Listener::Nobody => return self.end(name, old, wanted, owner),
            Listener::User(user) => user,
            Listener::Several => {
                return Err(not_owner(&format!(
                    "port {port} is one user's on 127.0.0.1 and another's on ::1"
                )));
            }
        };
        let may = owner.is_none_or(|owner| user == owner || user == ROOT)
            // Who may have a name reach another machine was looked at.
            || wanted.host.is_some();
        match may {
            true => self.end(name, old, wanted, owner.or(Some(user))),
            false => Err(not_owner(&format!(
                "{name} belongs to user {}, and port {port} to user {user}",
                owner.unwrap_or(user)
            ))),
        }
    }

    /// A name that has an owner ends no sooner than it would have, unless the owner says so.
    fn end(
        &self,
        name: &str,
        old: Option<&Entry>,
        wanted: &Entry,
        owner: Option<User>,
    ) -> Result<Option<User>, Reply> {
        let is_sooner = |old: &&Entry| old.owner.is_some() && ends_sooner(old, wanted);
        if old.filter(is_sooner).is_some() {
            let what = format!("have {name} end sooner");
            match &self.speaker {
                Some(speaker) => speaker.check(owner, &what)?,
                None => return Err(unknown(&what)),
            }
        }
        Ok(owner)
    }
}

/// Would this end a name before its time?
fn ends_sooner(old: &Entry, wanted: &Entry) -> bool {
    let by_time = match (old.until, wanted.until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(old), Some(wanted)) => wanted < old,
    };
    let by_process = match (old.process, wanted.process) {
        (_, None) => false,
        (None, Some(_)) => true,
        // A program that takes over from another of the same user.
        (Some(old_process), Some(process)) => {
            old_process != process
                && !user_of(process).is_some_and(|user| user == ROOT || Some(user) == old.owner)
        }
    };
    by_time || by_process
}

fn user_of(process: Process) -> Option<User> {
    let process = std::fs::metadata(format!("/proc/{}", process.pid)).ok()?;
    Some(process.uid())
}

impl Speaker {
    /// May this one do what only the owner, root and our own user may?
    fn check(&self, owner: Option<User>, what: &str) -> Result<(), Reply> {
        let user = self.user.ok_or_else(|| unknown(what))?;
        if user == ROOT || user == self.us || Some(user) == owner {
            return Ok(());
        }
        let mut others: Vec<User> = owner.into_iter().chain([self.us]).collect();
        others.retain(|user| *user != ROOT);
        others.dedup();
        let others = others.iter().map(|user| format!(" and user {user}"));
        Err(not_owner(&format!(
            "only root{} may {what}, and this comes from user {user}",
            others.collect::<String>()
        )))
    }
}

fn unknown(what: &str) -> Reply {
    not_owner(&format!(
        "who wants to {what} is not known: keep the socket open until the reply is there"
    ))
}

fn not_owner(detail: &str) -> Reply {
    refusal("not-owner", detail)
}

/// May do everything anyway.
const ROOT: User = 0;
