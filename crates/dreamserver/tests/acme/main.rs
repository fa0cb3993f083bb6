//! Certificates by ACME: the office and a core that serves, with authorities of all moods.

#![expect(
    clippy::unwrap_used,
    reason = "in a test the panic is the report; clippy knows only the functions that are tests themselves"
)]

mod caddy;
mod house;
mod moods;
mod pebble;
