#![no_main]

// The file itself and not the crate: the server's other dependencies would take minutes to build for one function.
#[path = "../../crates/dreamserver/src/handler/files/path.rs"]
mod path;

libfuzzer_sys::fuzz_target!(|input: &[u8]| path::fuzz_path(input));
