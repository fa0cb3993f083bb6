//! The folder of our own CAs: nobody but its owner reads it, and a file in it is whole.

use super::AuthorityError;
use crate::{owned, whole_file};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::path::Path;

/// Makes sure that there is a folder at `path`; if it is new, then for its owner only.
pub(super) fn prepare(path: &Path) -> Result<(), AuthorityError> {
    owned::create_folder(path).map_err(|error| system(path, error))
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
    whole_file::replace(path, content, mode).map_err(|error| system(path, error))
}

/// Removes a file; that it is gone already is well.
pub(super) fn remove(path: &Path) -> Result<(), AuthorityError> {
    whole_file::remove(path).map_err(|error| system(path, error))
}

fn system(path: &Path, error: io::Error) -> AuthorityError {
    AuthorityError::System(path.to_owned(), error)
}
