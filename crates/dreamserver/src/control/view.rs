//! What the live view asks: samples of the names, and changes.
//!
//! Names are looked at once a second, only while somebody watches, and once for all who look for the same. However many names
//! there are, a sample shows a bounded number of them.

use super::answer::Control;
use super::certs::described;
use super::page::{age, health_text};
use crate::acme::Which;
use crate::admin::{Ask, Certificates, Door, Ends, Failure, Name, Names, Samples};
use crate::metrics::{LastFailure, Sum};
use crate::sockets::{Protocol, Sender};
use crate::state::{Entry, Target};
use bytes::Bytes;
use dream_control::Reply;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::{spawn_local, yield_now};
use tokio::time::sleep;

/// Browsers that wait for an answer; more wait to be heard.
const ASKS: usize = 64;
/// Between two samples.
const PAUSE: Duration = Duration::from_secs(1);
/// Names of a sample: more than a person reads, and a moment's work.
const SHOWN: usize = 200;
/// What is told of late is told of so many samples.
const WINDOW: usize = 5;
/// After so many names that do not match, others have their turn.
const SLICE: usize = 2000;
/// Looking through the names takes no more than one part in so many of the time.
const SHARE: u32 = 20;

/// Who looks for what.
#[derive(Default)]
pub(super) struct Views(RefCell<HashMap<String, watch::Sender<Option<Bytes>>>>);

/// Opens the view, if the system lets us.
pub(super) fn open(control: &Rc<Control>) -> Option<Rc<Door>> {
    let (asks, asked) = mpsc::channel(ASKS);
    match Door::new(asks) {
        Ok(door) => {
            spawn_local(answer(control.clone(), asked));
            Some(door)
        }
        Err(error) => {
            tracing::error!(%error, "there is no live view");
            None
        }
    }
}

/// Answers what the view asks.
async fn answer(control: Rc<Control>, mut asks: mpsc::Receiver<Ask>) {
    while let Some(ask) = asks.recv().await {
        // Nobody may wait for an answer any more.
        match ask {
            Ask::Follow(filter, answer) => drop(answer.send(control.follow(filter))),
            Ask::MayChange(ends, answer) => {
                let control = control.clone();
                spawn_local(async move { answer.send(control.may_change(ends).await) });
            }
            Ask::Say(line, ends, answer) => {
                let control = control.clone();
                spawn_local(async move { answer.send(control.say(&line, ends).await) });
            }
        }
    }
}

/// The address as a browser opens it.
pub(super) fn address(addresses: &[SocketAddr]) -> String {
    match addresses {
        [first, ..] => format!("http://localhost:{}/", first.port()),
        [] => String::new(),
    }
}

impl Control {
    /// May this browser's user change something? What exactly, is seen when it wants to.
    async fn may_change(&self, ends: Ends) -> bool {
        self.is_known(sender(ends)).await
    }

    /// An announcement from a browser is one like any other, by the user that the browser runs as.
    async fn say(self: &Rc<Self>, line: &[u8], ends: Ends) -> Reply {
        self.answer(line, sender(ends)).await
    }

    fn follow(self: &Rc<Self>, filter: String) -> Samples {
        let mut views = self.views.0.borrow_mut();
        if let Some(sender) = views.get(&filter) {
            return sender.subscribe();
        }
        let (sender, samples) = watch::channel(None);
        views.insert(filter.clone(), sender);
        spawn_local(self.clone().sample(filter));
        samples
    }

    /// Takes samples as long as anybody is there to see them.
    async fn sample(self: Rc<Self>, filter: String) {
        let mut finder = Finder::new(filter);
        let mut recent = Recent::default();
        loop {
            finder.find(&self).await;
            self.until_seen(&self.targets(&finder.found)).await;
            let certificates = self.sample_certificates(&finder.filter).await;
            let names = Names {
                certificates,
                total: self.table.borrow().entries().len(),
                matching: finder.matching,
                names: self.describe(&finder.found, &mut recent),
            };
            let sample = serde_json::to_vec(&names).unwrap_or_default();
            let views = &self.views.0;
            if let Some(sender) = views.borrow().get(&finder.filter) {
                sender.send_replace(Some(sample.into()));
            }
            sleep(PAUSE).await;
            let is_watched = |sender: &watch::Sender<_>| sender.receiver_count() > 0;
            if !views.borrow().get(&finder.filter).is_some_and(is_watched) {
                views.borrow_mut().remove(&finder.filter);
                return;
            }
        }
    }

    async fn sample_certificates(&self, filter: &str) -> Certificates {
        let wanted = Which::Matching(filter.to_owned());
        let listed = self.certificates.find(&wanted, SHOWN).await;
        Certificates {
            total: listed.total,
            rows: listed.rows.iter().map(described).collect(),
        }
    }

    fn targets(&self, found: &[Arc<str>]) -> Vec<Target> {
        let table = self.table.borrow();
        let entries = found.iter().filter_map(|name| table.entries().get(name));
        entries.map(|entry| entry.target()).collect()
    }

    fn describe(self: &Rc<Self>, found: &[Arc<str>], recent: &mut Recent) -> Vec<Name> {
        let table = self.table.borrow();
        let mut before = std::mem::take(&mut recent.0);
        let known = found
            .iter()
            .filter_map(|name| Some((name, table.entries().get(name)?)));
        let described = known.map(|(name, entry)| {
            let sum = table.counted(name);
            let mut moments = before.remove(name).unwrap_or_default();
            moments.push_back((Instant::now(), sum.clone()));
            if moments.len() > WINDOW + 1 {
                moments.pop_front();
            }
            let waiting = entry.from.is_some();
            let health = self.look(&entry.target()).map(health_text);
            let name_now = Name {
                health,
                waiting,
                ..describe(name, &entry, sum, &moments)
            };
            recent.0.insert(name.clone(), moments);
            name_now
        });
        described.collect()
    }
}

fn sender(ends: Ends) -> Sender {
    Sender {
        protocol: Protocol::Tcp,
        address: ends.remote,
        ours: ends.local,
    }
}

/// What was counted of each name that was shown, in the last few samples.
#[derive(Default)]
struct Recent(HashMap<Arc<str>, Moments>);

type Moments = VecDeque<(Instant, Sum)>;

fn describe(name: &str, entry: &Entry, sum: Sum, moments: &Moments) -> Name {
    let (span, of_late) = match moments.front() {
        Some((begun, before)) => (begun.elapsed(), sum.since(before)),
        None => (Duration::ZERO, Sum::default()),
    };
    let rate = match span >= PAUSE / 2 {
        true => of_late.requests() as f64 / span.as_secs_f64(),
        false => 0.0,
    };
    let millis = |share| {
        let within = of_late.latencies.within(share)?;
        Some(rounded(within.as_secs_f64() * 1000.0))
    };
    Name {
        domain: name.into(),
        port: entry.port,
        host: entry.host.map(|host| host.to_string()),
        owner: entry.owner,
        age: age(entry),
        requests: sum.requests(),
        failed: sum.failed,
        rate: rounded(rate),
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
        failure: sum.last_failure.map(failure),
        ..Name::default()
    }
}

/// Nobody reads more than two digits behind the point.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn failure(failure: LastFailure) -> Failure {
    let since = failure.when.duration_since(SystemTime::UNIX_EPOCH);
    Failure {
        when: since.map_or(0, |since| since.as_millis() as u64),
        status: failure.status,
        text: failure.text,
    }
}

/// Looks for names; again only when the table has changed, and not all the time.
struct Finder {
    filter: String,
    found: Vec<Arc<str>>,
    matching: usize,
    /// The version of the table that was looked through.
    version: Option<u64>,
    /// Not before this time again.
    next: Instant,
}

impl Finder {
    fn new(filter: String) -> Finder {
        Finder {
            filter,
            found: Vec::new(),
            matching: 0,
            version: None,
            next: Instant::now(),
        }
    }

    async fn find(&mut self, control: &Control) {
        let version = control.table.borrow().version();
        if self.version == Some(version) || Instant::now() < self.next {
            return;
        }
        let begun = Instant::now();
        self.version = Some(version);
        self.found.clear();
        self.matching = 0;
        if self.filter.is_empty() {
            self.take_first(control);
            return;
        }
        let mut last: Option<Arc<str>> = None;
        loop {
            last = self.find_slice(control, last.as_deref());
            if last.is_none() {
                break;
            }
            yield_now().await;
        }
        self.next = Instant::now() + begun.elapsed() * SHARE;
    }

    fn take_first(&mut self, control: &Control) {
        let table = control.table.borrow();
        let entries = table.entries();
        let names = entries.iter().map(|(name, _)| name.into());
        self.found.extend(names.take(SHOWN));
        self.matching = entries.len();
    }

    /// Looks through some names behind `after`; gives the last of them if there may be more.
    fn find_slice(&mut self, control: &Control, after: Option<&str>) -> Option<Arc<str>> {
        let table = control.table.borrow();
        let rest = table.entries().behind(after.unwrap_or_default());
        let (mut last, mut seen) = (None, 0);
        for (name, entry) in rest.take(SLICE) {
            if self.matches(name, &entry) {
                self.matching += 1;
                if self.found.len() < SHOWN {
                    self.found.push(name.into());
                }
            }
            (last, seen) = (Some(name), seen + 1);
        }
        last.filter(|_| seen == SLICE).map(Arc::from)
    }

    /// The filter is a part of the name, or the port.
    fn matches(&self, name: &str, entry: &Entry) -> bool {
        name.contains(&self.filter) || self.filter.parse() == Ok(entry.port)
    }
}
