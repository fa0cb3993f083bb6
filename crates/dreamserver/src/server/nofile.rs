//! How many files, and so connections, the system allows this process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are not connections: the program, logs, listeners, files that are being sent.
const RESERVED: u64 = 256;

/// And of each core: large files that stay open for a moment, and pipes.
const RESERVED_PER_CORE: u64 = 192;

/// Where the system sets no bound, this many.
const PLENTY: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one, and tells how many clients fit: a proxied one needs two.
pub(super) fn most_connections(cores: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(PLENTY);
    let reserved = RESERVED + RESERVED_PER_CORE * cores as u64;
    let connections = files.saturating_sub(reserved).max(2) / 2;
    usize::try_from(connections).unwrap_or(usize::MAX)
}
