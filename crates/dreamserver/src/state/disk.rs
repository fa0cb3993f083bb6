//! What the state asks of a disk: one folder of files, so little of it that a test can simulate every way to fail.

use std::fmt::Debug;
use std::io::{self, Write};

/// A folder. Its methods take names within it.
///
/// What was written is on the disk for certain after [`DiskFile::sync`], and what was created, renamed or removed
/// after [`Disk::sync`]; until then a loss of power may undo any part of it. After a failed sync that stays so, even if a
/// later one succeeds.
pub trait Disk: Clone + Debug {
    /// A file that is written.
    type File: DiskFile;

    /// Creates a file that only its owner can read.
    ///
    /// # Errors
    /// There is such a file already, or what the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// All bytes of a file. Where the disk cannot give some of them, there are zeros.
    ///
    /// # Errors
    /// There is no such file, or it may not be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Gives a file another name, in the place of who had it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// There is no such file, or what the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Returns once all names are on the disk as they are now.
    ///
    /// # Errors
    /// The disk failed; what became of the names is unknown.
    fn sync(&self) -> io::Result<()>;

    /// How many syncs of the folder have failed, by any clone of this.
    fn failed_syncs(&self) -> u64;
}

/// A file that is written from its beginning to its end.
pub trait DiskFile: Write + Debug {
    /// Returns once all that was written is on the disk.
    ///
    /// # Errors
    /// The disk failed; what became of the bytes is unknown.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to `length` bytes. It is not written to after that.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Syncs the names that were changed when so many syncs had failed. If one has failed since then, by whomever, it may have
/// been the one that would have kept them.
pub(super) fn sync_since(disk: &impl Disk, failed_syncs: u64) -> io::Result<()> {
    disk.sync()?;
    match disk.failed_syncs() == failed_syncs {
        true => Ok(()),
        false => Err(io::Error::other("a sync of the folder has failed before")),
    }
}

/// Puts a file with these bytes into the place of the one with this name. Whoever reads it sees the old bytes or the new ones.
pub(super) fn replace(disk: &impl Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_with(disk, name, |mut file| file.write_all(bytes))
}

/// The same for a file that is written by `write`.
pub(super) fn replace_with<D: Disk>(
    disk: &D,
    name: &str,
    write: impl FnOnce(D::File) -> io::Result<()>,
) -> io::Result<()> {
    let fresh = format!("{name}.new");
    remove_if_there(disk, &fresh)?;
    let written = disk
        .create(&fresh)
        .and_then(write)
        .and_then(|()| disk.rename(&fresh, name));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = disk.remove(&fresh);
    }
    written
}

pub(super) fn remove_if_there(disk: &impl Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
