//! The row of journals: which one is written, and when the next one begins.

use std::io;
use std::mem;

use super::compaction::Weight;
use super::disk::remove_if_there;
use super::header::Start;
use super::journal::{Beginning, Journal, Refused};
use super::tail::Carried;
use super::{Change, Disk, files};

/// The end of the row.
#[derive(Debug)]
pub(super) struct Journals<D: Disk> {
    pub disk: D,
    current: Current<D::File>,
    /// The number of the last record that was accepted.
    last: u64,
    next_generation: u64,
    /// What the next journal begins with.
    carried: Carried,
    /// The generations in which no journal could begin.
    abandoned: Vec<u64>,
    /// What is to be read behind the checkpoint.
    pub since: Weight,
}

#[derive(Debug, Default)]
enum Current<F> {
    /// The one before has ended, in a failure or a start.
    #[default]
    None,
    /// The disk was full when it should begin.
    Beginning(Beginning<F>),
    Open(Journal<F>),
}

impl<D: Disk> Journals<D> {
    /// Goes on after the given record and before the given generation, with the changes that are carried on.
    pub(super) fn new(
        disk: D,
        last: u64,
        next_generation: u64,
        carried: Carried,
        since: Weight,
    ) -> Journals<D> {
        Journals {
            disk,
            current: Current::None,
            last,
            next_generation,
            carried,
            abandoned: Vec::new(),
            since,
        }
    }

    /// Begins another journal. The one before ends here even if that fails: the new one may be on the disk all the same,
    /// and what the old one got after that would be void.
    pub(super) fn begin(&mut self) -> io::Result<Start> {
        let beginning = match mem::take(&mut self.current) {
            Current::Beginning(beginning) => beginning,
            Current::None | Current::Open(_) => self.create()?,
        };
        let journal = self.begun(beginning)?;
        let start = journal.start();
        self.current = Current::Open(journal);
        Ok(start)
    }

    /// Writes one commit, into another journal if the current one has failed.
    pub(super) fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), Refused> {
        // The journal comes back if it took the changes.
        let mut journal = match mem::take(&mut self.current) {
            Current::Open(journal) => journal,
            Current::Beginning(beginning) => self.begun(beginning)?,
            Current::None => {
                let beginning = self.create()?;
                self.begun(beginning)?
            }
        };
        if !changes.is_empty() {
            self.since.bytes += journal.append(self.last, changes)?;
            self.last += changes.len() as u64;
        }
        self.current = Current::Open(journal);
        Ok(())
    }

    fn create(&mut self) -> io::Result<Beginning<D::File>> {
        let start = Start {
            generation: self.next_generation,
            after: self.last,
            repeats: self.carried.before().unwrap_or(self.last),
        };
        // A name that was tried is not trusted again.
        self.next_generation += 1;
        Beginning::create(&self.disk, start, &self.carried.changes())
    }

    fn begun(&mut self, mut beginning: Beginning<D::File>) -> io::Result<Journal<D::File>> {
        if let Err(error) = beginning.write() {
            self.current = Current::Beginning(beginning);
            return Err(error);
        }
        let generation = beginning.start().generation;
        let journal = beginning
            .finish(&self.disk)
            .inspect_err(|_| self.abandoned.push(generation))?;
        self.last += self.carried.len();
        self.carried.clear();
        self.since.add(journal.length());
        self.remove_abandoned();
        Ok(journal)
    }

    /// Not before another journal has begun: its name is the last one then, and theirs are never used again. If a loss of
    /// power brought one back that is newer than all others, it would make them void.
    fn remove_abandoned(&mut self) {
        for generation in self.abandoned.drain(..) {
            // What remains does no harm and is removed another time.
            let _ = remove_if_there(&self.disk, &files::journal(generation));
        }
    }
}
