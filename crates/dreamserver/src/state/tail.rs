//! The last commit, of which nobody knows whether it had reached the disk when the server before ended.

use super::gathered::Gathered;
use super::header::Start;
use super::{Change, Entry};

/// The domains of the last commit that is whole, and of what came after it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    names: Vec<Box<str>>,
    /// The number of the record before the first.
    before: u64,
    /// Where the commit begins whose end was not seen yet.
    unended: usize,
    /// The number of the record before that.
    before_unended: u64,
    place: Place,
}

/// Where the next record stands in its journal.
#[derive(Debug, Default)]
enum Place {
    /// In a commit, or at the beginning of one.
    #[default]
    Anywhere,
    /// In the commit that repeats what came after `repeats`, if it has this number.
    Repeated { repeats: u64, next: u64 },
    /// In that commit too, which lacks a record.
    Incomplete { repeats: u64 },
    /// Behind that commit.
    BehindIncomplete,
}

impl Tail {
    /// Another journal begins.
    pub(super) fn begin(&mut self, start: Start) {
        let (repeats, next) = (start.repeats, start.after + 1);
        self.place = Place::Repeated { repeats, next };
    }

    /// Adds a record in its order; `more` if its commit goes on.
    pub(super) fn add(&mut self, name: &str, number: u64, more: bool) {
        let repeats = self.step(number);
        if self.names.len() == self.unended {
            self.before_unended = repeats.unwrap_or(number.saturating_sub(1));
        }
        self.names.push(name.into());
        if !more {
            self.end();
        }
    }

    /// To the record with this number; gives after which the record's commit repeats, if it does.
    fn step(&mut self, number: u64) -> Option<u64> {
        match self.place {
            Place::Anywhere => None,
            Place::Repeated { repeats, next } if next == number => {
                let next = next + 1;
                self.place = Place::Repeated { repeats, next };
                Some(repeats)
            }
            Place::Repeated { repeats, .. } | Place::Incomplete { repeats } => {
                self.place = Place::Incomplete { repeats };
                Some(repeats)
            }
            Place::BehindIncomplete => {
                // Nothing was added to the journal before its beginning was on the disk.
                self.unended = self.names.len();
                self.place = Place::Anywhere;
                None
            }
        }
    }

    /// The commit ends. One that lacks a record does not take the place of what it repeats.
    fn end(&mut self) {
        if let Place::Incomplete { .. } = self.place {
            self.place = Place::BehindIncomplete;
            return;
        }
        self.names.drain(..self.unended);
        self.before = self.before_unended;
        self.unended = self.names.len();
        self.place = Place::Anywhere;
    }
}

/// What the next journal says once more.
#[derive(Debug)]
pub(super) struct Carried {
    /// Each domain once, with what is true for it now: so any part of them that reaches the disk is true as well.
    entries: Vec<(Box<str>, Option<Entry>)>,
    /// The number of the record before the first that is carried; none if nothing is.
    before: Option<u64>,
}

impl Carried {
    pub(super) fn new(tail: Tail, entries: &Gathered) -> Carried {
        let before = match tail.unended {
            0 => tail.before_unended,
            _ => tail.before,
        };
        let mut names = tail.names;
        let before = (!names.is_empty()).then_some(before);
        names.sort_unstable();
        names.dedup();
        let now = |name: Box<str>| {
            let entry = entries.changed(&name).cloned();
            (name, entry)
        };
        Carried {
            entries: names.into_iter().map(now).collect(),
            before,
        }
    }

    pub(super) fn before(&self) -> Option<u64> {
        self.before
    }

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let changes = self.entries.iter();
        changes
            .map(|(name, entry)| Change::new(name, entry.as_ref()))
            .collect()
    }

    /// How many changes these are.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// They were written.
    pub(super) fn clear(&mut self) {
        self.entries = Vec::new();
        self.before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds records from number 1 on: domains, with a `+` where the commit goes on.
    fn add(tail: &mut Tail, first: u64, records: &str) {
        for (number, word) in (first..).zip(records.split_whitespace()) {
            let name = word.trim_end_matches('+');
            tail.add(name, number, name != word);
        }
    }

    fn carried(tail: Tail) -> (Option<u64>, String) {
        let carried = Carried::new(tail, &Gathered::default());
        let changes = carried.changes();
        let names: Vec<&str> = changes.iter().map(Change::name).collect();
        (carried.before(), names.join(" "))
    }

    #[test]
    fn it_is_the_last_whole_commit_and_what_follows() {
        let cases = [
            ("", None, ""),
            ("a", Some(0), "a"),
            ("a+", Some(0), "a"),
            ("a b", Some(1), "b"),
            ("a b+ b+ a", Some(1), "a b"),
            ("a c+ b d+", Some(1), "b c d"),
            ("a+ b+ c d e+", Some(3), "d e"),
        ];
        for (records, before, names) in cases {
            let mut tail = Tail::default();
            add(&mut tail, 1, records);
            assert_eq!(carried(tail), (before, names.to_owned()), "{records}");
        }
    }

    #[test]
    fn what_was_carried_stands_for_what_it_repeats() {
        let mut tail = Tail::default();
        add(&mut tail, 1, "a b+ a+ b");
        tail.begin(repeating(4, 1));
        add(&mut tail, 5, "a+ b");
        assert_eq!(carried(tail), (Some(1), "a b".to_owned()));
    }

    #[test]
    fn what_was_carried_in_part_stands_beside_it() {
        let mut tail = Tail::default();
        add(&mut tail, 1, "a b+ a+ c");
        tail.begin(repeating(4, 1));
        add(&mut tail, 6, "b");
        assert_eq!(carried(tail), (Some(1), "a b c".to_owned()));
    }

    #[test]
    fn behind_what_was_carried_in_part_another_commit_is_the_last() {
        let mut tail = Tail::default();
        add(&mut tail, 1, "a b+ a+ c");
        tail.begin(repeating(4, 1));
        add(&mut tail, 6, "b d");
        assert_eq!(carried(tail), (Some(6), "d".to_owned()));
    }

    fn repeating(after: u64, repeats: u64) -> Start {
        Start {
            generation: 1,
            after,
            repeats,
        }
    }
}
