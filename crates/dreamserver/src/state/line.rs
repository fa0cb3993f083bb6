//! Lines that carry their own checksum: a damaged one is known for it, and costs no other line.

use memchr::memchr;
use std::str;

/// Ends the line that begins at `start` with its checksum.
pub(super) fn seal(out: &mut Vec<u8>, start: usize, generation: u64) {
    let sum = checksum(&out[start..], generation);
    out.push(b' ');
    out.extend((0..DIGITS).rev().map(|digit| {
        let value = (sum >> (4 * digit)) & 15;
        HEXADECIMAL[value as usize]
    }));
    out.push(b'\n');
}

/// A line as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its number in the file, from 1.
    pub at: u64,
    pub content: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// What was sealed.
    Sound(&'a str),
    /// Something else.
    Damaged(&'a [u8]),
    /// The end of a file, without the end of its line: a write that a crash cut short looks like this.
    Torn(&'a [u8]),
}

/// The lines of a file. Where the end of a line was damaged, both lines that it parted are found all the same.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    at: u64,
    generation: u64,
    /// What stands in the place of a line's end, to be told next.
    stray: Option<&'a [u8]>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8], generation: u64) -> Lines<'a> {
        Lines {
            rest: text,
            at: 0,
            generation,
            stray: None,
        }
    }

    /// Takes what is left up to the next line's end; whether there was one.
    fn take_line(&mut self) -> (&'a [u8], bool) {
        let (line, rest, ended) = match memchr(b'\n', self.rest) {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..], true),
            None => (self.rest, &[][..], false),
        };
        self.rest = rest;
        (line, ended)
    }

    /// A line that is not sound as a whole: perhaps it is two, or one with a damaged end.
    fn broken(&mut self, whole: &'a [u8], line: &'a [u8], ended: bool) -> Content<'a> {
        if let Some((text, length)) = sound_beginning(line, self.generation) {
            let (stray, rest) = whole[length..].split_at(1);
            self.stray = Some(stray);
            self.rest = rest;
            return Content::Sound(text);
        }
        match ended {
            true => Content::Damaged(line),
            false => Content::Torn(line),
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if let Some(stray) = self.stray.take() {
            let (at, content) = (self.at, Content::Damaged(stray));
            return Some(Line { at, content });
        }
        if self.rest.is_empty() {
            return None;
        }
        let whole = self.rest;
        let (line, ended) = self.take_line();
        self.at += 1;
        let content = match sound(line, self.generation) {
            Some(text) => Content::Sound(text),
            None => self.broken(whole, line, ended),
        };
        let at = self.at;
        Some(Line { at, content })
    }
}

/// What was sealed, if the checksum says so.
fn sound(line: &[u8], generation: u64) -> Option<&str> {
    let (text, ending) = line.split_at_checked(line.len().checked_sub(ENDING)?)?;
    let sum = written_checksum(ending)?;
    (checksum(text, generation) == sum).then(|| str::from_utf8(text).ok())?
}

/// A part that is sound and followed by something, with its length.
fn sound_beginning(line: &[u8], generation: u64) -> Option<(&str, usize)> {
    let last = line.len().min(LONGEST).checked_sub(1)?;
    (ENDING..=last).find_map(|length| Some((sound(&line[..length], generation)?, length)))
}

fn written_checksum(ending: &[u8]) -> Option<u32> {
    let (space, digits) = ending.split_first()?;
    if *space != b' ' {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((sum << 4) | u32::from(value))
    })
}

/// The generation takes part, so that a line of an older file, whose blocks the disk uses again, is not believed.
fn checksum(text: &[u8], generation: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(generation as u32);
    hasher.update(text);
    hasher.finalize()
}

/// Hexadecimal digits of a checksum.
const DIGITS: usize = 8;

/// A space, and the checksum.
const ENDING: usize = 1 + DIGITS;

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// How far a damaged line's end is looked for: beyond the longest record, whose check may be three times its own size.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in texts {
            let start = out.len();
            out.extend_from_slice(text.as_bytes());
            seal(&mut out, start, 7);
        }
        out
    }

    fn found(bytes: &[u8]) -> Vec<Content<'_>> {
        Lines::new(bytes, 7).map(|line| line.content).collect()
    }

    #[test]
    fn what_was_sealed_is_found_by_its_own_generation_only() {
        let bytes = sealed(&["one", "", "three words here"]);
        let expected = ["one", "", "three words here"].map(Content::Sound);
        assert_eq!(found(&bytes), expected);
        assert!(Lines::new(&bytes, 8).all(|line| matches!(line.content, Content::Damaged(_))));
    }

    #[test]
    fn the_checksum_is_the_one_of_zlib() {
        let mut out = b"123456789".to_vec();
        seal(&mut out, 0, 0);
        assert_eq!(out, b"123456789 cbf43926\n");
    }

    #[test]
    fn a_flipped_byte_costs_its_own_line_only() {
        let bytes = sealed(&["one", "two", "three"]);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let found = found(&bytes);
                let sound: Vec<_> = found
                    .iter()
                    .filter(|content| matches!(content, Content::Sound(_)))
                    .collect();
                let hit = lines[0].len() <= at && at < lines[0].len() + lines[1].len();
                assert!(sound.len() < found.len(), "{at} {flip}: not seen");
                assert!(sound.len() >= 2, "{at} {flip}: {found:?}");
                if hit {
                    assert_eq!(sound[0], &Content::Sound("one"));
                    assert_eq!(sound.last(), Some(&&Content::Sound("three")));
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_write_that_was_cut_short_is_torn() {
        let bytes = sealed(&["one", "two"]);
        let first = b"one 01234567\n".len();
        for length in first + 1..bytes.len() - 1 {
            let found = found(&bytes[..length]);
            assert_eq!(found[0], Content::Sound("one"));
            assert_eq!(found[1], Content::Torn(&bytes[first..length]));
        }
        let whole = &bytes[..bytes.len() - 1];
        assert_eq!(found(whole), ["one", "two"].map(Content::Sound));
    }
}
