//! The last commit, of which nobody knows whether it had reached the disk when the server before ended.

use super::gathered::Gathered;
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
    /// What the header says that the first commit of a journal repeats.
    repeats: Option<u64>,
}

impl Tail {
    /// Another journal begins, and repeats what came after this record.
    pub(super) fn begin(&mut self, repeats: u64) {
        self.repeats = Some(repeats);
    }

    /// Adds a record in its order; `more` if its commit goes on.
    pub(super) fn add(&mut self, name: &str, number: u64, more: bool) {
        let repeats = self.repeats.take();
        if self.names.len() == self.unended {
            self.before_unended = repeats.unwrap_or(number.saturating_sub(1));
        }
        self.names.push(name.into());
        if !more {
            self.names.drain(..self.unended);
            self.before = self.before_unended;
            self.unended = self.names.len();
        }
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
        tail.begin(1);
        add(&mut tail, 5, "a+ b");
        assert_eq!(carried(tail), (Some(1), "a b".to_owned()));
    }
}
