//! The control plane's way into the data plane: dynamic routes, and the announced names that lead to them.
//!
//! A core is woken for the names that are published and takes the latest, however many there were since it looked: a burst of
//! changes fills no mailbox. Nothing here touches the configuration's snapshots, nor do reloads touch the names.

use super::build;
use crate::acme::Check;
use crate::address::EndpointAddress;
use crate::metrics::{Meter, Metrics};
use crate::serve::{Announced, Core, Route};
use crate::upstream::Registry;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// Publishes names to all cores; for the one thread that hears announcements.
pub struct Publisher {
    registry: Registry,
    metrics: Arc<Metrics>,
    names: watch::Sender<Version>,
    checks: Checks,
    /// The version that each core routes by.
    followers: Vec<watch::Receiver<u64>>,
    /// What was published before and a core or an exchange may still use: freed here and not on a core.
    retired: Vec<Arc<Announced>>,
    /// With so many retired ones it is time to look which are used.
    sweep_at: usize,
}

/// What is published, and how many times there was something before.
#[derive(Default)]
struct Version {
    number: u64,
    names: Option<Arc<Announced>>,
}

/// What a core learns new names from, and counts their exchanges with.
pub(super) struct Subscription {
    pub(super) news: News,
    pub(super) meter: Meter,
}

/// What a core learns new names from.
pub(super) struct News {
    names: watch::Receiver<Version>,
    follows: watch::Sender<u64>,
}

/// A look at what was published last, from any thread.
#[derive(Clone)]
pub(super) struct Latest {
    names: watch::Receiver<Version>,
    checks: Checks,
}

/// Whom to ask which names there are below an announced wildcard, by the wildcard.
type Checks = Arc<RwLock<HashMap<Box<str>, Check>>>;

impl Latest {
    /// Nothing where no announcements are taken.
    pub(super) fn get(&self) -> Option<Arc<Announced>> {
        self.names.borrow().names.clone()
    }

    /// Whom to ask about names below this wildcard.
    pub(super) fn check(&self, wildcard: &str) -> Option<Check> {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        checks.get(wildcard).cloned()
    }
}

impl Publisher {
    /// What was published last, whenever somebody looks.
    pub(super) fn latest(&self) -> Latest {
        Latest {
            names: self.names.subscribe(),
            checks: self.checks.clone(),
        }
    }

    /// From now on, this is who is asked which names there are below an announced wildcard, for their certificates.
    pub fn set_check(&self, wildcard: &str, check: Option<Check>) {
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        match check {
            Some(check) => checks.insert(wildcard.into(), check),
            None => checks.remove(wildcard),
        };
    }

    /// A publisher, and the subscriptions of so many cores. Announcements are off until names are published.
    pub(super) fn new(registry: &Registry, cores: usize) -> (Publisher, Vec<Subscription>) {
        let (sender, names) = watch::channel(Version::default());
        let (metrics, meters) = Metrics::new(cores);
        let (subscriptions, followers) = meters
            .into_iter()
            .map(|meter| {
                let (follows, follower) = watch::channel(0);
                let names = names.clone();
                let news = News { names, follows };
                (Subscription { news, meter }, follower)
            })
            .unzip();
        let publisher = Publisher {
            registry: registry.clone(),
            metrics,
            names: sender,
            checks: Checks::default(),
            followers,
            retired: Vec::new(),
            sweep_at: SWEEP_AT,
        };
        (publisher, subscriptions)
    }

    /// What the cores count of each name.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The dynamic route to `target`, which does what a site with `proxy` and nothing else does. Names that lead to the
    /// same place should share one.
    pub fn route(&self, target: &EndpointAddress) -> Arc<Route> {
        Arc::new(build::dynamic_route(target, &self.registry))
    }

    /// Has every core route by `names` from now on; exchanges keep what they began with. Without names too, announcements
    /// are on from here: an unknown host is told how to announce itself. Ends when every core does so.
    pub fn publish(&mut self, names: Announced) -> impl Future<Output = ()> + use<> {
        self.replace(names);
        self.followed()
    }

    /// The same, without a word when they do.
    pub fn replace(&mut self, names: Announced) {
        let number = self.names.borrow().number + 1;
        let names = Some(Arc::new(names));
        let before = self.names.send_replace(Version { number, names });
        self.retired.extend(before.names);
        if self.retired.len() >= self.sweep_at {
            self.sweep();
        }
    }

    /// Ends when every core routes by what was published last.
    pub fn followed(&self) -> impl Future<Output = ()> + use<> {
        let number = self.names.borrow().number;
        let followers = self.followers.clone();
        async move {
            for mut follower in followers {
                // A core that has ended routes nothing.
                let _ = follower.wait_for(|followed| *followed >= number).await;
            }
        }
    }

    /// Frees what was retired and is used no longer; [`Publisher::publish`] does it too, when much has come together.
    pub fn sweep(&mut self) {
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        // Twice as many before the next look: each is looked at a bounded number of times, however many stay in use.
        self.sweep_at = SWEEP_AT.max(2 * self.retired.len());
    }
}

/// Has `core` route by what is published, until the publisher is gone.
pub(super) async fn follow(core: Rc<Core>, mut news: News) {
    loop {
        let (number, latest) = {
            let version = news.names.borrow_and_update();
            (version.number, version.names.clone())
        };
        if let Some(latest) = latest {
            core.announce(latest);
        }
        // Nobody may wait for it.
        let _ = news.follows.send(number);
        if news.names.changed().await.is_err() {
            return;
        }
    }
}

/// Versions that are kept without a look at them: few enough to waste little memory, more than cores are behind.
const SWEEP_AT: usize = 16;

#[cfg(test)]
mod tests;
