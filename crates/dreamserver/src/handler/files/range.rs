//! Which parts of a file a request asks for (RFC 9110 §14).
//!
//! Many small or overlapping ranges are an attack (RFC 9110 §17.15, CVE-2011-3192). A server may ignore the field (RFC 9110 §14.2),
//! so that what goes too far is answered with the whole: no answer is then larger than the file and a head for each of
//! [`MOST`] parts.

use std::ops::Range;

/// What of the file is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, with 200.
    Whole,
    /// These bytes, with 206. Invariant: not empty, and within the file.
    Bytes(Range<u64>),
    /// All of these in this order, with 206. Invariant: at least two and at most [`MOST`], none is empty, and none overlaps another.
    Several(Vec<Range<u64>>),
    /// Nothing, with 416: the range begins behind the end.
    Unsatisfiable,
}

/// Ranges that a request may ask for. Readers of PDF files ask for some dozens, and package managers (zchunk) for 256, and then for half as many
/// until they get them. Each part costs two system calls: 64 parts of one byte are as dear as a whole file of a megabyte.
const MOST: usize = 64;

/// The part of a file of `len` bytes that the value of a `Range` field asks for. A unit that is not known and a value
/// that breaks the grammar are ignored (RFC 9110 §14.2).
pub fn parse_range(value: &[u8], len: u64) -> Part {
    let Some((unit, set)) = split_at_byte(value, b'=') else {
        return Part::Whole;
    };
    // RFC 9110 §14.1: range units are case-insensitive.
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Part::Whole;
    }
    match memchr::memchr(b',', set) {
        None => parse_one(set.trim_ascii(), len),
        Some(_) => parse_several(set, len),
    }
}

fn parse_one(range: &[u8], len: u64) -> Part {
    let Some((first, last)) = split_at_byte(range, b'-') else {
        return Part::Whole;
    };
    match (first, last) {
        (b"", suffix) => match number(suffix) {
            Some(suffix) => last_bytes(suffix, len),
            None => Part::Whole,
        },
        (first, b"") => match number(first) {
            Some(first) => between(first, u64::MAX, len),
            None => Part::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            // RFC 9110 §14.1.1: a last position before the first one makes the range invalid.
            (Some(first), Some(last)) if first <= last => between(first, last, len),
            _ => Part::Whole,
        },
    }
}

/// One invalid range makes the field invalid; those that are behind the end are left out, as long as there is another
/// (RFC 9110 §14.1.1, §14.1.2).
fn parse_several(set: &[u8], len: u64) -> Part {
    let ranges = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    // RFC 9110 §5.6.1.2: members of a list may be empty.
    let mut ranges = ranges.filter(|range| !range.is_empty()).peekable();
    if ranges.peek().is_none() {
        return Part::Whole;
    }
    let mut parts = Vec::new();
    for (count, range) in ranges.enumerate() {
        match parse_one(range, len) {
            _ if count == MOST => return Part::Whole,
            Part::Bytes(part) => parts.push(part),
            Part::Unsatisfiable => {}
            Part::Whole | Part::Several(_) => return Part::Whole,
        }
    }
    match &parts[..] {
        [] => Part::Unsatisfiable,
        // RFC 9110 §15.3.7.2: one part is no multipart.
        [one] => Part::Bytes(one.clone()),
        several if overlap(several) => Part::Whole,
        _ => Part::Several(parts),
    }
}

fn overlap(parts: &[Range<u64>]) -> bool {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable_by_key(|part| part.start);
    sorted.windows(2).any(|pair| pair[0].end > pair[1].start)
}

/// RFC 9110 §14.1.2: a suffix longer than the file means all of it.
fn last_bytes(suffix: u64, len: u64) -> Part {
    match (suffix, len) {
        (0, _) => Part::Unsatisfiable,
        // An empty file satisfies any suffix, but `Content-Range` cannot say so.
        (_, 0) => Part::Whole,
        _ => Part::Bytes(len.saturating_sub(suffix)..len),
    }
}

fn between(first: u64, last: u64, len: u64) -> Part {
    if first < len {
        Part::Bytes(first..last.saturating_add(1).min(len))
    } else {
        Part::Unsatisfiable
    }
}

/// Digits only; a number that does not fit is behind the end of every file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        Some(value.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table() {
        use Part::{Bytes, Several, Unsatisfiable, Whole};
        for (value, len, part) in [
            ("bytes=0-499", 1000, Bytes(0..500)),
            ("bytes=500-999", 1000, Bytes(500..1000)),
            ("bytes=500-9999", 1000, Bytes(500..1000)),
            ("bytes=0-0", 1000, Bytes(0..1)),
            ("bytes=-1", 1000, Bytes(999..1000)),
            ("bytes=-2000", 1000, Bytes(0..1000)),
            ("bytes=9-", 10, Bytes(9..10)),
            ("BYTES=1-2", 10, Bytes(1..3)),
            ("bytes= 1-2 ", 10, Bytes(1..3)),
            ("bytes=0-18446744073709551615", 10, Bytes(0..10)),
            ("bytes=0-99999999999999999999999", 10, Bytes(0..10)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-5", 0, Whole),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            ("bytes=2-1", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=--1", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=1 - 2", 10, Whole),
            ("bytes=0x1-2", 10, Whole),
            ("bytes 0-1", 10, Whole),
            ("lines=0-1", 10, Whole),
            ("", 10, Whole),
            ("bytes=0-1,3-4", 10, Several(vec![0..2, 3..5])),
            ("bytes=-1, ,0-0,,", 10, Several(vec![9..10, 0..1])),
            ("bytes=0-1,2-3", 10, Several(vec![0..2, 2..4])),
            ("bytes=0-1,20-", 10, Bytes(0..2)),
            ("bytes=,5-,", 10, Bytes(5..10)),
            ("bytes=10-,20-30,-0", 10, Unsatisfiable),
            ("bytes=0-1,a-b", 10, Whole),
            ("bytes=0-1,3-2", 10, Whole),
            ("bytes=0-1,1-2", 10, Whole),
            ("bytes=0-,-1", 10, Whole),
            ("bytes=5-6,0-9", 10, Whole),
            ("bytes=0-0,-1", 1, Whole),
            ("bytes=0-0,-1", 0, Whole),
            ("bytes=,", 10, Whole),
            ("bytes=,,,", 0, Whole),
        ] {
            assert_eq!(parse_range(value.as_bytes(), len), part, "{value} of {len}");
        }
    }

    #[test]
    fn there_are_not_too_many() {
        let ask = |count: usize| {
            let ranges: Vec<String> = (0..count).map(|at| format!("{0}-{0}", 2 * at)).collect();
            parse_range(format!("bytes={}", ranges.join(",")).as_bytes(), 1000)
        };
        let Part::Several(parts) = ask(MOST) else {
            panic!("that many may be asked for");
        };
        assert_eq!(parts.len(), MOST);
        assert_eq!(ask(MOST + 1), Part::Whole);
        let behind = "2000-,".repeat(MOST + 1);
        assert_eq!(
            parse_range(format!("bytes={behind}").as_bytes(), 1000),
            Part::Whole
        );
    }

    proptest! {
        #[test]
        fn several_parts_are_no_more_than_the_file(value in "bytes=([0-9]{0,2}-[0-9]{0,2},){2,6}", len in 0..150u64) {
            if let Part::Several(parts) = parse_range(value.as_bytes(), len) {
                prop_assert!(parts.len() > 1 && parts.iter().all(|part| part.start < part.end && part.end <= len));
                prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= len);
            }
        }

        #[test]
        fn a_part_is_within_the_file(value in "bytes=[0-9]{0,21}-[0-9]{0,21}", len in any::<u64>()) {
            if let Part::Bytes(part) = parse_range(value.as_bytes(), len) {
                prop_assert!(part.start < part.end && part.end <= len);
            }
        }

        #[test]
        fn any_bytes_are_survived(value in proptest::collection::vec(any::<u8>(), 0..32), len in any::<u64>()) {
            parse_range(&value, len);
        }
    }
}
