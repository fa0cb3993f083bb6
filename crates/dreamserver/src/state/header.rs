//! The first line of a file: what it is, and where its records stand among all the others.

use std::io::Write;

use super::line;
use super::record::decimal;

/// What a first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Known(Kind, Start),
    /// The file was written by a later version of the program.
    Newer(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Checkpoint,
    Journal,
}

/// Where a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub generation: u64,
    /// The last record that was accepted before. What earlier journals have beyond it is void.
    pub after: u64,
    /// What came after this record is written once more at the beginning of the file. At most `after`.
    pub repeats: u64,
}

impl Start {
    /// Adds the first line of a file.
    pub(super) fn encode(&self, kind: Kind, out: &mut Vec<u8>) {
        let start = out.len();
        let Start {
            generation,
            after,
            repeats,
        } = self;
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "{NAME} {} {VERSION} {generation} after {after} repeats {repeats}",
            kind.word()
        );
        line::seal(out, start, *generation);
    }
}

impl Header {
    pub(super) fn parse(text: &str) -> Option<Header> {
        let mut words = text.split(' ');
        let mut next = || words.next();
        let (name, kind, version) = (next()?, next()?, decimal(next()?)?);
        if name != NAME {
            return None;
        }
        if version != VERSION {
            return Some(Header::Newer(version));
        }
        let kind = Kind::of(kind)?;
        let generation = decimal(next()?)?;
        let after = (next()? == "after").then(|| decimal(next()?))??;
        let repeats = (next()? == "repeats").then(|| decimal(next()?))??;
        let start = Start {
            generation,
            after,
            repeats,
        };
        (next().is_none() && repeats <= after).then_some(Header::Known(kind, start))
    }
}

impl Kind {
    fn of(word: &str) -> Option<Kind> {
        [Kind::Checkpoint, Kind::Journal]
            .into_iter()
            .find(|kind| kind.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Checkpoint => "checkpoint",
            Kind::Journal => "journal",
        }
    }
}

const NAME: &str = "dreamserver";

/// Of the format. A later one keeps the first three words of this line, and its checksum.
const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::line::{Content, Lines};

    fn written(kind: Kind, start: Start) -> Option<Header> {
        let mut out = Vec::new();
        start.encode(kind, &mut out);
        let line = Lines::new(&out, start.generation).next().unwrap();
        match line.content {
            Content::Sound(text) => Header::parse(text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let start = Start {
            generation: 7,
            after: 1234,
            repeats: 1233,
        };
        for kind in [Kind::Checkpoint, Kind::Journal] {
            assert_eq!(written(kind, start), Some(Header::Known(kind, start)));
        }
    }

    #[test]
    fn other_lines_are_none() {
        let texts = [
            "",
            "1 set example.com 1",
            "dreamserver journal 1 7 after 1 repeats 2",
            "dreamserver journal 1 7 after 1",
            "dreamserver journal 1 7 after 1 repeats 1 and",
            "dreamserver diary 1 7 after 1 repeats 1",
            "otherserver journal 1 7 after 1 repeats 1",
        ];
        for text in texts {
            assert_eq!(Header::parse(text), None, "{text}");
        }
        let newer = "dreamserver journal 2 and whatever else";
        assert_eq!(Header::parse(newer), Some(Header::Newer(2)));
    }
}
