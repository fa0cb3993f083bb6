//! Certificates in files that the configuration names. They are read again when they change, and only a pair that fits is taken.

use super::policy::{PolicyError, load_policy};
use crate::config::{ClientsConfig, Pair};
use crate::credential::{Credential, CredentialError};
use crate::tls::ClientPolicy;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, Metadata};
use std::hash::Hash;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What was read, and how the files were then.
#[derive(Default)]
pub struct Files {
    pairs: HashMap<Pair, Kept<Credential>>,
    policies: HashMap<ClientsConfig, Kept<ClientPolicy>>,
    /// Something may have been read that nobody goes by.
    unused: bool,
}

/// What is in use of some files.
pub(super) struct Kept<T> {
    value: T,
    /// What is wrong with what is in the files now, so that what was there before stays.
    trouble: Option<String>,
    seen: Vec<(PathBuf, Stamp)>,
}

impl<T> Kept<T> {
    pub(super) fn value(&self) -> &T {
        &self.value
    }

    /// Has any of the files changed since it was read?
    pub(super) fn has_changed(&self) -> bool {
        let mut seen = self.seen.iter();
        seen.any(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

/// Two looks at a file that give the same found the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Missing,
    Present {
        inode: u64,
        size: u64,
        modified: (i64, i64),
    },
}

impl Files {
    /// Reads a pair, if it has changed. If what is there now does not do, the one that was read before stays in use, and that is
    /// reported, once.
    ///
    /// # Errors
    /// [`PairError`] if there never was one that did.
    pub fn pair(&mut self, pair: &Pair) -> Result<Credential, PairError> {
        let files = [&pair.cert, &pair.key];
        keep(&mut self.pairs, pair, &files, || load_pair(pair))
    }

    /// What is in use of a pair that was read, and what is wrong with what is there now.
    pub fn look(&self, pair: &Pair) -> Option<(&Credential, Option<&str>)> {
        let kept = self.pairs.get(pair)?;
        Some((&kept.value, kept.trouble.as_deref()))
    }

    /// The same with the file of a policy.
    ///
    /// # Errors
    /// [`PolicyError`] if there never was one that did.
    pub fn policy(&mut self, clients: &ClientsConfig) -> Result<ClientPolicy, PolicyError> {
        let load = || load_policy(clients);
        keep(&mut self.policies, clients, &[&clients.ca], load)
    }

    /// Has any of the files changed since what is in use was read? Whoever asks takes what there is now.
    pub fn have_changed(&mut self) -> bool {
        let unused = std::mem::take(&mut self.unused);
        unused && !(self.pairs.is_empty() && self.policies.is_empty())
            || self.pairs.values().any(Kept::has_changed)
            || self.policies.values().any(Kept::has_changed)
    }

    /// What was read last is not used, for another reason: it is there for the next who asks whether files have changed.
    pub fn leave_unused(&mut self) {
        self.unused = true;
    }

    /// Forgets what the configuration no longer names.
    pub fn forget_others(&mut self, pairs: &[&Pair], clients: &[&ClientsConfig]) {
        self.pairs.retain(|pair, _| pairs.contains(&pair));
        self.policies.retain(|policy, _| clients.contains(&policy));
    }
}

/// What `files` hold, as `load` reads it; what is there already if they are as they were, or do not do.
pub(super) fn keep<K, V, E>(
    kept: &mut HashMap<K, Kept<V>>,
    key: &K,
    files: &[&PathBuf],
    load: impl FnOnce() -> Result<V, E>,
) -> Result<V, E>
where
    K: Clone + Eq + Hash,
    V: Clone,
    E: fmt::Display,
{
    // Before they are read: a change between the two looks is seen later.
    let look = |path: &&PathBuf| ((*path).clone(), Stamp::of(path));
    let seen: Vec<_> = files.iter().map(look).collect();
    let before = kept.get(key);
    if let Some(before) = before.filter(|before| before.seen == seen) {
        return Ok(before.value.clone());
    }
    let (value, trouble) = match (load(), before) {
        (Ok(value), _) => (value, None),
        (Err(error), Some(before)) => {
            tracing::error!("what was in use stays: {error}");
            (before.value.clone(), Some(error.to_string()))
        }
        (Err(error), None) => return Err(error),
    };
    let fresh = Kept {
        value: value.clone(),
        trouble,
        seen,
    };
    kept.insert(key.clone(), fresh);
    Ok(value)
}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        fs::metadata(path).map_or(Stamp::Missing, |found: Metadata| Stamp::Present {
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// Reads a certificate and its key.
///
/// # Errors
/// [`PairError`] if they cannot be read, or do not belong together.
pub fn load_pair(pair: &Pair) -> Result<Credential, PairError> {
    let read = |path: &Path| {
        fs::read(path)
            .map_err(|error| PairError::Unreadable(path.to_owned(), path == pair.key, error))
    };
    let (cert, key) = (read(&pair.cert)?, read(&pair.key)?);
    Credential::from_pem(&cert, &key).map_err(|error| PairError::Unusable(pair.clone(), error))
}

/// Why a certificate and its key cannot be used.
#[derive(Debug)]
pub enum PairError {
    /// This file cannot be read; is it the key?
    Unreadable(PathBuf, bool, io::Error),
    /// What is in the files does not do.
    Unusable(Pair, CredentialError),
}

impl PairError {
    /// Is it about the key, and not about the certificate?
    pub fn is_of_key(&self) -> bool {
        match self {
            PairError::Unreadable(_, is_key, _) => *is_key,
            PairError::Unusable(_, error) => !matches!(error, CredentialError::Chain(_)),
        }
    }
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PairError::Unreadable(path, _, error) => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            PairError::Unusable(pair, CredentialError::Mismatch) => write!(
                f,
                "the key in {} is not that of the certificate in {}",
                pair.key.display(),
                pair.cert.display()
            ),
            PairError::Unusable(pair, error) => {
                let file = if self.is_of_key() {
                    &pair.key
                } else {
                    &pair.cert
                };
                write!(f, "{}: {error}", file.display())
            }
        }
    }
}

impl std::error::Error for PairError {}
