//! What the tests drive DreamServer with: raw sockets, real processes, scripted origins.
//!
//! A test of a server must not share code with it, or both are wrong together: nothing here uses
//! `dream-http`. Everything blocks, on threads, with a deadline on every wait; a test that waits for something
//! asks for it by condition ([`eventually`]) and never sleeps for a guessed time. Every socket is on port zero.

mod authority;
mod bytes;
mod caddy;
mod client;
mod directory;
mod folder;
mod message;
mod origin;
mod pebble;
mod server;
mod tls;
mod wait;

pub use authority::{Authority, Issued, KeyKind};
pub use bytes::{Checksum, Random, pattern};
pub use caddy::Caddy;
pub use client::{Client, ReadError};
pub use directory::Directory;
pub use folder::Folder;
pub use message::{Body, Head, Response, latin1, latin1_bytes};
pub use origin::{Connection, Origin, Request, respond};
pub use pebble::{Dns, Pebble};
pub use rustix::process::Signal;
pub use server::{Exit, Server, free_port, raise_descriptor_limit};
pub use tls::{Security, alert};
pub use wait::{DEADLINE, eventually, poll_until};
