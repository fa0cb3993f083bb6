//! The state on the disk: what was found, what is accepted, and when it is time to write it all anew.

use std::borrow::Borrow;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};

use super::compaction::{Compacted, Compaction};
use super::journal::Refused;
use super::journals::Journals;
use super::recover::{self, Kept};
use super::{Change, Damage, Disk, Entry, Folder, Gathered, damage, record};

/// The one who writes the state.
///
/// The entries themselves are with the caller, who changes them when a commit was accepted, and not before.
#[derive(Debug)]
pub struct Store<D: Disk = Folder> {
    journals: Journals<D>,
    /// The newest checkpoint that is whole.
    checkpoint: Option<Kept>,
    /// The newest generation in which something was lost, or may have been. A later checkpoint makes up for it.
    suspect: Option<u64>,
    /// Alive while a compaction is.
    compaction: Weak<()>,
}

/// What [`Store::open`] found.
#[derive(Debug)]
pub struct Recovered {
    /// All entries that could be read, each domain once.
    pub entries: Gathered,
    /// What could not. It is in `damaged.txt` in the folder too.
    pub damaged: Vec<Damage>,
}

/// Why the state cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// The folder cannot be listed.
    List(io::Error),
    /// A file cannot be read.
    Read {
        /// Its name in the folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A later version of the program has written it, and this one would damage it.
    Newer {
        /// Its name in the folder.
        file: String,
        /// The version of its format.
        version: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::List(error) => write!(f, "the state's folder cannot be listed: {error}"),
            OpenError::Read { file, source } => {
                write!(f, "{file} of the state cannot be read: {source}")
            }
            OpenError::Newer { file, version } => write!(
                f,
                "{file} of the state has format {version}, which only a later version of DreamServer reads"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::List(source) | OpenError::Read { source, .. } => Some(source),
            OpenError::Newer { .. } => None,
        }
    }
}

impl<D: Disk> Store<D> {
    /// Reads the state, and begins a new journal.
    ///
    /// A disk that takes nothing is no error here: what can be read is served, and an empty commit tells when it is safe.
    ///
    /// # Errors
    /// [`OpenError`] says what stands in the way. Nothing was changed.
    pub fn open(disk: D) -> Result<(Store<D>, Recovered), OpenError> {
        let found = recover::recover(&disk)?;
        let newest = found.next_generation - 1;
        let suspect = (!found.damaged.is_empty()).then_some(newest);
        if let Err(error) = damage::set_aside(&disk, &found.damaged) {
            tracing::warn!(%error, "what is damaged in the state cannot be set aside");
        }
        let (last, next) = (found.last, found.next_generation);
        let mut store = Store {
            journals: Journals::new(disk, last, next, found.carried, found.since),
            checkpoint: found.checkpoint,
            suspect,
            compaction: Weak::new(),
        };
        if let Err(error) = store.journals.begin() {
            tracing::warn!(%error, "the state cannot be written");
        }
        let recovered = Recovered {
            entries: found.entries,
            damaged: found.damaged,
        };
        Ok((store, recovered))
    }

    /// Writes the changes, in their order; when this returns, they are on the disk, and so is everything before.
    ///
    /// Without changes it says whether what [`Store::open`] has found is safe, and costs nothing if that is known.
    /// Ask that before an announcement is acknowledged that changes nothing.
    ///
    /// # Errors
    /// A name or a check cannot be written, or what the system says. None of the changes is accepted, though after a crash
    /// some of them may be found, each whole, if nothing was accepted since. The store can be used as before.
    pub fn commit(&mut self, changes: &[Change<'_>]) -> io::Result<()> {
        changes.iter().try_for_each(record::check)?;
        match self.journals.commit(changes) {
            Ok(()) => Ok(()),
            Err(Refused::NotWritten(error)) => Err(error),
            Err(Refused::NotSynced(generation, error)) => {
                self.suspect = Some(generation);
                Err(error)
            }
        }
    }

    /// Is it time to write all entries anew? If that fails, wait for some time before the next try.
    pub fn needs_compaction(&self) -> bool {
        let checkpoint = self.checkpoint.map_or(0, |kept| kept.length);
        let since = self.journals.since;
        let much = since.bytes >= checkpoint.max(SMALL) || since.files > MANY;
        self.compaction.strong_count() == 0 && (much || self.suspect.is_some())
    }

    /// Begins to write all entries anew: those that were accepted until now. Commits may go on in the meantime.
    ///
    /// # Errors
    /// A compaction is running already, or what the system says. The store can be used as before.
    pub fn begin_compaction(&mut self) -> io::Result<Compaction<D>> {
        if self.compaction.strong_count() > 0 {
            let text = "a compaction is running already";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        let behind = self.journals.since;
        let start = self.journals.begin()?;
        let running = Arc::new(());
        self.compaction = Arc::downgrade(&running);
        Ok(Compaction {
            disk: self.journals.disk.clone(),
            start,
            keep: self.checkpoint.map(|kept| kept.generation),
            behind,
            running,
        })
    }

    /// Takes note of a checkpoint that was written. If it never comes to this, nothing is lost but the work.
    pub fn finish_compaction(&mut self, compacted: Compacted) {
        let Compacted {
            generation, length, ..
        } = compacted;
        self.checkpoint = Some(Kept { generation, length });
        self.journals.since = self.journals.since.without(compacted.behind);
        self.suspect = self.suspect.filter(|suspect| *suspect >= generation);
    }

    /// Writes all entries anew, while the caller waits.
    ///
    /// # Errors
    /// Those of [`Store::begin_compaction`] and [`Compaction::write`].
    pub fn compact<'a, E: Borrow<Entry>>(
        &mut self,
        all: impl IntoIterator<Item = (&'a str, E)>,
    ) -> io::Result<()> {
        let compacted = self.begin_compaction()?.write(all)?;
        self.finish_compaction(compacted);
        Ok(())
    }

    /// The folder that the state is in.
    pub fn disk(&self) -> &D {
        &self.journals.disk
    }
}

/// A journal of so many bytes is read within a few milliseconds: below that, a checkpoint is not worth its writing.
const SMALL: u64 = 1 << 20;

/// Journals behind a checkpoint. Every start begins one, and a folder should stay such that a person can look through it.
const MANY: u64 = 8;
