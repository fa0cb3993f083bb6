//! What the server writes down: one access line an exchange, lines of connections where they are wanted, and the events of the
//! server itself.
//!
//! Access lines never make a request wait. Each core formats into a buffer of its own ([`Sink`]); whole buffers go
//! to one thread that owns the file ([`Writer`]). If the disk cannot follow, lines are dropped and counted, and the
//! count is a line of its own once the disk is back. Events are few and go to standard error at once
//! ([`init_events`]); a server that has let go of its terminal writes them between the access lines ([`EventSink`]).
//!
//! No client can forge a line: `escape.rs` says what a value may look like.

mod escape;
mod events;
mod file;
mod record;
mod writer;

use std::fmt;
use std::path::PathBuf;

pub use events::{Events, init_events};
pub use record::{Record, Visit};
pub use writer::{EventSink, Sink, Writer};

/// Where access lines go, and what they look like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where they go.
    pub target: Target,
    /// What they look like.
    pub format: Format,
    /// Whether the query is in them: it often holds what should not be kept.
    pub query: bool,
    /// Whether there are lines of connections that come and go.
    pub connections: bool,
    /// Bytes of all log files together, at least [`Options::MIN_SIZE`].
    pub max_size: u64,
}

impl Options {
    /// Below this a file of the rotation could be smaller than one line with the largest head, all of it escaped.
    pub const MIN_SIZE: u64 = 2 * 1024 * 1024;
}

impl Default for Options {
    fn default() -> Options {
        Options {
            target: Target::Stdout,
            format: Format::Text,
            query: true,
            connections: false,
            // Half a million to a million lines, and no small machine's disk is full because of them.
            max_size: 200 * 1000 * 1000,
        }
    }
}

/// Where access lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To a file that is rotated, and opened anew on SIGUSR1.
    File(PathBuf),
}

/// Where somebody finds the log of a server that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Off,
    /// Where its standard output goes: a terminal, mostly.
    Stdout,
    /// In the journal of systemd.
    Journal,
    /// In this file and those that it was rotated into.
    File(PathBuf),
}

impl Place {
    /// Where lines for `target` are found.
    pub fn of(target: &Target) -> Place {
        match target {
            Target::Off => Place::Off,
            Target::Stdout if is_journal() => Place::Journal,
            Target::Stdout => Place::Stdout,
            // A path that cannot be made absolute is told as it is.
            Target::File(path) => {
                Place::File(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Off => f.write_str("off"),
            Place::Stdout => f.write_str("stdout"),
            Place::Journal => f.write_str("journal"),
            Place::File(path) => path.display().fmt(f),
        }
    }
}

/// Does standard output lead to the journal (systemd.exec(5), `JOURNAL_STREAM`)? A shell that systemd started has the variable
/// too, but other streams.
fn is_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(std::io::stdout())
        .is_ok_and(|stat| journal == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// What access lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `[INFO] DREAM_SERVER REQUEST | name=value | …`, for people.
    Text,
    /// One JSON object a line with the same names, for programs.
    Json,
}
