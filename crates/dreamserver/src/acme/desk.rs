//! The office's desk: knows every name, says what is to be done for it, and when.
//!
//! Everything happens on one thread, one event after the other; what takes time is a task that reports when it ends.

use super::cache::Cache;
use super::certify::{Advice, advice, certify, is_permitted};
use super::entry::{Certificate, Entry, Known, Progress, Waiting, chance};
use super::failure::{Cause, Failure, Trouble};
use super::folder::{Kind, Stored};
use super::order::Given;
use super::{Announce, Opening, Order, Permission, Refusal, Row, Shop, Want, renewal};
use crate::credential::Credential;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

mod import;
mod listing;

pub(super) struct Desk {
    shop: Rc<Shop>,
    announce: Announce,
    names: BTreeMap<Arc<str>, Entry>,
    /// The names that something is to be done for, by the time. Each stands here at most once, at [`Entry::due`].
    due: BTreeSet<(SystemTime, Arc<str>)>,
    /// The names whose attempts wait for a seat.
    queue: VecDeque<Arc<str>>,
    work: JoinSet<Done>,
    /// The name of each task.
    tasks: HashMap<Id, Arc<str>>,
    /// Certificates that nobody has looked at since the start.
    unread: Vec<Arc<str>>,
    /// When those who wait will have waited for long enough, in the order of their coming.
    patience: VecDeque<(Instant, Arc<str>)>,
    cache: Cache,
}

/// What a task has done.
enum Done {
    Attempt(Arc<str>, Attempt),
    Asked(Arc<str>, Option<Advice>),
}

/// How an attempt ended.
enum Attempt {
    Given(Box<Given>),
    Failed(Failure),
    /// Nothing is served by the name, says who should know.
    NotServed,
}

impl Desk {
    /// Opens the folder. Only the names in it are read, so that many of them take no time.
    pub(super) fn open(opening: Opening) -> io::Result<Desk> {
        let (shop, announce) = Shop::open(opening)?;
        let mut desk = Desk {
            shop: Rc::new(shop),
            announce,
            names: BTreeMap::new(),
            due: BTreeSet::new(),
            queue: VecDeque::new(),
            work: JoinSet::new(),
            tasks: HashMap::new(),
            unread: Vec::new(),
            patience: VecDeque::new(),
            cache: Cache::default(),
        };
        desk.import_all()?;
        let folder = desk.shop.folder.clone();
        for name in folder.names(Kind::Certificates)? {
            let name: Arc<str> = name.into();
            let entry = desk.entry(&name);
            if matches!(entry.certificate, Certificate::None) {
                entry.certificate = Certificate::Unread;
                desk.unread.push(name);
            }
        }
        for name in folder.names(Kind::Failures)? {
            let name: Arc<str> = name.into();
            desk.entry(&name).trouble = folder.trouble(&name).map(Box::new);
            desk.schedule(&name);
        }
        for name in folder.names(Kind::Orders)? {
            desk.added(&name.into());
        }
        Ok(desk)
    }

    /// Serves until it is told to stop, or nobody is left who could tell it anything.
    pub(super) async fn serve(
        mut self,
        mut wanted: mpsc::Receiver<Want>,
        mut ordered: mpsc::UnboundedReceiver<Order>,
    ) {
        loop {
            self.start_queued();
            let next = self.due.first().map(|(time, _)| *time);
            let clock = self.shop.clock.clone();
            let tired = self.patience.front().map(|(until, _)| *until);
            tokio::select! {
                order = ordered.recv() => match order {
                    Some(Order::Stop) | None => return,
                    Some(order) => self.obey(order),
                },
                Some(want) = wanted.recv() => self.want(want),
                Some(done) = self.work.join_next_with_id() => match done {
                    Ok((task, done)) => {
                        self.tasks.remove(&task);
                        self.done(done);
                    }
                    Err(error) => self.broke(&error),
                },
                () = until(tired) => self.give_up(),
                () = async { clock.until(next.unwrap_or(SystemTime::UNIX_EPOCH)).await }, if next.is_some() => self.attend(),
                () = sleep(READ_PAUSE), if !self.unread.is_empty() => self.read_some(),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Added(name) => self.added(&name.into()),
            Order::Renew(name, reply) => self.renew(&name.into(), reply),
            Order::List(reply) => {
                let _ = reply.send(self.list());
            }
            Order::Find(wanted, most, reply) => {
                let _ = reply.send(self.find(&wanted, most));
            }
            Order::Pressing(most, reply) => {
                let _ = reply.send(self.pressing(most));
            }
            Order::Import(name, reply) => {
                let _ = reply.send(self.import(&name.into()));
            }
            Order::Stop => {}
        }
    }

    /// Somebody wants the certificate of a name that is served.
    fn want(&mut self, want: Want) {
        let name: Arc<str> = want.name.into();
        if let Some(credential) = self.valid(&name) {
            let _ = want.reply.send(Ok(credential));
            return;
        }
        let now = self.shop.clock.now();
        let is_exact = want.permission == Permission::Exact;
        let entry = self.names.get(&name);
        let rests = entry
            .and_then(|entry| entry.trouble.as_ref())
            .is_some_and(|trouble| trouble.next > now);
        let is_under_way = entry.is_some_and(|entry| entry.progress != Progress::Idle);
        let told = entry.and_then(Entry::refusal);
        let refusal = if rests && !is_under_way {
            told
        } else if !self.shop.options.enabled {
            Some(Refusal::Disabled)
        } else if self.is_full() || (!is_exact && self.queue.len() >= QUEUED) {
            Some(Refusal::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            let _ = want.reply.send(Err(refusal));
            return;
        }
        self.wait(&name, want.reply);
        self.enqueue(&name, true);
    }

    /// A name is served from now on.
    fn added(&mut self, name: &Arc<str>) {
        let entry = self.entry(name);
        let has_none = matches!(entry.certificate, Certificate::None) && entry.trouble.is_none();
        match has_none {
            true => self.enqueue(name, false),
            // It may have been away when something was to be done for it.
            false => self.schedule(name),
        }
    }

    fn renew(&mut self, name: &Arc<str>, reply: oneshot::Sender<Result<Credential, Refusal>>) {
        if !self.shop.options.enabled {
            let _ = reply.send(Err(Refusal::Disabled));
            return;
        }
        self.wait(name, reply);
        self.enqueue(name, true);
    }

    fn list(&self) -> Vec<Row> {
        let names = self.names.iter();
        names.map(|(name, entry)| entry.row(name)).collect()
    }

    /// The certificate that is kept, if it has not ended.
    fn valid(&mut self, name: &Arc<str>) -> Option<Credential> {
        let now = self.shop.clock.now();
        let is_valid = |credential: &Credential| credential.not_after() > now;
        if let Some(credential) = self.cache.find(name) {
            return Some(credential.clone()).filter(is_valid);
        }
        match self.names.get(name)?.certificate {
            Certificate::None => None,
            Certificate::Unread | Certificate::Known(_) => {
                let stored = self.read(name)?;
                self.cache.put(name, stored.credential.clone());
                Some(stored.credential).filter(is_valid)
            }
        }
    }

    /// Looks at the file of a certificate.
    fn read(&mut self, name: &Arc<str>) -> Option<Stored> {
        let ask = self.shop.clock.now();
        let within = ASK_EVERY
            .saturating_mul(u32::try_from(self.names.len()).unwrap_or(u32::MAX))
            .min(renewal::ASK);
        let stored = self.shop.folder.certificate(name);
        let entry = self.entry(name);
        match (&stored, &entry.certificate) {
            (None, _) => entry.certificate = Certificate::None,
            (Some(_), Certificate::Known(_)) => {}
            (Some(stored), _) => {
                let ask = ask + within.mul_f64(chance(&stored.credential));
                entry.certificate = Certificate::Known(Known::of(stored, ask));
            }
        }
        self.schedule(name);
        stored
    }

    /// Looks at a few files that nobody has looked at yet, so that what is in them is renewed in time.
    fn read_some(&mut self) {
        let now = self.shop.clock.now();
        for _ in 0..READ_AT_ONCE {
            let Some(name) = self.unread.pop() else {
                return;
            };
            let is_unread = |entry: &Entry| matches!(entry.certificate, Certificate::Unread);
            // A damaged one was set aside, and is to be ordered anew.
            if self.names.get(&name).is_some_and(is_unread)
                && self.read(&name).is_none()
                && self.is_served(&name)
            {
                self.put_off(&name, now);
            }
        }
    }

    fn is_served(&self, name: &str) -> bool {
        (self.shop.permit)(name) != Permission::No
    }

    /// Something is to be done for the name at this time, if it is not already planned.
    fn put_off(&mut self, name: &Arc<str>, time: SystemTime) {
        self.schedule(name);
        let entry = self.names.entry(name.clone()).or_default();
        if entry.due.is_none() && entry.progress == Progress::Idle {
            entry.due = Some(time);
            self.due.insert((time, name.clone()));
        }
    }

    /// Do too many wait? Those who were answered already do not count.
    fn is_full(&mut self) -> bool {
        if self.patience.len() >= WAITING {
            let names = &self.names;
            let waits = |name: &Arc<str>| {
                names
                    .get(name)
                    .is_some_and(|entry| !entry.waiting.is_empty())
            };
            self.patience.retain(|(_, name)| waits(name));
        }
        self.patience.len() >= WAITING
    }

    fn wait(&mut self, name: &Arc<str>, reply: oneshot::Sender<Result<Credential, Refusal>>) {
        let until = Instant::now() + self.shop.options.wait;
        self.entry(name).waiting.push(Waiting { until, reply });
        self.patience.push_back((until, name.clone()));
    }

    /// Those who have waited for long enough hear that it takes longer.
    fn give_up(&mut self) {
        let now = Instant::now();
        while let Some((_, name)) = self.patience.pop_front_if(|(until, _)| *until <= now) {
            let count = self
                .names
                .get_mut(&name)
                .map_or(0, |entry| entry.give_up(now));
            if count > 0 {
                tracing::warn!(
                    name = &*name,
                    count,
                    "handshakes have waited for a certificate, and it takes longer"
                );
            }
        }
    }

    /// What is due is done.
    fn attend(&mut self) {
        let now = self.shop.clock.now();
        while self.due.first().is_some_and(|(time, _)| *time <= now) {
            let Some((_, name)) = self.due.pop_first() else {
                return;
            };
            let entry = self.entry(&name);
            entry.due = None;
            let asks = match (&entry.trouble, &entry.certificate) {
                (None, Certificate::Known(known)) => known.renewal > now,
                _ => false,
            };
            if !self.is_served(&name) {
                // It may come again, and is then looked at.
                continue;
            }
            match asks {
                true => self.ask(&name),
                false => self.enqueue(&name, false),
            }
        }
    }

    /// Asks the authority when to renew.
    fn ask(&mut self, name: &Arc<str>) {
        self.entry(name).progress = Progress::Asking;
        let shop = self.shop.clone();
        self.spawn(name, async move |name| {
            let advice = match shop.folder.certificate(&name) {
                Some(stored) => ask(&shop, &stored).await,
                None => None,
            };
            Done::Asked(name, advice)
        });
    }

    /// Gives the name a place in the queue: the first if somebody waits for it.
    fn enqueue(&mut self, name: &Arc<str>, is_waited_for: bool) {
        if !self.shop.options.enabled {
            return;
        }
        let entry = self.entry(name);
        match (entry.progress, is_waited_for) {
            (Progress::Running, _) | (Progress::Queued, false) => return,
            (Progress::Queued, true) if self.queue.front() == Some(name) => return,
            _ => {}
        }
        self.entry(name).progress = Progress::Queued;
        self.schedule(name);
        // One that was in the queue already is passed over there when it comes to its old place.
        match is_waited_for {
            true => self.queue.push_front(name.clone()),
            false => self.queue.push_back(name.clone()),
        }
    }

    /// Begins the attempts that there are seats for.
    fn start_queued(&mut self) {
        while self.work.len() < SEATS {
            let Some(name) = self.queue.pop_front() else {
                return;
            };
            let is_queued = |entry: &Entry| entry.progress == Progress::Queued;
            if !self.names.get(&name).is_some_and(is_queued) {
                continue;
            }
            self.entry(&name).progress = Progress::Running;
            let shop = self.shop.clone();
            self.spawn(&name, async move |name| {
                let attempt = attempt(&shop, &name).await;
                Done::Attempt(name, attempt)
            });
        }
    }

    fn spawn(&mut self, name: &Arc<str>, work: impl AsyncFnOnce(Arc<str>) -> Done + 'static) {
        let of = name.clone();
        let task = self.work.spawn_local(async move { work(of).await });
        self.tasks.insert(task.id(), name.clone());
    }

    /// A task did not end as it should: its name must not wait for it forever.
    fn broke(&mut self, error: &JoinError) {
        if let Some(name) = self.tasks.remove(&error.id()) {
            self.entry(&name).progress = Progress::Idle;
            let text = format!("a fault of this server: {error}");
            self.failed(&name, &Failure::new(Cause::Own, text, "please report this"));
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Attempt(name, attempt) => {
                self.entry(&name).progress = Progress::Idle;
                match attempt {
                    Attempt::Given(given) => self.given(&name, *given),
                    Attempt::Failed(failure) => self.failed(&name, &failure),
                    Attempt::NotServed => self.not_served(&name),
                }
            }
            Done::Asked(name, advice) => self.asked(&name, advice),
        }
    }

    fn given(&mut self, name: &Arc<str>, given: Given) {
        let now = self.shop.clock.now();
        let Given {
            credential,
            directory,
            way,
        } = given;
        let until = httpdate::fmt_http_date(credential.not_after());
        tracing::info!(
            name = &**name,
            issuer = credential.issuer(),
            until,
            "a certificate has come"
        );
        self.cache.put(name, credential.clone());
        let stored = Stored {
            credential: credential.clone(),
            directory: Some(directory),
            way,
        };
        let mut known = Known::of(&stored, now);
        known.not_before = now + BREATH;
        known.renew_at(known.renewal);
        let entry = self.entry(name);
        entry.certificate = Certificate::Known(known);
        if entry.trouble.take().is_some() {
            self.forget_trouble(name);
        }
        (self.announce)(name, &credential);
        self.entry(name).answer(&Ok(credential));
        self.schedule(name);
    }

    fn failed(&mut self, name: &Arc<str>, failure: &Failure) {
        let now = self.shop.clock.now();
        let entry = self.entry(name);
        let failures = entry
            .trouble
            .as_ref()
            .map_or(0, |trouble| trouble.failures)
            .saturating_add(1);
        let pause = renewal::pause(failures, renewal::chance(name.as_bytes()));
        let next = (now + pause).max(failure.not_before.unwrap_or(now));
        let trouble = Trouble::after(failures, failure, next);
        tracing::warn!(
            name = &**name,
            failures,
            next = httpdate::fmt_http_date(next),
            advice = failure.advice,
            "there is no certificate: {failure}"
        );
        entry.trouble = Some(Box::new(trouble.clone()));
        if let Some(refusal) = entry.refusal() {
            entry.answer(&Err(refusal));
        }
        self.schedule(name);
        if let Err(error) = self.shop.folder.write_json(Kind::Failures, name, &trouble) {
            tracing::warn!(%error, name = &**name, "a failure cannot be kept");
        }
    }

    /// Whoever serves the wildcard does not know of the name, or it is served no longer: nothing is kept of names that anybody
    /// can think of.
    fn not_served(&mut self, name: &Arc<str>) {
        let entry = self.entry(name);
        entry.answer(&Err(Refusal::NotServed));
        let had_trouble = entry.trouble.take().is_some();
        let is_bare = matches!(entry.certificate, Certificate::None);
        if had_trouble {
            self.forget_trouble(name);
        }
        self.unschedule(name);
        if is_bare {
            self.names.remove(name);
            if let Err(error) = self.shop.folder.remove(Kind::Orders, name) {
                tracing::warn!(%error, name = &**name, "an order that nobody needs cannot be removed");
            }
        }
    }

    fn asked(&mut self, name: &Arc<str>, advice: Option<Advice>) {
        let now = self.shop.clock.now();
        let credential = self.cache.find(name).cloned();
        let credential =
            credential.or_else(|| Some(self.shop.folder.certificate(name)?.credential));
        let entry = self.entry(name);
        if entry.progress == Progress::Asking {
            entry.progress = Progress::Idle;
        }
        if let Certificate::Known(known) = &mut entry.certificate {
            known.ask = now + advice.as_ref().map_or(renewal::ASK, |advice| advice.again);
            let span = advice.and_then(|advice| advice.span);
            if let (Some(span), Some(credential)) = (span, credential) {
                known.renew_at(renewal::moment(span, chance(&credential)));
            }
        }
        self.schedule(name);
    }

    fn forget_trouble(&mut self, name: &str) {
        if let Err(error) = self.shop.folder.remove(Kind::Failures, name) {
            tracing::warn!(%error, name, "a failure that is over cannot be removed");
        }
    }

    /// Puts the name where it belongs among those that something is to be done for.
    fn schedule(&mut self, name: &Arc<str>) {
        self.unschedule(name);
        let entry = self.names.entry(name.clone()).or_default();
        entry.due = entry.next();
        if let Some(time) = entry.due {
            self.due.insert((time, name.clone()));
        }
    }

    fn unschedule(&mut self, name: &Arc<str>) {
        if let Some(time) = self.names.get_mut(name).and_then(|entry| entry.due.take()) {
            self.due.remove(&(time, name.clone()));
        }
    }

    fn entry(&mut self, name: &Arc<str>) -> &mut Entry {
        self.names.entry(name.clone()).or_default()
    }
}

async fn attempt(shop: &Shop, name: &str) -> Attempt {
    let permission = (shop.permit)(name);
    if !is_permitted(permission, name).await {
        return Attempt::NotServed;
    }
    let before = shop.folder.certificate(name);
    match certify(shop, name, before.as_ref()).await {
        Ok(given) => Attempt::Given(Box::new(given)),
        Err(failure) => Attempt::Failed(failure),
    }
}

async fn ask(shop: &Shop, stored: &Stored) -> Option<Advice> {
    let directory = stored.directory.as_ref()?;
    let leaf = stored.credential.certified().cert.first()?;
    Some(advice(shop, directory, leaf).await)
}

/// Ends at that time, or never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Attempts that are under way at once: an order takes seconds of waiting, and no authority wants hundreds from one client.
const SEATS: usize = 16;
/// Handshakes that wait at once; each keeps a connection.
const WAITING: usize = 10_000;
/// Names below wildcards that wait for their turn: anybody can think of more.
const QUEUED: usize = 1000;
/// Certificates that are looked at in one go, and the pause after it: 100,000 take some minutes, and nobody notices.
const READ_AT_ONCE: usize = 10;
const READ_PAUSE: Duration = Duration::from_millis(20);
/// After a start, authorities are asked when to renew so often on average.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A new certificate is not renewed before.
const BREATH: Duration = Duration::from_secs(3600);
