#![no_main]

use dream_control::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::announcement(input));
