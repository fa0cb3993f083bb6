//! Entries while they are read: those of a checkpoint in a row, and over them what the journals changed.
//!
//! Most entries were not changed since the checkpoint. A million of them in a row cost half of what they cost in a map,
//! and whoever opens the state puts them into a structure of his own anyway.

use foldhash::fast::RandomState;
use std::collections::HashMap;

use super::Entry;

#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Each domain once.
    row: Vec<(Box<str>, Entry)>,
    changed: HashMap<Box<str>, Option<Entry>, RandomState>,
}

impl Gathered {
    /// The entries of a checkpoint.
    pub(super) fn new(row: Vec<(Box<str>, Entry)>) -> Gathered {
        Gathered {
            row,
            changed: HashMap::default(),
        }
    }

    pub(super) fn set(&mut self, name: &str, entry: Entry) {
        self.changed.insert(name.into(), Some(entry));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.changed.insert(name.into(), None);
    }

    /// The present entry of a domain that a journal has changed.
    pub(super) fn changed(&self, name: &str) -> Option<&Entry> {
        self.changed.get(name)?.as_ref()
    }

    /// Each domain once.
    pub(super) fn into_row(self) -> Vec<(Box<str>, Entry)> {
        let Gathered { mut row, changed } = self;
        if !changed.is_empty() {
            row.retain(|(name, _)| !changed.contains_key(name));
        }
        let set = |(name, entry): (Box<str>, Option<Entry>)| Some((name, entry?));
        row.extend(changed.into_iter().filter_map(set));
        row
    }
}
