//! Announcements: how a program tells DreamServer that it wants to be served.
//!
//! One line of text, in a UDP datagram or over TCP, to port [`PORT`] of the loopback address:
//!
//! ```text
//! add example.com 5665
//! ```
//!
//! The server answers in text too, as in `ok add example.com 5665`. This crate is that grammar —
//! [`Command`], [`Domain`], [`Fault`], [`Reply`] — for both sides, and [`Client`], which sends a command and
//! waits for the reply. It needs nothing but the standard library, so that any program can afford it.
//!
//! A program that listens on port 5665 and wants to be <https://example.com>:
//!
//! ```no_run
//! fn main() -> Result<(), dream_control::Error> {
//!     dream_control::announce("example.com", 5665)
//! }
//! ```
//!
//! With options, and the server's own words:
//!
//! ```no_run
//! use dream_control::{Add, Client, Command, Domain};
//! use std::time::Duration;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let domain = Domain::parse("*.example.com")?;
//!     let mut add = Add::new(domain, 5665);
//!     add.ttl = Some(Duration::from_secs(60));
//!     add.pid = Some(std::process::id());
//!     let reply = Client::local().send(&Command::Add(add))?;
//!     println!("{reply}");
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod add;
mod client;
mod command;
mod domain;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod reply;
mod text;
mod words;

pub use add::Add;
pub use client::{Client, Error, announce};
pub use command::{Certs, Command, MAX_COMMAND};
pub use domain::Domain;
pub use fault::{Code, Fault};
pub use reply::{Refusal, Reply};

/// The port, of UDP and of TCP, on which the server hears commands.
pub const PORT: u16 = 40608;

/// The examples of the documents that use this crate: they compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/announce.md")]
struct Documents;
