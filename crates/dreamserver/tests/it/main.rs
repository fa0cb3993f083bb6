//! DreamServer from outside: its command line, and bytes over real sockets. One file a behaviour.
//!
//! One binary, so that it links once. Nothing here knows the server's insides.

#![expect(
    clippy::unwrap_used,
    reason = "in a test the panic is the report; clippy knows only the functions that are tests themselves"
)]

mod announce;
mod certs;
mod changing;
mod compress;
mod corpora;
mod demo;
mod examples;
mod files;
mod h1;
mod hostile_endpoint;
mod http11probe;
mod lifecycle;
mod listing;
mod log;
mod modes;
mod owners;
mod pages;
mod peers;
mod proxy;
mod public;
mod ranges;
mod secure_endpoint;
mod smuggling;
mod start;
mod systemd;
mod takeover;
mod tls;
mod transcripts;
mod trust;
mod tunnel;
mod uploads;
mod view;
