//! How many files, and so connections, the system allows this process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are not connections: the program, logs, listeners, open files of sites.
const RESERVED: u64 = 256;

/// Where the system sets no bound, this many.
const PLENTY: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one, and tells how many clients fit: a proxied one needs two.
pub(super) fn most_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(PLENTY);
    let connections = files.saturating_sub(RESERVED).max(2) / 2;
    usize::try_from(connections).unwrap_or(usize::MAX)
}
