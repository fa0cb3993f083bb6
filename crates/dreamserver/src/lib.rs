//! The front door of a machine: an HTTP server, reverse proxy and static file server.
//!
//! A request walks one straight hallway through these rooms, and its response walks back:
//! `listener → tls → protocol → serve → router → middleware → handler → upstream`.
//! The back office (`acme`, `admin`, `authority`, `certificates`, `cli`, `config`, `control`, `detach`, `library`, `pid_file`, `server`, `state`, `systemd`, `takeover`) builds what the
//! hallway uses. The shelf (all
//! the others) is used by every room. A room imports rooms to its right and the shelf only.

#[cfg(windows)]
compile_error!("DreamServer needs a Unix: on Windows, build and run it inside WSL");

pub mod acme;
pub mod address;
pub mod admin;
pub mod authority;
pub mod certificates;
pub mod challenges;
pub mod cli;
pub mod coding;
pub mod config;
pub mod control;
pub mod credential;
pub mod detach;
pub mod digits;
pub mod error;
pub mod exchange;
pub mod handler;
pub mod inbound;
pub mod library;
pub mod limits;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod middleware;
pub mod options;
pub mod outbound;
pub mod pid_file;
pub mod pipe;
pub mod protocol;
pub mod router;
pub mod serve;
pub mod server;
pub mod sockets;
pub mod spare;
pub mod state;
pub mod stream;
pub mod systemd;
pub mod takeover;
pub mod template;
pub mod time;
pub mod tls;
pub mod upstream;
pub mod whole_file;

pub use exchange::{Body, Request, Response};
pub use library::{Mux, Running, Server};
