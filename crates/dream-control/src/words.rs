//! The words of a command, and its numbers.

use crate::fault::{Code, Fault};
use crate::text::quote;

/// What stands between blanks and tabs.
#[derive(Clone)]
pub struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    pub fn of(text: &'a str) -> Words<'a> {
        Words(text)
    }

    /// Nothing may be left.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.next()
            .map_or(Ok(()), |word| Err(Words::one_too_many(word)))
    }

    pub fn one_too_many(word: &str) -> Fault {
        let detail = format!("there is a word too many: {}", quote(word));
        Fault::new(Code::Unexpected, detail)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches(BLANKS);
        let (word, rest) = rest.split_at(rest.find(BLANKS).unwrap_or(rest.len()));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// A decimal number. A sign is refused, and so is a leading zero, because `010` is 8 to some programs.
pub fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    (plain && !padded).then(|| text.parse().ok()).flatten()
}

const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_between_blanks() {
        for (text, words) in [
            ("", &[] as &[&str]),
            (" \t ", &[]),
            ("a", &["a"]),
            (" a\t\tb  c ", &["a", "b", "c"]),
            ("a\u{a0}b é", &["a\u{a0}b", "é"]),
        ] {
            assert_eq!(Words::of(text).collect::<Vec<_>>(), words, "{text:?}");
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(digits("0"), Some(0));
        assert_eq!(digits("65535"), Some(65535));
        assert_eq!(digits("18446744073709551615"), Some(u64::MAX));
        for text in [
            "",
            "+1",
            "-1",
            "01",
            "00",
            "1 ",
            "1e3",
            "0x10",
            "١",
            "18446744073709551616",
        ] {
            assert_eq!(digits(text), None, "{text:?}");
        }
    }
}
