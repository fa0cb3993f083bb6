//! Entries while they are read: those of a checkpoint as its text has them, and over them what the journals changed.
//!
//! Most entries were not changed since the checkpoint, and whoever opens the state puts them into a structure of his own. So a
//! million of them are taken from the text one by one, and never stand in memory twice.

use foldhash::fast::RandomState;
use std::collections::HashMap;

use super::Entry;
use super::record::Body;
use super::sheet::Sheet;

/// What was found: each domain once.
#[derive(Debug, Default)]
pub struct Gathered {
    /// A checkpoint that is whole.
    checkpoint: Option<Sheet>,
    changed: HashMap<Box<str>, Option<Entry>, RandomState>,
}

impl Gathered {
    /// The entries of a checkpoint that is whole.
    pub(super) fn new(checkpoint: Sheet) -> Gathered {
        Gathered {
            checkpoint: Some(checkpoint),
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

    /// Every domain and its entry: first those of the checkpoint, in its order, then what changed since, in none.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Entry)> {
        let records = self.checkpoint.iter().flat_map(Sheet::records);
        let kept = records.filter_map(|record| match record.body {
            Body::Set(name, entry) if !self.changed.contains_key(name) => Some((name, entry)),
            Body::Set(..) | Body::Remove(_) | Body::End => None,
        });
        let changed = self.changed.iter();
        kept.chain(changed.filter_map(|(name, entry)| Some((&**name, entry.clone()?))))
    }
}
