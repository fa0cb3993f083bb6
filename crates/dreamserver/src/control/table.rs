//! What was announced, and where each name is routed now.
//!
//! The two differ while a name moves: until its new target answers, requests go to the one that it comes from.

use super::entries::Entries;
use super::probe;
use crate::acme::Check;
use crate::address::EndpointAddress;
use crate::exchange::Scheme;
use crate::metrics::{Account, Accounts, Sum};
use crate::serve::{Announced, Named, Route};
use crate::server::Publisher;
use crate::state::{self, Entry, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A name and what it is to be from now on: nothing, if it is to go.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) name: Arc<str>,
    pub(super) entry: Option<Entry>,
}

impl Change {
    /// As the state keeps it.
    pub(super) fn as_kept(&self) -> state::Change<'_> {
        match &self.entry {
            Some(entry) => state::Change::Set(&self.name, entry),
            None => state::Change::Remove(&self.name),
        }
    }
}

/// The announced names.
pub(super) struct Table {
    entries: Entries,
    /// The names that no user owns, by the port that they wait for; kept if owners count.
    unowned: Option<BTreeMap<u16, BTreeSet<Arc<str>>>>,
    routed: Announced,
    routes: HashMap<Target, Shared>,
    accounts: Accounts,
    version: u64,
    publisher: Publisher,
}

/// The route of all names with one target.
struct Shared {
    route: Arc<Route>,
    names: usize,
}

impl Table {
    /// A table of these entries; cores hear of them with [`Table::publish`].
    pub(super) fn new(entries: Entries, publisher: Publisher, owners_count: bool) -> Table {
        let mut table = Table {
            entries: Entries::new(),
            unowned: owners_count.then(BTreeMap::new),
            routed: Announced::new(),
            routes: HashMap::new(),
            accounts: Accounts::default(),
            version: 0,
            publisher,
        };
        let named = |(name, entry): (_, Entry)| {
            table.note_owner(name, Some(&entry));
            table.note_check(name, Some(&entry));
            (name, table.named(None, &entry.routed()))
        };
        let routed = entries.iter().map(named).collect();
        table.routed = routed;
        table.entries = entries;
        table
    }

    /// Another one after each change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// What was counted of a name's requests since the server was started.
    pub(super) fn counted(&self, name: &str) -> Sum {
        let named = self.routed.get(name);
        let sum = named.map(|named| self.publisher.metrics().of(named.account));
        sum.unwrap_or_default()
    }

    /// The names without an owner, by the port that they wait for.
    pub(super) fn unowned(&self) -> Option<&BTreeMap<u16, BTreeSet<Arc<str>>>> {
        self.unowned.as_ref()
    }

    /// Makes a change, which is durable. Cores hear of it with [`Table::publish`].
    pub(super) fn apply(&mut self, change: Change) {
        self.version += 1;
        let Change { name, entry } = change;
        let after = entry.as_ref().map(Entry::routed);
        self.note_owner(&name, entry.as_ref());
        self.note_check(&name, entry.as_ref());
        let before = match entry {
            Some(entry) => self.entries.insert(&name, entry),
            None => self.entries.remove(&name),
        };
        let before = before.as_ref().map(Entry::routed);
        if before == after {
            return;
        }
        match &after {
            Some(target) => self.route(&name, target),
            None => {
                let named = self.routed.remove(&name);
                named.inspect(|named| self.accounts.close(named.account));
            }
        }
        before.inspect(|target| self.release(target));
    }

    /// Keeps the list of names without an owner, before the entry takes the place of the one that there is.
    fn note_owner(&mut self, name: &str, entry: Option<&Entry>) {
        let Some(unowned) = &mut self.unowned else {
            return;
        };
        let waits = |entry: &Entry| entry.owner.is_none() && entry.host.is_none();
        if let Some(before) = self.entries.get(name).filter(waits)
            && let Some(names) = unowned.get_mut(&before.port)
        {
            names.remove(name);
            if names.is_empty() {
                unowned.remove(&before.port);
            }
        }
        if let Some(entry) = entry.filter(|entry| waits(entry)) {
            unowned.entry(entry.port).or_default().insert(name.into());
        }
    }

    /// Says whom to ask which names there are below a wildcard: the program that serves it, at its check.
    fn note_check(&self, name: &str, entry: Option<&Entry>) {
        if name.starts_with("*.") {
            let check = entry.and_then(|entry| {
                Some(Check {
                    path: entry.check.as_deref()?.to_owned(),
                    addresses: probe::addresses(&entry.routed()),
                })
            });
            self.publisher.set_check(name, check);
        }
    }

    /// Leaves only those of the changes that change something: many programs repeat what they have announced, again and again.
    pub(super) fn drop_known(&self, changes: &mut Vec<Change>) {
        let mut changed = HashSet::new();
        changes.retain(|change| {
            let is_known =
                !changed.contains(&change.name) && self.entries.get(&change.name) == change.entry;
            if !is_known {
                changed.insert(change.name.clone());
            }
            !is_known
        });
    }

    /// Tells the cores; ends when all of them route by it.
    pub(super) fn publish(&mut self) -> impl Future<Output = ()> + use<> {
        self.publisher.publish(self.routed.clone())
    }

    /// Tells the cores.
    pub(super) fn tell(&mut self) {
        self.publisher.replace(self.routed.clone());
    }

    /// Ends when all cores route by what was published last.
    pub(super) fn followed(&self) -> impl Future<Output = ()> + use<> {
        self.publisher.followed()
    }

    fn route(&mut self, name: &str, target: &Target) {
        // A name that moves goes on with its counts.
        let known = self.routed.get(name).map(|named| named.account);
        let named = self.named(known, target);
        self.routed.insert(name, named);
    }

    /// What another name leads to.
    fn named(&mut self, known: Option<Account>, target: &Target) -> Named {
        let shared = self.routes.entry(target.clone()).or_insert_with(|| Shared {
            route: self.publisher.route(&endpoint(target)),
            names: 0,
        });
        shared.names += 1;
        Named {
            route: shared.route.clone(),
            account: known.unwrap_or_else(|| self.accounts.open()),
        }
    }

    /// A name is routed there no longer.
    fn release(&mut self, target: &Target) {
        if let Some(shared) = self.routes.get_mut(target) {
            shared.names -= 1;
            if shared.names == 0 {
                self.routes.remove(target);
            }
        }
    }
}

/// `localhost` means both of its addresses.
fn endpoint(target: &Target) -> EndpointAddress {
    EndpointAddress::Tcp {
        scheme: Scheme::Http,
        host: target
            .host
            .map_or_else(|| "localhost".to_owned(), |host| host.to_string()),
        port: target.port,
    }
}
