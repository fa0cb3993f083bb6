//! Announcements: how a program tells DreamServer that it wants to be served.
//!
//! One line of text, in a UDP datagram or over TCP, to port [`PORT`] of the loopback address:
//!
//! ```text
//! add example.com 5665
//! ```
//!
//! The server answers in text too, as in `ok add example.com 5665`. This crate is that grammar —
//! [`Command`], [`Domain`], [`Fault`], [`Reply`] — for both sides. It needs nothing but the standard library, so that any program can afford it.
#![forbid(unsafe_code)]

mod add;
mod command;
mod domain;
mod fault;
mod reply;
mod text;
mod words;

pub use add::Add;
pub use command::{Command, MAX_COMMAND};
pub use domain::Domain;
pub use fault::{Code, Fault};
pub use reply::{Refusal, Reply};

/// The port, of UDP and of TCP, on which the server hears commands.
pub const PORT: u16 = 40608;
