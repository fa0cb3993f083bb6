//! The names of checkpoints and journals, and which of them there are.

use std::collections::BTreeSet;
use std::io;

use super::Disk;

/// What is in the folder, by generation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub checkpoints: BTreeSet<u64>,
    pub journals: BTreeSet<u64>,
    /// Checkpoints that a crash left unfinished.
    pub unfinished: BTreeSet<u64>,
}

impl Files {
    pub(super) fn list(disk: &impl Disk) -> io::Result<Files> {
        let mut files = Files::default();
        for name in disk.list()? {
            match parse(&name) {
                Some((Kind::Checkpoint, generation)) => files.checkpoints.insert(generation),
                Some((Kind::Journal, generation)) => files.journals.insert(generation),
                Some((Kind::Unfinished, generation)) => files.unfinished.insert(generation),
                None => continue,
            };
        }
        Ok(files)
    }

    /// The generation that no file has, nor any after it.
    pub(super) fn next_generation(&self) -> u64 {
        let sets = [&self.checkpoints, &self.journals, &self.unfinished];
        let newest = sets.iter().filter_map(|set| set.last()).max();
        newest.map_or(1, |newest| newest + 1)
    }

    /// The names of what nobody needs once checkpoint `newest` is there, if the one of generation `keep` is kept, with
    /// its journals; if none is, all journals are.
    pub(super) fn unneeded(&self, keep: Option<u64>, newest: u64) -> Vec<String> {
        let before = |set: &BTreeSet<u64>, end: u64, name: fn(u64) -> String| {
            let old = set.range(..end);
            old.map(|generation| name(*generation)).collect::<Vec<_>>()
        };
        let keep = keep.unwrap_or(0);
        [
            before(&self.checkpoints, keep, checkpoint),
            before(&self.journals, keep, journal),
            before(&self.unfinished, newest, unfinished),
        ]
        .concat()
    }
}

pub(super) fn checkpoint(generation: u64) -> String {
    format!("{CHECKPOINT}{generation:08}{TEXT}")
}

pub(super) fn journal(generation: u64) -> String {
    format!("{JOURNAL}{generation:08}{TEXT}")
}

/// A checkpoint that is being written.
pub(super) fn unfinished(generation: u64) -> String {
    format!("{CHECKPOINT}{generation:08}{UNFINISHED}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Checkpoint,
    Journal,
    Unfinished,
}

fn parse(name: &str) -> Option<(Kind, u64)> {
    let (kind, digits, write): (Kind, &str, fn(u64) -> String) =
        if let Some(rest) = name.strip_prefix(JOURNAL) {
            (Kind::Journal, rest.strip_suffix(TEXT)?, journal)
        } else {
            let rest = name.strip_prefix(CHECKPOINT)?;
            match rest.strip_suffix(TEXT) {
                Some(digits) => (Kind::Checkpoint, digits, checkpoint),
                None => (Kind::Unfinished, rest.strip_suffix(UNFINISHED)?, unfinished),
            }
        };
    let generation = digits.parse().ok().filter(|number| *number < u64::MAX)?;
    // What we would write otherwise is another file.
    (write(generation) == name).then_some((kind, generation))
}

const CHECKPOINT: &str = "checkpoint-";
const JOURNAL: &str = "journal-";
const TEXT: &str = ".txt";
const UNFINISHED: &str = ".new";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for generation in [0, 1, 12_345_678, 123_456_789, u64::MAX - 1] {
            let kinds = [
                (checkpoint(generation), Kind::Checkpoint),
                (journal(generation), Kind::Journal),
                (unfinished(generation), Kind::Unfinished),
            ];
            for (name, kind) in kinds {
                assert_eq!(parse(&name), Some((kind, generation)));
            }
        }
        assert_eq!(journal(7), "journal-00000007.txt");
    }

    #[test]
    fn other_files_are_not_ours() {
        let names = [
            "",
            "lock",
            "journal-.txt",
            "journal-7.txt",
            "journal-+0000007.txt",
            "journal-00000007.txt.new",
            "journal-18446744073709551615.txt",
            "checkpoint-00000007",
            "forward_targets.txt",
        ];
        for name in names {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
