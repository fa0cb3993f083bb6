#![no_main]

// The file itself and not the crate: of the server's dependencies it needs the library of TLS only.
#[path = "../../crates/dreamserver/src/tls/first.rs"]
#[allow(dead_code, unused_imports)]
mod first;

libfuzzer_sys::fuzz_target!(|input: &[u8]| first::fuzz_first(input));
