//! The engine for servers of one's own: handlers that are functions, the paths that they are for, and a server around them.

mod function;
mod mux;
mod server;

pub use mux::Mux;
pub use server::{Failure, Running, Server};
