//! A file that is written in large pieces.

use std::io;

use super::DiskFile;

#[derive(Debug)]
pub(super) struct Buffered<F> {
    file: F,
    /// What comes next; [`Buffered::write_if_much`] after each addition.
    pub waiting: Vec<u8>,
    written: u64,
}

impl<F: DiskFile> Buffered<F> {
    pub(super) fn new(file: F) -> Buffered<F> {
        Buffered {
            file,
            waiting: Vec::with_capacity(2 * PIECE),
            written: 0,
        }
    }

    pub(super) fn write_if_much(&mut self) -> io::Result<()> {
        match self.waiting.len() < PIECE {
            true => Ok(()),
            false => self.write(),
        }
    }

    /// Writes all that waits.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.waiting)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Gives the length, once all of it is on the disk.
    pub(super) fn finish_synced(mut self) -> io::Result<u64> {
        self.write()?;
        self.file.sync()?;
        Ok(self.written)
    }
}

/// Bytes of one write: so many that a system call costs nothing beside them.
const PIECE: usize = 256 * 1024;
