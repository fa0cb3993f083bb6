//! Several parts of a file in one answer (RFC 9110 §14.6).

use bytes::Bytes;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

/// What separates the parts: 128 bits that are made anew for each answer from a key that nobody knows. No file holds them, by accident
/// or because somebody put them there.
pub(super) struct Boundary(String);

impl Boundary {
    pub(super) fn new() -> Boundary {
        let key = RandomState::new();
        let (high, low) = (key.hash_one(0u8), key.hash_one(1u8));
        Boundary(format!("{high:016x}{low:016x}"))
    }

    /// The type of the whole answer.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.0)
    }

    /// The text before each of `parts` of a file with `size` bytes, and behind the last.
    pub(super) fn pieces(
        &self,
        parts: &[Range<u64>],
        size: u64,
        content_type: &str,
    ) -> Vec<(Bytes, Range<u64>)> {
        let mut pieces = Vec::with_capacity(parts.len() + 1);
        for part in parts {
            // RFC 2046 §5.1.1: the line end before a boundary belongs to it, and nothing stands before the first.
            let before = if pieces.is_empty() { "" } else { "\r\n" };
            let text = format!(
                "{before}--{}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {}-{}/{size}\r\n\r\n",
                self.0,
                part.start,
                part.end - 1
            );
            pieces.push((Bytes::from(text), part.clone()));
        }
        let end = format!("\r\n--{}--\r\n", self.0);
        pieces.push((Bytes::from(end), 0..0));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_rfc_shows_it() {
        let boundary = Boundary("X".into());
        let text: Vec<u8> = boundary
            .pieces(&[0..2, 8..9], 10, "text/plain")
            .into_iter()
            .flat_map(|(text, part)| {
                [
                    &text[..],
                    &b"0123456789"[part.start as usize..part.end as usize],
                ]
                .concat()
            })
            .collect();
        let expected = "--X\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
            --X\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-8/10\r\n\r\n8\r\n--X--\r\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (Boundary::new(), Boundary::new());
        assert_eq!(one.0.len(), 32);
        assert_ne!(one.0, other.0);
    }
}
