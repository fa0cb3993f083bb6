//! Writing a checkpoint, on another thread if need be, while commits go on into the journal that began with it.

use std::borrow::Borrow;
use std::io;
use std::sync::Arc;

use super::buffered::Buffered;
use super::disk::{remove_if_there, sync_since};
use super::files::{self, Files};
use super::header::{Kind, Start};
use super::{Change, Disk, Entry, record};

/// A checkpoint that is yet to be written. It holds the folder's lock, as the store does.
#[derive(Debug)]
pub struct Compaction<D> {
    pub(super) disk: D,
    /// Where the checkpoint stands among the records; its journal has begun already.
    pub(super) start: Start,
    /// The checkpoint before this one. Without one, all journals together take its place, and all are kept.
    pub(super) keep: Option<u64>,
    /// The journals that the checkpoint makes unneeded.
    pub(super) behind: Weight,
    /// As long as this lives the store begins no other compaction.
    pub(super) running: Arc<()>,
}

/// A checkpoint that was written; see [`super::Store::finish_compaction`].
#[derive(Debug)]
pub struct Compacted {
    pub(super) generation: u64,
    /// In bytes.
    pub(super) length: u64,
    pub(super) behind: Weight,
    _running: Arc<()>,
}

/// How much there is to read behind a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub files: u64,
    pub bytes: u64,
}

impl<D: Disk> Compaction<D> {
    /// Writes all entries as they were when the compaction began, and removes the files that nobody needs any more.
    ///
    /// # Errors
    /// What the system says, or an entry cannot be written, which no commit had accepted. The state is as safe as before;
    /// a full disk will not have more room at once, so wait before the next try.
    pub fn write<'a, E: Borrow<Entry>>(
        self,
        all: impl IntoIterator<Item = (&'a str, E)>,
    ) -> io::Result<Compacted> {
        let generation = self.start.generation;
        let fresh = files::unfinished(generation);
        let failed_syncs = self.disk.failed_syncs();
        let written = self.write_file(&fresh, all).and_then(|length| {
            self.disk.rename(&fresh, &files::checkpoint(generation))?;
            sync_since(&self.disk, failed_syncs)?;
            Ok(length)
        });
        let length = written.inspect_err(|_| {
            // What is left of it is removed with the next checkpoint.
            let _ = remove_if_there(&self.disk, &fresh);
        })?;
        self.remove_old();
        Ok(Compacted {
            generation,
            length,
            behind: self.behind,
            _running: self.running,
        })
    }

    /// Gives the length.
    fn write_file<'a, E: Borrow<Entry>>(
        &self,
        name: &str,
        all: impl IntoIterator<Item = (&'a str, E)>,
    ) -> io::Result<u64> {
        let mut out = Buffered::new(self.disk.create(name)?);
        let generation = self.start.generation;
        self.start.encode(Kind::Checkpoint, &mut out.waiting);
        let mut count = 0;
        for (name, entry) in all {
            let change = Change::Set(name, entry.borrow());
            record::check(&change)?;
            count += 1;
            record::encode(count, false, &change, generation, &mut out.waiting);
            out.write_if_much()?;
        }
        record::encode_end(count + 1, generation, &mut out.waiting);
        out.finish_synced()
    }

    /// What remains does no harm and is removed another time.
    fn remove_old(&self) {
        let Ok(files) = Files::list(&self.disk) else {
            return;
        };
        let unneeded = files.unneeded(self.keep, self.start.generation);
        for name in unneeded {
            let _ = self.disk.remove(&name);
        }
    }
}

impl Weight {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    pub(super) fn without(self, other: Weight) -> Weight {
        Weight {
            files: self.files.saturating_sub(other.files),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}
