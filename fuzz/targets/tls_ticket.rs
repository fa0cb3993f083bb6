#![no_main]

// The file itself and not the crate, as for `tls_hello`.
#[path = "../../crates/dreamserver/src/tls/tickets.rs"]
#[allow(dead_code, unused_imports)]
mod tickets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| tickets::fuzz_ticket(input));
