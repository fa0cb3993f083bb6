//! The store on a disk that fails and forgets: a model says what must be found again.

mod damaged;
mod every_call;
mod random;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread::{self, JoinHandle};

use super::simulated::{Baton, Faults, Simulated, Survives};
use super::{Change, Compacted, Compaction, Entry, Reason, Recovered, Store};

type Table = BTreeMap<String, Entry>;

/// A server: what it has acknowledged, and the store that remembers it.
struct Model {
    disk: Simulated,
    store: Option<Store<Simulated>>,
    /// What was acknowledged.
    table: Table,
    /// What may be found besides, by name: it was refused, or the server had died before it could say.
    perhaps: BTreeMap<String, Vec<Option<Entry>>>,
    compaction: Option<(Compaction<Simulated>, Table)>,
    writing: Option<Writing>,
    compacted: Option<Compacted>,
}

/// A compaction that is being written, on a thread of its own that makes a call when it is told to, so that commits come
/// between any two of its calls.
struct Writing {
    baton: Baton,
    thread: JoinHandle<io::Result<Compacted>>,
}

impl Model {
    fn new(disk: Simulated) -> Model {
        Model {
            disk,
            store: None,
            table: Table::new(),
            perhaps: BTreeMap::new(),
            compaction: None,
            writing: None,
            compacted: None,
        }
    }

    /// Opens the store, and holds what it finds against what it must find. Whether it could be opened.
    fn open(&mut self) -> bool {
        let Ok((store, recovered)) = Store::open(self.disk.clone()) else {
            return false;
        };
        self.judge(&recovered);
        self.store = Some(store);
        self.commit(&[]);
        true
    }

    fn judge(&mut self, recovered: &Recovered) {
        for damage in &recovered.damaged {
            let missing = matches!(damage.reason, Reason::Missing(..) | Reason::OutOfOrder);
            assert!(!missing, "{damage}\n{}", listing(&self.disk));
        }
        let found = table(recovered);
        let names: BTreeSet<&String> = found.keys().chain(self.table.keys()).collect();
        for name in names {
            let (before, now) = (self.table.get(name), found.get(name));
            let perhaps = self.perhaps.entry(name.clone()).or_default();
            let allowed = before == now || perhaps.iter().any(|value| value.as_ref() == now);
            assert!(
                allowed,
                "{name} is {now:?}, was {before:?}, perhaps {perhaps:?}, {:?}\n{}",
                recovered.damaged,
                listing(&self.disk)
            );
            perhaps.push(before.cloned());
        }
        self.table = found;
    }

    /// Whether it was accepted.
    fn commit(&mut self, changes: &[(String, Option<Entry>)]) -> bool {
        let Some(store) = &mut self.store else {
            return false;
        };
        let list: Vec<Change<'_>> = changes
            .iter()
            .map(|(name, entry)| Change::new(name, entry.as_ref()))
            .collect();
        let accepted = store.commit(&list).is_ok();
        if accepted {
            self.perhaps.clear();
        }
        for (name, entry) in changes {
            match entry {
                _ if !accepted => {
                    let perhaps = self.perhaps.entry(name.clone()).or_default();
                    perhaps.push(entry.clone());
                }
                Some(entry) => drop(self.table.insert(name.clone(), entry.clone())),
                None => drop(self.table.remove(name)),
            }
        }
        accepted
    }

    fn begin_compaction(&mut self) {
        if let Some(store) = &mut self.store
            && let Ok(compaction) = store.begin_compaction()
        {
            self.compaction = Some((compaction, self.table.clone()));
        }
    }

    fn write_compaction(&mut self) {
        if let Some((compaction, table)) = self.compaction.take() {
            let all = table.iter().map(|(name, entry)| (name.as_str(), entry));
            self.compacted = compaction.write(all).ok();
        }
    }

    /// Goes on with the compaction that has begun, by so many calls.
    fn write_some_of_compaction(&mut self, calls: usize) {
        if let Some((compaction, table)) = self.compaction.take() {
            self.writing = Some(Writing::new(compaction, table));
        }
        for _ in 0..calls {
            if let Some(writing) = self.writing.take() {
                match writing.baton.pass() {
                    true => self.writing = Some(writing),
                    false => self.compacted = writing.thread.join().unwrap().ok(),
                }
            }
        }
    }

    fn finish_compaction(&mut self) {
        if let (Some(store), Some(compacted)) = (&mut self.store, self.compacted.take()) {
            store.finish_compaction(compacted);
        }
    }

    /// The process ends, and with it the machine if something is said to survive; another one begins.
    fn crash(&mut self, survives: Option<Survives>) {
        self.store = None;
        self.compaction = None;
        self.compacted = None;
        if let Some(Writing { baton, thread }) = self.writing.take() {
            drop(baton);
            // It ends in the middle of a call.
            let _ = thread.join();
        }
        match survives {
            Some(survives) => self.disk.lose_power(survives),
            None => self.disk.restart(),
        }
    }

    /// Nothing fails any more: everything must work, and be found whatever happens.
    fn conclude(&mut self) {
        self.disk.fail(Faults::None);
        self.crash(None);
        assert!(self.open());
        assert!(self.commit(&[set("last.example", 1)]));
        self.crash(Some(Survives::Nothing));
        assert!(self.open());
        self.begin_compaction();
        self.write_compaction();
        assert!(self.compacted.is_some());
        self.finish_compaction();
        assert!(self.commit(&[set("last.example", 2)]));
        self.crash(Some(Survives::Nothing));
        assert!(self.open());
        self.crash(None);
    }
}

impl Writing {
    fn new(mut compaction: Compaction<Simulated>, table: Table) -> Writing {
        let (disk, baton) = compaction.disk.in_turns();
        compaction.disk = disk;
        let thread = thread::spawn(move || {
            let all = table.iter().map(|(name, entry)| (name.as_str(), entry));
            compaction.write(all)
        });
        baton.is_wanted();
        Writing { baton, thread }
    }
}

/// What was found; each domain once.
fn table(recovered: &Recovered) -> Table {
    let entries = recovered.entries.iter();
    let table: Table = entries
        .map(|(name, entry)| (name.to_string(), entry))
        .collect();
    assert_eq!(table.len(), recovered.entries.iter().count());
    table
}

fn set(name: &str, port: u16) -> (String, Option<Entry>) {
    (name.to_owned(), Some(Entry::on_port(port)))
}

fn removed(name: &str) -> (String, Option<Entry>) {
    (name.to_owned(), None)
}

fn listing(disk: &Simulated) -> String {
    let files = disk.files();
    let shown = files
        .iter()
        .map(|(name, bytes)| format!("--- {name}\n{}\n", String::from_utf8_lossy(bytes)));
    shown.collect()
}
