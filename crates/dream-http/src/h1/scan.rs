//! Finding where a run of allowed bytes ends, many bytes at a time.
//!
//! Each function looks at every byte once and returns the position of the first byte that is not allowed, or the
//! length of the input. Words are compared with the arithmetic of "Hacker's Delight" §6-1: a subtraction that borrows marks the
//! byte; a borrow can mark bytes above it too, so only the lowest mark counts.

use crate::fields::TOKEN;

/// Skips the bytes of a token (RFC 9110 §5.6.2).
pub(super) fn skip_token(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let run = rest.iter().position(|&byte| !TOKEN[byte as usize]);
    at + run.unwrap_or(rest.len())
}

/// The first colon of `bytes`, if it is near and not close to the end.
#[inline]
pub(super) fn find_colon(mut bytes: &[u8]) -> Option<usize> {
    for at in (0..NEAR).step_by(8) {
        let marks = equal(word(bytes)?, b':');
        if marks != 0 {
            return Some(at + lowest(marks));
        }
        bytes = &bytes[8..];
    }
    None
}

/// Where `byte` stands first. Targets are short: calling a vectorised search would cost more than it saves.
pub(super) fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut rest = bytes;
    while let Some(word) = word(rest) {
        let marks = equal(word, byte);
        if marks != 0 {
            return Some(bytes.len() - rest.len() + lowest(marks));
        }
        rest = &rest[8..];
    }
    let at = rest.iter().position(|&other| other == byte)?;
    Some(bytes.len() - rest.len() + at)
}

/// Skips what may stand in a field value or a reason phrase: everything but controls (RFC 9110 §5.5).
#[inline(always)]
pub(crate) fn skip_text(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = skip_printable(bytes, at);
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

#[inline(always)]
fn skip_printable(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    // Many values are short.
    for _ in 0..SHORT / 8 {
        let Some(word) = word(rest) else {
            return bytes.len() - rest.len() + printable_bytes(rest);
        };
        let marks = not_printable(word);
        if marks != 0 {
            return bytes.len() - rest.len() + lowest(marks);
        }
        rest = &rest[8..];
    }
    bytes.len() - printable_tail(rest)
}

/// The length of what is left of `rest` where it is no longer printable.
#[inline]
fn printable_tail(mut rest: &[u8]) -> usize {
    // The compiler makes vector instructions of this.
    while let Some((block, tail)) = rest.split_first_chunk::<BLOCK>() {
        let found = block
            .iter()
            .fold(false, |found, &byte| found | (byte < b' ') | (byte == 0x7f));
        if found {
            break;
        }
        rest = tail;
    }
    while let Some(word) = word(rest) {
        let marks = not_printable(word);
        if marks != 0 {
            return rest.len() - lowest(marks);
        }
        rest = &rest[8..];
    }
    rest.len() - printable_bytes(rest)
}

fn printable_bytes(rest: &[u8]) -> usize {
    let run = rest.iter().position(|&byte| byte < b' ' || byte == 0x7f);
    run.unwrap_or(rest.len())
}

#[inline]
const fn not_printable(word: u64) -> u64 {
    below(word, b' ') | equal(word, 0x7f)
}

/// Skips what may stand in a request target: visible ASCII but `#`, which begins a fragment and never
/// is sent (RFC 9112 §3.2). RFC 3986 wants `\ " < > ^ backtick { | }` escaped too, but browsers
/// send some of them raw, and they cannot be mistaken for the end of the target.
pub(super) fn skip_target(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(word) {
        let marks = below(word, b'!') | equal(word, 0x7f) | equal(word, b'#') | word & HIGH;
        if marks != 0 {
            return at + lowest(marks);
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let run = rest
        .iter()
        .position(|&byte| !byte.is_ascii_graphic() || byte == b'#');
    at + run.unwrap_or(rest.len())
}

/// Is this the usual Host: a name or an IPv4 address without a port, in letters, digits, hyphens and dots? Anything else needs a
/// closer look.
pub(super) fn is_plain_host(host: &[u8]) -> bool {
    let mut rest = host;
    while let Some(word) = word(rest) {
        if not_plain(word) != 0 {
            return false;
        }
        rest = &rest[8..];
    }
    // A last word that overlaps the one before, so that no byte is looked at alone.
    match host.last_chunk() {
        Some(last) => not_plain(u64::from_le_bytes(*last)) == 0,
        None => {
            !host.is_empty()
                && host
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        }
    }
}

/// Marks the bytes that are no letter, digit, hyphen or dot; which ones is not sure behind the lowest.
const fn not_plain(word: u64) -> u64 {
    let lower = word | (LOW * 0x20);
    let letter = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
    let rest = at_least(word, b'-') & !at_least(word, b'9' + 1) & !equal(word, b'/');
    (!(letter | rest) | word) & HIGH
}

/// Marks the bytes that are `bound` or more, if none is above 0x7f.
const fn at_least(word: u64, bound: u8) -> u64 {
    word.wrapping_add(LOW * (0x80 - bound as u64))
}

/// Skips spaces and tabs.
#[inline]
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// Marks the bytes below `bound`, which is at most 0x80.
#[inline]
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(LOW * bound as u64) & !word & HIGH
}

/// Marks the bytes that are `byte`.
#[inline]
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (LOW * byte as u64), 1)
}

/// The index of the lowest mark.
#[inline]
const fn lowest(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Bytes of a value that are looked at in words, before longer ones are in blocks.
const SHORT: usize = 16;

/// Bytes that are looked at together in long values.
const BLOCK: usize = 16;

/// How far a colon is looked for in words; longer names are rare.
const NEAR: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// Each byte at each place of a run of each length, against the plain definition.
    #[test]
    fn every_byte_at_every_place() {
        type Skip = fn(&[u8], usize) -> usize;
        type Allowed = fn(u8) -> bool;
        let rules: [(Skip, Allowed); 3] = [
            (skip_text, crate::fields::is_value_byte),
            (skip_target, |byte| {
                (0x21..0x7f).contains(&byte) && byte != b'#'
            }),
            (skip_token, crate::fields::is_token_byte),
        ];
        for (skip, allowed) in rules {
            for len in [1, 7, 8, 9, 17, 40, 41, 75] {
                for at in 0..len {
                    for byte in 0..=u8::MAX {
                        let mut bytes = vec![b'a'; len];
                        bytes[at] = byte;
                        let end = if allowed(byte) { len } else { at };
                        assert_eq!(skip(&bytes, 0), end, "{byte} at {at} of {len}");
                        assert_eq!(skip(&bytes, at), end);
                    }
                }
            }
        }
        assert_eq!(skip_text(b"abc", 3), 3);
        for len in [1, 7, 8, 9, 15, 16, 17, 40] {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut host = vec![b'a'; len];
                    host[at] = byte;
                    let plain = byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
                    assert_eq!(is_plain_host(&host), plain, "{byte} at {at} of {len}");
                }
            }
        }
        assert!(!is_plain_host(b""));
        assert_eq!(find_colon(&[b'a'; 64]), None);
        for at in 0..20 {
            let mut bytes = vec![b'/'; 20];
            assert_eq!(find_byte(&bytes, b'?'), None);
            bytes[at] = b'?';
            assert_eq!(find_byte(&bytes, b'?'), Some(at));
        }
        for at in 0..NEAR {
            let mut bytes = vec![b';'; NEAR];
            bytes[at] = b':';
            assert_eq!(find_colon(&bytes), Some(at));
        }
    }
}
