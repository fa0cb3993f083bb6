//! What tells one state of a file from another, on this machine and for clients.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use crate::exchange::FileState;

/// The state of a file, as far as the file system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// Bytes.
    pub(super) size: u64,
    modified: Stamp,
    changed: Stamp,
}

/// Seconds since 1970 and nanoseconds.
type Stamp = (i64, i64);

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// What must stay while the file is sent.
    pub(super) fn state(&self) -> FileState {
        FileState {
            size: self.size,
            modified: self.modified,
        }
    }

    /// The same of what the system calls tell.
    pub(super) fn of_stat(stat: &rustix::fs::Stat) -> Identity {
        Identity {
            device: stat.st_dev as _,
            inode: stat.st_ino as _,
            size: stat.st_size as _,
            modified: (stat.st_mtime as _, stat.st_mtime_nsec as _),
            changed: (stat.st_ctime as _, stat.st_ctime_nsec as _),
        }
    }

    /// Was this file written to before the other, by whole seconds? What was made in one go may be so by less.
    pub(super) fn is_older_than(&self, other: &Identity) -> bool {
        self.modified.0 < other.modified.0
    }

    /// All of it as text.
    pub(super) fn label(&self) -> String {
        let ((modified, modified_nanos), (changed, changed_nanos)) = (self.modified, self.changed);
        let (device, inode, size) = (self.device, self.inode, self.size);
        format!("{device} {inode} {size} {modified}.{modified_nanos} {changed}.{changed_nanos}")
    }

    /// A strong entity tag (RFC 9110 §8.8.3) of the time of change and the size, but not of the inode: two machines with copies
    /// of one tree agree.
    pub(super) fn etag(&self) -> String {
        let (seconds, nanos) = self.modified;
        format!("\"{seconds:x}-{nanos:x}-{:x}\"", self.size)
    }

    /// When the content was changed last, in seconds since 1970.
    pub(super) fn modified_seconds(&self) -> i64 {
        self.modified.0
    }

    /// The time for `Last-Modified`: whole seconds, and never in the future (RFC 9110 §8.8.2.1).
    pub(super) fn last_modified(&self, wall: SystemTime) -> SystemTime {
        let seconds = u64::try_from(self.modified.0).unwrap_or(0);
        let latest = wall.duration_since(SystemTime::UNIX_EPOCH);
        let latest = latest.unwrap_or_default().as_secs().min(LAST_SECOND);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(latest))
    }

    /// Is the last change so long ago that another one would show? File systems stamp changes with a clock that ticks
    /// (milliseconds on ext4, two seconds on FAT): two changes within a tick look like one.
    pub(super) fn is_settled(&self, wall: SystemTime) -> bool {
        let seconds = u64::try_from(self.modified.0.max(self.changed.0)).unwrap_or(0);
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .and_then(|last| wall.duration_since(last).ok())
            .is_some_and(|age| age > COARSEST_TICK)
    }
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A FIFO, a device or a socket; never served.
    Other,
}

impl Kind {
    pub(super) fn of(metadata: &Metadata) -> Kind {
        if metadata.is_file() {
            Kind::File
        } else if metadata.is_dir() {
            Kind::Folder
        } else {
            Kind::Other
        }
    }
}

/// FAT's two seconds, and the one that whole seconds may hide.
const COARSEST_TICK: Duration = Duration::from_secs(3);

/// 31 December 9999, the last day that an HTTP date can write (RFC 9110 §5.6.7).
const LAST_SECOND: u64 = 253_402_300_799;
