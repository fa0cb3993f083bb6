//! From the files to the entries: the newest checkpoint that is whole, and everything that was written after it.

use std::ops::Range;

use super::compaction::Weight;
use super::files::Files;
use super::gathered::Gathered;
use super::header::Kind;
use super::reading::{Order, Reading};
use super::record::{Body, Record};
use super::sheet::Sheet;
use super::store::OpenError;
use super::tail::{Carried, Tail};
use super::{Damage, Disk, Entry, Reason};

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub entries: Gathered,
    pub damaged: Vec<Damage>,
    /// The number of the last record.
    pub last: u64,
    pub carried: Carried,
    /// The newest whole checkpoint.
    pub checkpoint: Option<Kept>,
    /// The journals that were read.
    pub since: Weight,
    /// No file has this generation or a later one.
    pub next_generation: u64,
}

/// A checkpoint on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub generation: u64,
    /// In bytes.
    pub length: u64,
}

pub(super) fn recover(disk: &impl Disk) -> Result<Found, OpenError> {
    let files = Files::list(disk).map_err(OpenError::List)?;
    let checkpoints: Vec<u64> = files.checkpoints.iter().copied().collect();
    let mut recovery = Recovery {
        disk,
        files: &files,
        damaged: Vec::new(),
        order: Order::default(),
        tail: Tail::default(),
        checkpoint: None,
        since: Weight::default(),
    };
    let entries = recovery.rebuild(&checkpoints, u64::MAX, None)?;
    Ok(Found {
        carried: Carried::new(recovery.tail, &entries),
        entries,
        damaged: recovery.damaged,
        last: recovery.order.last,
        checkpoint: recovery.checkpoint,
        since: recovery.since,
        next_generation: files.next_generation(),
    })
}

struct Recovery<'a, D> {
    disk: &'a D,
    files: &'a Files,
    damaged: Vec<Damage>,
    /// That of the journals' records.
    order: Order,
    tail: Tail,
    checkpoint: Option<Kept>,
    since: Weight,
}

impl<D: Disk> Recovery<'_, D> {
    /// The entries at the beginning of generation `end`, from these checkpoints (oldest first) and the journals. Records
    /// beyond `limit` are void.
    fn rebuild(
        &mut self,
        checkpoints: &[u64],
        end: u64,
        limit: Option<u64>,
    ) -> Result<Gathered, OpenError> {
        let newest = checkpoints.last().copied().unwrap_or(0);
        let mut journals = Vec::new();
        // What a journal says last is limited by what those after it say first.
        let mut limit = limit;
        for journal in self.read_journals(newest..end)?.into_iter().rev() {
            let before = journal.limit_before(limit);
            journals.push((journal, limit));
            limit = least(limit, before);
        }
        let mut entries = match checkpoints.split_last() {
            Some((newest, older)) => self.state_at(*newest, older, limit)?,
            None => Gathered::default(),
        };
        for (journal, limit) in journals.iter().rev() {
            self.replay(journal, *limit, &mut entries);
        }
        Ok(entries)
    }

    /// The entries at the beginning of a generation that has a checkpoint. Where that is not whole, the state that it was
    /// made from is built as well, and completes it.
    fn state_at(
        &mut self,
        generation: u64,
        older: &[u64],
        limit: Option<u64>,
    ) -> Result<Gathered, OpenError> {
        let sheet = Sheet::read(self.disk, Kind::Checkpoint, generation)?;
        let before = self.damaged.len();
        read_entries(&sheet, &mut self.damaged, |_, _| {});
        let after = sheet.start.map(|start| start.after);
        if let Some(after) = after
            && self.damaged.len() == before
        {
            self.order.last = after;
            let length = sheet.text.len() as u64;
            self.checkpoint = Some(Kept { generation, length });
            return Ok(Gathered::new(sheet));
        }
        let mut entries = self.rebuild(older, generation, least(limit, after))?;
        let mut reported = Vec::new();
        read_entries(&sheet, &mut reported, |name, entry| {
            entries.set(name, entry)
        });
        Ok(entries)
    }

    fn read_journals(&mut self, generations: Range<u64>) -> Result<Vec<Sheet>, OpenError> {
        let found = self.files.journals.range(generations);
        let journals: Vec<Sheet> = found
            .map(|generation| Sheet::read(self.disk, Kind::Journal, *generation))
            .collect::<Result<_, _>>()?;
        for journal in &journals {
            self.since.add(journal.text.len() as u64);
        }
        Ok(journals)
    }

    /// Applies what a journal says, up to the record with the number `limit`.
    fn replay(&mut self, sheet: &Sheet, limit: Option<u64>, entries: &mut Gathered) {
        let mut reading = Reading::new(sheet, &mut self.order, &mut self.damaged);
        reading.limit = limit;
        reading.begin();
        if let Some(start) = sheet.start {
            self.tail.begin(start);
        }
        while let Some(row) = reading.next() {
            let Record { number, more, body } = row.record;
            match body {
                Body::Set(name, entry) => {
                    self.tail.add(name, number, more);
                    entries.set(name, entry);
                }
                Body::Remove(name) => {
                    self.tail.add(name, number, more);
                    entries.remove(name);
                }
                Body::End => reading.damaged(row.at, Reason::Unknown, row.text),
            }
        }
    }
}

/// Takes the entries of a checkpoint; if nothing is reported, these are all.
fn read_entries(sheet: &Sheet, damaged: &mut Vec<Damage>, mut take: impl FnMut(&str, Entry)) {
    let mut order = Order::default();
    let mut reading = Reading::new(sheet, &mut order, damaged);
    let mut ended = false;
    if sheet.lacks_header() {
        reading.damaged(1, Reason::NoHeader, b"");
    }
    while let Some(row) = reading.next() {
        match row.record.body {
            Body::Set(name, entry) if !ended => take(name, entry),
            Body::End if !ended => ended = true,
            _ => reading.damaged(row.at, Reason::Unknown, row.text),
        }
    }
    if !ended {
        reading.incomplete();
    }
}

/// The lower of two limits, where there are any.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
