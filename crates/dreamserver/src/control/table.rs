//! What was announced, and where each name is routed now.
//!
//! The two differ while a name switches: until its new target answers, requests go to the old one.

use crate::address::EndpointAddress;
use crate::metrics::{Accounts, Sum};
use crate::serve::{Announced, Named, Route};
use crate::server::Publisher;
use crate::state::{self, Entry};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// Everything that was announced, in the order of names.
pub(super) type Entries = BTreeMap<Arc<str>, Entry>;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    /// This machine, if it is none.
    pub(super) host: Option<IpAddr>,
    pub(super) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => SocketAddr::new(host, self.port).fmt(f),
            None => self.port.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Target, AddrParseError> {
        if let Ok(port) = text.parse() {
            return Ok(Target { host: None, port });
        }
        let address: SocketAddr = text.parse()?;
        Ok(Target {
            host: Some(address.ip()),
            port: address.port(),
        })
    }
}

impl Target {
    pub(super) fn of(entry: &Entry) -> Target {
        Target {
            host: entry.host,
            port: entry.port,
        }
    }

    /// `localhost` means both of its addresses.
    fn endpoint(&self) -> EndpointAddress {
        EndpointAddress::Tcp {
            host: self
                .host
                .map_or_else(|| "localhost".to_owned(), |host| host.to_string()),
            port: self.port,
        }
    }
}

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
    routed: Announced,
    /// Names that are routed elsewhere than their entry says, and where.
    switching: HashMap<Arc<str>, Target>,
    routes: HashMap<Target, Shared>,
    accounts: Accounts,
    publisher: Publisher,
}

/// The route of all names with one target.
struct Shared {
    route: Arc<Route>,
    names: usize,
}

impl Table {
    /// A table of these entries; cores hear of them with [`Table::publish`].
    pub(super) fn new(
        entries: impl IntoIterator<Item = (Box<str>, Entry)>,
        publisher: Publisher,
    ) -> Table {
        let mut table = Table {
            entries: Entries::new(),
            routed: Announced::new(),
            switching: HashMap::new(),
            routes: HashMap::new(),
            accounts: Accounts::default(),
            publisher,
        };
        for (name, entry) in entries {
            let name = Arc::from(name);
            let entry = Some(entry);
            table.apply(Change { name, entry });
        }
        table
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

    /// Where requests for a name go while its new target does not answer.
    pub(super) fn switching(&self, name: &str) -> Option<&Target> {
        self.switching.get(name)
    }

    /// What is not in the state: the names that switch, with where they are routed; and how many names there are.
    pub(super) fn hand_over(&self) -> (Vec<(String, String)>, usize) {
        let switching = self.switching.iter();
        let switching = switching.map(|(name, target)| (name.to_string(), target.to_string()));
        (switching.collect(), self.entries.len())
    }

    /// Has requests for a name go to `before` until its target answers; tells which name and target these are, if there is
    /// something to wait for.
    pub(super) fn resume_switch(
        &mut self,
        name: &str,
        before: Target,
    ) -> Option<(Arc<str>, Entry)> {
        let (name, entry) = self.entries.get_key_value(name)?;
        let (name, entry) = (name.clone(), entry.clone());
        let wanted = Target::of(&entry);
        if wanted == before {
            return None;
        }
        self.route(&name, &before);
        self.release(&wanted);
        self.switching.insert(name.clone(), before);
        Some((name, entry))
    }

    /// Makes a change, which is durable. Cores hear of it with [`Table::publish`].
    pub(super) fn apply(&mut self, change: Change) {
        let name = change.name;
        let before = match self.switching.remove(&name) {
            Some(target) => Some(target),
            None => self.entries.get(&name).map(Target::of),
        };
        let Some(entry) = change.entry else {
            self.entries.remove(&name);
            if let Some(named) = self.routed.remove(&name) {
                self.accounts.close(named.account);
            }
            before.inspect(|target| self.release(target));
            return;
        };
        let wanted = Target::of(&entry);
        self.entries.insert(name.clone(), entry);
        match before {
            Some(before) if before != wanted => {
                self.switching.insert(name, before);
            }
            Some(_) => {}
            None => self.route(&name, &wanted),
        }
    }

    /// Has requests for a name go where its entry says.
    pub(super) fn finish_switch(&mut self, name: &Arc<str>) {
        if let Some(before) = self.switching.remove(name)
            && let Some(wanted) = self.entries.get(name).map(Target::of)
        {
            self.route(name, &wanted);
            self.release(&before);
        }
    }

    /// Tells the cores; ends when all of them route by it.
    pub(super) fn publish(&mut self) -> impl Future<Output = ()> + use<> {
        self.publisher.publish(self.routed.clone())
    }

    fn route(&mut self, name: &Arc<str>, target: &Target) {
        let shared = self.routes.entry(target.clone()).or_insert_with(|| Shared {
            route: self.publisher.route(&target.endpoint()),
            names: 0,
        });
        shared.names += 1;
        // A name that moves goes on with its counts.
        let known = self.routed.get(name).map(|named| named.account);
        let named = Named {
            route: shared.route.clone(),
            account: known.unwrap_or_else(|| self.accounts.open()),
        };
        self.routed.insert(name, named);
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
