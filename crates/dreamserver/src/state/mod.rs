//! What the server remembers of announcements, so that nothing that was acknowledged is ever lost.
//!
//! A folder holds a **checkpoint**, which is all entries as they were at one time, and **journals**, which are what
//! changed since. Both are text, one record a line, each line with a checksum of its own:
//!
//! ```text
//! dreamserver journal 1 7 after 1234 repeats 1234 SUM
//! 1235+ set example.com 5665 from=5664 owner=1000 check=/health until=1763757600 process=4711/99887766 since=1763757000 SUM
//! 1236 remove example.org SUM
//! ```
//!
//! The first line says the kind of the file, the version of the format, the generation, after which record the file begins,
//! and which records it writes once more: those that came after `repeats`. Each record has a number; a `+` behind it says that
//! the commit goes on with the next line. The sum is the CRC-32 (that of zlib) of what stands before its space, started with the
//! generation, so that a line of another file is damage and not a record: `zlib.crc32(text, generation)` in Python.
//!
//! Five rules make it safe:
//!
//! * Checkpoint *n* is the state at which journal *n* begins. All journals from *n* on, in order, make it the present one.
//! * A journal is added to as long as everything succeeds. After a failure nothing is written to it any more, and the next
//!   commit begins another one. Its first line says which record was the last that was accepted: what an earlier
//!   journal holds beyond that was refused, and is void.
//! * Once a journal has everything that it writes once more, earlier journals count up to `repeats` only. What voids a refused
//!   record may have been read by a start without being on the disk, and its number been given to another.
//! * A checkpoint gets its name when it is whole and on the disk. It and the one before are kept, with their journals.
//! * What [`Store::open`] found may not be on the disk yet, if the server before was killed while it wrote. So the last
//!   commit is written again at the beginning of a new journal, and what is served is as safe as what is acknowledged.
//!
//! A line that is damaged costs the entry that it was about, and no other; a damaged checkpoint is completed from the
//! one before and its journals.

mod buffered;
mod compaction;
mod damage;
mod disk;
mod files;
mod folder;
mod gathered;
mod header;
mod import;
mod journal;
mod journals;
mod line;
mod mirror;
mod reading;
mod record;
mod recover;
mod sheet;
mod store;
mod tail;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

pub use self::compaction::{Compacted, Compaction};
pub use self::damage::{Damage, Reason};
pub use self::disk::{Disk, DiskFile};
pub use self::folder::{Folder, FolderError, NoFolder, folder};
pub use self::gathered::Gathered;
pub use self::import::{import, old_targets, remember_import};
pub use self::mirror::mirror;
pub use self::store::{OpenError, Recovered, Store};

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

/// Where the requests for a domain go, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The port of the program.
    pub port: u16,
    /// The machine of the program; none is this one.
    pub host: Option<IpAddr>,
    /// Where requests go until the program can take them, if the domain moves.
    pub from: Option<Box<Target>>,
    /// The user that it belongs to, by number; none if that is not known.
    pub owner: Option<u32>,
    /// The path that is asked to see whether the program is well, at most [`Entry::LONGEST_CHECK`] bytes.
    pub check: Option<Box<str>>,
    /// When the announcement ends if it is not repeated, in seconds since 1970 (UTC).
    pub until: Option<u64>,
    /// The process that it ends with.
    pub process: Option<Process>,
    /// When it was announced first, in seconds since 1970 (UTC); four bytes, of which there may be a million, last until 2106. None
    /// if it was kept before this was.
    pub since: Option<NonZeroU32>,
}

impl Entry {
    /// How long a check may be, in bytes: as long as Linux lets a path be (PATH_MAX).
    pub const LONGEST_CHECK: usize = 4096;

    /// A port of this machine, and nothing else.
    pub fn on_port(port: u16) -> Entry {
        Entry {
            port,
            host: None,
            from: None,
            owner: None,
            check: None,
            until: None,
            process: None,
            since: None,
        }
    }

    /// Where the program is.
    pub fn target(&self) -> Target {
        Target {
            host: self.host,
            port: self.port,
        }
    }

    /// Where requests go.
    pub fn routed(&self) -> Target {
        match &self.from {
            Some(from) => Target::clone(from),
            None => self.target(),
        }
    }
}

/// Where requests can go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Another machine; none is this one.
    pub host: Option<IpAddr>,
    /// The port of the program.
    pub port: u16,
}

/// A port, or a machine and its port.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => SocketAddr::new(host, self.port).fmt(f),
            None => self.port.fmt(f),
        }
    }
}

/// A process; the number alone is used again by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in the unit of the system that was asked. It is compared for equality only.
    pub started: u64,
}

/// What a commit does to one domain: a name in plain ASCII and lower case, of at most 255 bytes, without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// From now on this is its entry.
    Set(&'a str, &'a Entry),
    /// From now on it has none.
    Remove(&'a str),
}

impl<'a> Change<'a> {
    /// Sets the entry, or removes the one that the domain has.
    pub fn new(name: &'a str, entry: Option<&'a Entry>) -> Change<'a> {
        match entry {
            Some(entry) => Change::Set(name, entry),
            None => Change::Remove(name),
        }
    }

    /// The domain that is changed.
    pub fn name(&self) -> &'a str {
        match self {
            Change::Set(name, _) | Change::Remove(name) => name,
        }
    }
}
