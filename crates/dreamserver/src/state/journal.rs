//! A journal while it is written: as long as everything succeeds, and not a byte longer.

use std::io;

use super::disk::sync_since;
use super::header::{Kind, Start};
use super::{Change, Disk, DiskFile, files, record};

/// A journal that is not on the disk yet.
#[derive(Debug)]
pub(super) struct Beginning<F> {
    file: F,
    start: Start,
    text: Vec<u8>,
    /// Bytes of the text that are in the file.
    written: usize,
    /// Those of the folder before the file was created.
    failed_syncs: u64,
}

/// The journal that commits go to.
#[derive(Debug)]
pub(super) struct Journal<F> {
    file: F,
    start: Start,
    /// Bytes that are on the disk.
    length: u64,
}

/// Why a commit was refused. Nothing may be written to the journal any more.
#[derive(Debug)]
pub(super) enum Refused {
    /// The disk is full, or the like. What was accepted before is safe.
    NotWritten(io::Error),
    /// The disk failed, and may have lost of this generation's journal what it had before.
    NotSynced(u64, io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::NotWritten(error)
    }
}

impl<F: DiskFile> Beginning<F> {
    /// Creates the file for a journal that begins with these changes.
    pub(super) fn create<D: Disk<File = F>>(
        disk: &D,
        start: Start,
        changes: &[Change<'_>],
    ) -> io::Result<Beginning<F>> {
        let mut text = Vec::new();
        start.encode(Kind::Journal, &mut text);
        encode(start.after, changes, start.generation, &mut text);
        Ok(Beginning {
            failed_syncs: disk.failed_syncs(),
            file: disk.create(&files::journal(start.generation))?,
            start,
            text,
            written: 0,
        })
    }

    /// Writes what is not written yet. After an error, as on a full disk, it may be tried again.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while self.written < self.text.len() {
            match self.file.write(&self.text[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// When this returns, file, name and changes are on the disk. After an error the file is not trusted again.
    pub(super) fn finish<D: Disk<File = F>>(mut self, disk: &D) -> io::Result<Journal<F>> {
        self.file.sync()?;
        sync_since(disk, self.failed_syncs)?;
        Ok(Journal {
            file: self.file,
            start: self.start,
            length: self.text.len() as u64,
        })
    }

    pub(super) fn start(&self) -> Start {
        self.start
    }
}

impl<F: DiskFile> Journal<F> {
    /// Adds one commit, whose records come after the one with the number `after`. When this returns, it is on the disk;
    /// gives its length in bytes.
    pub(super) fn append(&mut self, after: u64, changes: &[Change<'_>]) -> Result<u64, Refused> {
        let generation = self.start.generation;
        let mut text = Vec::new();
        encode(after, changes, generation, &mut text);
        if let Err(error) = self.file.write_all(&text) {
            // So that what was refused does not come back if the server ends before the next journal begins.
            let _ = self.file.truncate(self.length);
            return Err(Refused::NotWritten(error));
        }
        let not_synced = |error| Refused::NotSynced(generation, error);
        self.file.sync().map_err(not_synced)?;
        let length = text.len() as u64;
        self.length += length;
        Ok(length)
    }

    pub(super) fn start(&self) -> Start {
        self.start
    }

    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

fn encode(after: u64, changes: &[Change<'_>], generation: u64, out: &mut Vec<u8>) {
    let last = changes.len() as u64;
    for (number, change) in (1..).zip(changes) {
        record::encode(after + number, number < last, change, generation, out);
    }
}
