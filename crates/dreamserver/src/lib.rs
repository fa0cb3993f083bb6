//! The front door of a machine: an HTTP server, reverse proxy and static file server.
//!
//! `dreamserver` is a program first; this is its engine, for servers of one's own. Handlers are async functions, and limits, time-outs,
//! logs, HTTPS and the drain at the end are the program's:
//!
//! ```no_run
//! use dreamserver::{Mux, Request, Response, Server};
//!
//! fn main() -> std::process::ExitCode {
//!     let mut mux = Mux::new();
//!     mux.handle("GET /hello/{name}", async |request: &mut Request| {
//!         let name = request.value("name").unwrap_or_default();
//!         Response::text(format!("Hello, {name}!\n"))
//!     });
//!     Server::new(mux).listen("127.0.0.1:8080").run()
//! }
//! ```
//!
//! # What there is
//!
//! * A [`Mux`] says who answers which requests: functions, folders of files, other servers.
//! * A [`Server`] serves a mux, as the whole program ([`Server::run`]) or beside the rest of one ([`Server::start`]). A [`Config`] is what a
//!   `dreamserver.toml` says: limits, logs, certificates, further sites.
//! * A handler is shown a [`Request`] and gives a [`Response`], or what becomes one: a text, or a [`Result`] of two such things. [`error`] has the
//!   pages that the program itself answers with.
//! * A [`Body`] is in memory, or made while it is sent (by a [`Source`]), or comes from a connection ([`BodyHandle`]). Those of requests are read whole
//!   ([`Request::read_body`]) or in pieces ([`Request::read_pieces`]).
//! * A [`Middleware`] sees requests before the handlers that it is put before, and responses after them; it may change heads, and put
//!   bodies of its own in the place of theirs ([`Body::into_handle`]).
//! * Heads and their fields are those of [`dream_http`], whose most needed names are here too.
//!
//! The folder `examples` has a greeting, a JSON API with uploads, a proxy that signs what it passes on, and pages that are part of the program.
//! A program that only wants to be served by a DreamServer which runs already needs nothing of this, but `dream-control`.
//!
//! # What is promised
//!
//! This page is all that is public, and it follows [Semantic Versioning](https://semver.org/): `api.txt` lists it, and a test compares. Types of
//! other crates that are part of it: those of [`dream_http`], `Bytes` of `bytes`, and the receiver of a channel of `tokio`, as a [`Source`].

// A request walks one straight hallway through these rooms, and its response walks back:
// `listener → tls → protocol → serve → router → middleware → handler → upstream`.
// The back office (`acme`, `admin`, `authority`, `certificates`, `cli`, `config`, `control`, `detach`, `library`, `pid_file`,
// `server`, `state`, `systemd`, `takeover`) builds what the hallway uses. The shelf (all the others) is used by every room. A room
// imports rooms to its right and the shelf only. None is public: what users of the library need of them is named at the end.

#[cfg(windows)]
compile_error!("DreamServer needs a Unix: on Windows, build and run it inside WSL");

mod acme;
mod address;
mod admin;
mod authority;
mod certificates;
mod challenges;
mod cli;
mod coding;
mod config;
mod control;
mod credential;
mod detach;
mod digits;
pub mod error;
mod exchange;
mod handler;
mod inbound;
#[doc(hidden)]
pub mod inside;
mod library;
mod limits;
mod listener;
mod log;
mod metrics;
mod middleware;
mod options;
mod outbound;
mod owned;
mod pid_file;
mod pipe;
mod protocol;
mod router;
mod serve;
mod server;
mod sockets;
mod spare;
mod state;
mod stream;
mod systemd;
mod takeover;
mod template;
mod time;
mod tls;
mod upstream;
mod whole_file;

pub use config::{Config, Errors as ConfigErrors};
pub use dream_http::{Fields, Method, Name, RequestHead, ResponseHead};
pub use exchange::{
    Body, BodyError, BodyHandle, ClientCertificate, Peer, Request, RequestId, Response, Scheme,
    Security, Source,
};
pub use library::{Failure, Mux, Running, Server};
pub use middleware::{Custom as Middleware, Flow};

/// The examples of the documents that use this crate: they compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
struct Documents;
