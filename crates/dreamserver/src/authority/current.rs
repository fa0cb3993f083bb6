//! The CAs as they are now, for a server that runs while `dreamserver trust` makes and installs them.

use super::{AuthorityError, LocalCa, Places};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// [`LocalCa::find`] for who asks often: files are read only when one of them has changed.
#[derive(Debug)]
pub struct CurrentCa {
    places: Places,
    found: Mutex<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    seen: Seen,
    ca: Option<Arc<LocalCa>>,
}

impl CurrentCa {
    /// Nothing is looked for before it is asked for.
    pub fn new(places: Places) -> CurrentCa {
        CurrentCa {
            places,
            found: Mutex::new(None),
        }
    }

    /// The CAs that are trusted now. As long as nothing changes that costs four system calls, and gives the same `Arc`.
    ///
    /// # Errors
    /// As [`LocalCa::find`]. The next call looks again, as it does when one of several CAs is unusable.
    pub fn get(&self) -> Result<Option<Arc<LocalCa>>, AuthorityError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the files are read: a change in between is one that the next call sees.
        let seen = Seen::now(&self.places);
        if let Some(found) = found.as_ref().filter(|found| found.seen == seen) {
            return Ok(found.ca.clone());
        }
        *found = None;
        let ca = LocalCa::find(&self.places)?.map(Arc::new);
        // What mends a CA, such as a change of a key's mode, is not always seen.
        let is_whole = ca.as_ref().is_none_or(|ca| ca.unusable().is_empty());
        *found = is_whole.then(|| Found {
            seen,
            ca: ca.clone(),
        });
        Ok(ca)
    }
}

/// What changes when a file does. Files of ours are replaced, which changes the folder; mkcert writes into its own.
#[derive(Debug, PartialEq, Eq)]
struct Seen([Option<Stamp>; 4]);

/// Inode, length, and the time of the last change, in seconds and nanoseconds.
type Stamp = (u64, u64, i64, i64);

impl Seen {
    fn now(places: &Places) -> Seen {
        let mkcert = places.mkcert.as_deref();
        let file = |name: &str| stamp(&mkcert?.join(name));
        Seen([
            places.own.as_deref().and_then(stamp),
            mkcert.and_then(stamp),
            file("rootCA.pem"),
            file("rootCA-key.pem"),
        ])
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.len(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ))
}
