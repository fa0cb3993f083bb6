//! Everything that was announced, in the order of names: a million of them in little memory, and a copy of all at any time.
//!
//! Some hundreds of names stand in a leaf, one behind the other in one text. A clone shares the leaves, and so costs a
//! count for each of them; a change copies its leaf, if a clone still holds that.

use crate::state::{Entry, Gathered};
use std::cmp::Ordering;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The map.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// In the order of their names; none is empty.
    leaves: Vec<Arc<Leaf>>,
    len: usize,
}

#[derive(Clone, Debug, Default)]
struct Leaf {
    /// In order, without anything between them.
    names: String,
    /// Where each name ends.
    ends: Vec<u32>,
    kept: Vec<Kept>,
}

/// An entry in a quarter of its size: most have nothing but these.
#[derive(Clone, Debug)]
struct Kept {
    port: u16,
    owner: Option<u32>,
    since: Option<NonZeroU32>,
    /// The whole entry, if it has more.
    whole: Option<Box<Entry>>,
}

impl Entries {
    pub(super) fn new() -> Entries {
        Entries::default()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        let (leaf, at) = self.place(name).ok()?;
        Some(self.leaves[leaf].kept[at].entry())
    }

    /// Gives a name its entry; tells which it had before.
    pub(super) fn insert(&mut self, name: &str, entry: Entry) -> Option<Entry> {
        let kept = Kept::new(entry);
        let (leaf, at) = match self.place(name) {
            Ok((leaf, at)) => {
                let leaf = Arc::make_mut(&mut self.leaves[leaf]);
                let before = std::mem::replace(&mut leaf.kept[at], kept);
                return Some(before.entry());
            }
            Err(place) => self.make_room(place),
        };
        Arc::make_mut(&mut self.leaves[leaf]).insert(at, name, kept);
        self.len += 1;
        None
    }

    /// Takes a name out; tells which entry it had.
    pub(super) fn remove(&mut self, name: &str) -> Option<Entry> {
        let (at_leaf, at) = self.place(name).ok()?;
        let leaf = Arc::make_mut(&mut self.leaves[at_leaf]);
        let before = leaf.remove(at);
        let left = leaf.len();
        self.len -= 1;
        let next = self.leaves.get(at_leaf + 1);
        if left == 0 {
            self.leaves.remove(at_leaf);
        } else if next.is_some_and(|next| left + next.len() <= FULL / 2) {
            let next = self.leaves.remove(at_leaf + 1);
            Arc::make_mut(&mut self.leaves[at_leaf]).append(&next);
        }
        Some(before.entry())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.from((0, 0))
    }

    /// The names behind this one, which need not be there.
    pub(super) fn behind(&self, name: &str) -> impl Iterator<Item = (&str, Entry)> {
        self.from(match self.place(name) {
            Ok((leaf, at)) => (leaf, at + 1),
            Err(place) => place,
        })
    }

    fn from(&self, (leaf, at): (usize, usize)) -> impl Iterator<Item = (&str, Entry)> {
        let first = self.leaves.get(leaf).into_iter();
        let others = self.leaves.iter().skip(leaf + 1);
        first
            .flat_map(move |leaf| leaf.from(at))
            .chain(others.flat_map(|leaf| leaf.from(0)))
    }

    /// The leaf of a name and its place there; else where it belongs.
    fn place(&self, name: &str) -> Result<(usize, usize), (usize, usize)> {
        // Names come in order when they are read from the disk.
        if let Some((last, leaf)) = self.leaves.iter().enumerate().next_back()
            && leaf.name(leaf.len() - 1) < name
        {
            return Err((last, leaf.len()));
        }
        let behind = self.leaves.partition_point(|leaf| leaf.name(0) <= name);
        let leaf = behind.saturating_sub(1);
        match self.leaves.get(leaf).map(|found| found.place(name)) {
            Some(Ok(at)) => Ok((leaf, at)),
            Some(Err(at)) => Err((leaf, at)),
            None => Err((leaf, 0)),
        }
    }

    /// Makes sure that there is a leaf with room for another name; tells the place of that.
    fn make_room(&mut self, (leaf, at): (usize, usize)) -> (usize, usize) {
        let last = leaf + 1 >= self.leaves.len();
        let Some(full) = self.leaves.get_mut(leaf) else {
            self.leaves.push(Arc::default());
            return (leaf, 0);
        };
        if full.len() < FULL {
            return (leaf, at);
        }
        let full = Arc::make_mut(full);
        // Names that come in order, as those of a file do, fill one leaf after the other.
        let half = if last && at == FULL { FULL } else { FULL / 2 };
        let behind = full.split_off(half);
        self.leaves.insert(leaf + 1, Arc::new(behind));
        match at < half {
            true => (leaf, at),
            false => (leaf + 1, at - half),
        }
    }
}

/// What was found on the disk; its text is not needed any more.
impl From<Gathered> for Entries {
    fn from(found: Gathered) -> Entries {
        let mut entries = Entries::new();
        for (name, entry) in found.iter() {
            entries.insert(name, entry);
        }
        entries
    }
}

impl Leaf {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, at: usize) -> usize {
        match at.checked_sub(1) {
            Some(before) => self.ends[before] as usize,
            None => 0,
        }
    }

    fn name(&self, at: usize) -> &str {
        &self.names[self.start(at)..self.ends[at] as usize]
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn from(&self, at: usize) -> impl Iterator<Item = (&str, Entry)> {
        (at..self.len()).map(|at| (self.name(at), self.kept[at].entry()))
    }

    fn insert(&mut self, at: usize, name: &str, kept: Kept) {
        let (start, len) = (self.start(at), name.len() as u32);
        self.names.insert_str(start, name);
        self.ends.insert(at, start as u32);
        self.ends[at..].iter_mut().for_each(|end| *end += len);
        self.kept.insert(at, kept);
    }

    fn remove(&mut self, at: usize) -> Kept {
        let (start, end) = (self.start(at), self.ends.remove(at));
        let len = end - start as u32;
        self.names.drain(start..end as usize);
        self.ends[at..].iter_mut().for_each(|end| *end -= len);
        self.kept.remove(at)
    }

    /// What stands from `at` on, in another leaf; neither has room that it does not need.
    fn split_off(&mut self, at: usize) -> Leaf {
        let start = self.start(at);
        let mut ends = self.ends.split_off(at);
        ends.iter_mut().for_each(|end| *end -= start as u32);
        let behind = Leaf {
            names: self.names.split_off(start),
            ends,
            kept: self.kept.split_off(at),
        };
        self.names.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.kept.shrink_to_fit();
        behind
    }

    fn append(&mut self, next: &Leaf) {
        let start = self.names.len() as u32;
        self.names.push_str(&next.names);
        self.ends.extend(next.ends.iter().map(|end| start + end));
        self.kept.extend_from_slice(&next.kept);
    }
}

impl Kept {
    fn new(entry: Entry) -> Kept {
        let mut kept = Kept {
            port: entry.port,
            owner: entry.owner,
            since: entry.since,
            whole: None,
        };
        if kept.entry() != entry {
            kept.whole = Some(Box::new(entry));
        }
        kept
    }

    fn entry(&self) -> Entry {
        match &self.whole {
            Some(whole) => Entry::clone(whole),
            None => Entry {
                owner: self.owner,
                since: self.since,
                ..Entry::on_port(self.port)
            },
        }
    }
}

/// Names of a leaf: few enough that a change of it takes microseconds, so many that there are few leaves to clone.
const FULL: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(port: u16) -> Entry {
        let mut entry = Entry::on_port(port);
        if port.is_multiple_of(3) {
            entry.check = Some("/up".into());
        }
        entry.owner = port.is_multiple_of(2).then_some(1000);
        entry
    }

    fn agree(entries: &Entries, expected: &BTreeMap<String, u16>) {
        assert_eq!(entries.len(), expected.len());
        let all: Vec<(String, Entry)> = entries
            .iter()
            .map(|(name, entry)| (name.to_owned(), entry))
            .collect();
        let expected: Vec<(String, Entry)> = expected
            .iter()
            .map(|(name, port)| (name.clone(), entry(*port)))
            .collect();
        assert_eq!(all, expected);
        assert!(entries.leaves.iter().all(|leaf| leaf.len() > 0));
    }

    #[test]
    fn names_in_order_fill_leaves() {
        let mut entries = Entries::new();
        for number in 0..10 * FULL {
            entries.insert(&format!("{number:06}"), Entry::on_port(1));
        }
        assert_eq!(entries.leaves.len(), 10);
        for number in 0..10 * FULL - 1 {
            assert!(entries.remove(&format!("{number:06}")).is_some());
        }
        assert_eq!((entries.leaves.len(), entries.len()), (1, 1));
    }

    #[test]
    fn a_change_copies_one_leaf() {
        let mut entries = Entries::new();
        for number in 0..10 * FULL {
            entries.insert(&format!("{number:06}"), Entry::on_port(1));
        }
        let before = entries.clone();
        entries.insert("000700", Entry::on_port(2));
        let shared = before.leaves.iter().zip(&entries.leaves);
        let shared = shared.filter(|(before, now)| Arc::ptr_eq(before, now));
        assert_eq!(shared.count(), 9);
        assert_eq!(before.get("000700"), Some(Entry::on_port(1)));
    }

    proptest! {
        #[test]
        fn agrees_with_the_map_of_std(
            first in 0..2000u32,
            changes in proptest::collection::vec((0..3000u32, prop::option::weighted(0.4, any::<u16>())), 0..3000),
            asked in "[0-9]{1,4}",
        ) {
            let (mut entries, mut expected) = (Entries::new(), BTreeMap::new());
            for number in 0..first {
                entries.insert(&number.to_string(), entry(7));
                expected.insert(number.to_string(), 7);
            }
            let (kept, expected_then) = (entries.clone(), expected.clone());
            for (number, port) in changes {
                let name = number.to_string();
                let (before, expected_before) = match port {
                    Some(port) => (entries.insert(&name, entry(port)), expected.insert(name.clone(), port)),
                    None => (entries.remove(&name), expected.remove(&name)),
                };
                prop_assert_eq!(before, expected_before.map(entry));
                prop_assert_eq!(entries.get(&name), port.map(entry));
                prop_assert_eq!(entries.contains_key(&name), port.is_some());
            }
            agree(&entries, &expected);
            agree(&kept, &expected_then);
            let behind: Vec<&str> = entries.behind(&asked).map(|(name, _)| name).collect();
            let expected_behind: Vec<&String> = expected.range(format!("{asked}\0")..).map(|(name, _)| name).collect();
            prop_assert_eq!(behind, expected_behind);
        }
    }
}
