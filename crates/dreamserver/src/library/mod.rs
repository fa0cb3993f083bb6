//! The engine for servers of one's own: handlers that are functions, the paths that they are for, and a server around them.
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

mod function;
mod mux;
mod server;

pub use mux::Mux;
pub use server::{Failure, Running, Server};
