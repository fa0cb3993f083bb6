//! The folder of our own CAs: nobody but its owner reads it, and a file in it is whole.

use super::AuthorityError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes sure that there is a folder at `path`; if it is new, then for its owner only.
pub(super) fn prepare(path: &Path) -> Result<(), AuthorityError> {
    let mut builder = DirBuilder::new();
    builder
        .mode(0o700)
        .recursive(true)
        .create(path)
        .map_err(|error| system(path, error))
}

/// Nobody else changes the folder as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

impl Lock {
    /// Waits until whoever has the lock is done.
    pub(super) fn take(folder: &Path) -> Result<Lock, AuthorityError> {
        let lock = || {
            let file = File::open(folder)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(Lock { _folder: file })
        };
        lock().map_err(|error| system(folder, error))
    }
}

/// Puts a file in place of the one that is there, if any: whole, and on the disk.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), AuthorityError> {
    let folder = path.parent().ok_or(AuthorityError::NoFolder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    write(&fresh, content, mode)
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| system(path, error))
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // One that was left by a run that was ended may have another mode.
    remove_if_there(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Removes a file; that it is gone already is well.
pub(super) fn remove(path: &Path) -> Result<(), AuthorityError> {
    remove_if_there(path).map_err(|error| system(path, error))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn system(path: &Path, error: io::Error) -> AuthorityError {
    AuthorityError::System(path.to_owned(), error)
}
