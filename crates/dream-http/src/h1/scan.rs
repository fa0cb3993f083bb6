//! Finding where a run of allowed bytes ends. Each function looks at every byte once and returns the
//! position of the first byte that is not allowed, or the length of the input.

use crate::fields::{is_token_byte, is_value_byte};

/// Skips the bytes of a token (RFC 9110 §5.6.2).
pub(super) fn skip_token(bytes: &[u8], at: usize) -> usize {
    skip(bytes, at, &TOKEN)
}

/// Skips what may stand in a field value or a reason phrase: everything but controls.
pub(super) fn skip_text(bytes: &[u8], at: usize) -> usize {
    skip(bytes, at, &TEXT)
}

/// Skips what may stand in a request target: visible ASCII but `#`, which begins a fragment and never
/// is sent (RFC 9112 §3.2). RFC 3986 wants `\ " < > ^ backtick { | }` escaped too, but browsers
/// send some of them raw, and they cannot be mistaken for the end of the target.
pub(super) fn skip_target(bytes: &[u8], at: usize) -> usize {
    skip(bytes, at, &TARGET)
}

/// Skips spaces and tabs.
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

fn skip(bytes: &[u8], at: usize, allowed: &[bool; 256]) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let run = rest.iter().position(|&byte| !allowed[byte as usize]);
    at + run.unwrap_or(rest.len())
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

static TEXT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_value_byte(byte as u8);
        byte += 1;
    }
    table
};

static TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte > 0x20 && byte < 0x7f && byte != b'#' as usize;
        byte += 1;
    }
    table
};
