//! Taking over: a new process goes on where a running one is, and nobody who is connected or connects notices.
//!
//! Both share the folder of the state, and in it a unix socket at which the running process, the **giver**, can be asked.
//! The new one, the **taker**, says a line and gets lines:
//!
//! ```text
//! taker  dreamserver takes over, versions 1 to 1, program 0.2.0, serves core
//! giver  dreamserver hands over, version 1, program 0.1.0, serves core, mode dev
//! taker  give                            the giver stops reading announcements; the system keeps those that come
//! giver  lock                            with a descriptor: whoever has it may write the state
//! giver  socket http :80 0.0.0.0:80      with a descriptor: what it is for, the entry of `listen`, its address
//! giver  all 1234                        that was all; so many names are in the state
//! taker  ready                           it accepts connections as well, and knows all names
//! giver  go                              it will not write the state again
//! taker  running                         only now the giver accepts no more connections, and finishes what it has
//! giver                                  closes the conversation when that is so
//! ```
//!
//! Either may say `no` and why instead, or go away. Until `running` the giver can go on as if nothing had happened, and
//! does. A taker whose giver dies has all that it needs as soon as it has heard `all`, and goes on alone.
//!
//! Sockets are handed over, never opened again: the connections that wait in one would be lost with it.

#![allow(
    clippy::disallowed_methods,
    reason = "nothing here is waited for by a request: the control thread gives, and who takes does not serve yet"
)]

mod channel;
mod door;
mod give;
mod holdings;
mod message;
mod take;

pub use door::Door;
pub use give::{Asking, Offer};
pub use holdings::{Holding, Holdings};
pub use message::{Purpose, Serves};
pub use take::{Given, Taking, ask};

use std::fmt;
use std::io;

/// Why a process does not hand over, or another does not take.
#[derive(Debug)]
pub enum Error {
    /// The other one said so.
    Refused(String),
    /// The other one went away, or the connection failed.
    Connection(io::Error),
    /// It said what nobody understands.
    Unexpected(String),
    /// It took too long.
    Slow,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(reason) => f.write_str(reason),
            Error::Connection(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it ended before it was ready")
            }
            Error::Connection(error) => write!(f, "the connection to it failed: {error}"),
            Error::Unexpected(line) => write!(f, "it said {line:?}, which is not understood"),
            Error::Slow => f.write_str("it took too long"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connection(source) => Some(source),
            Error::Refused(_) | Error::Unexpected(_) | Error::Slow => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Connection(error)
    }
}
