#![no_main]

use dream_http::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::connection_client(input));
