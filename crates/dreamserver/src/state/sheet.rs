//! A file as it was read: its header if it has one, and its lines one after the other.

use super::header::{Header, Kind, Start};
use super::line::{Content, Lines};
use super::record::Record;
use super::store::OpenError;
use super::{Disk, Reason, files};

/// A checkpoint or a journal in memory.
#[derive(Debug)]
pub(super) struct Sheet {
    pub name: String,
    pub generation: u64,
    pub text: Vec<u8>,
    /// None if the first line is damaged, or was never written whole.
    pub start: Option<Start>,
}

/// A line behind the header.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// The number of the line, from 1.
    pub at: u64,
    pub text: &'a [u8],
    pub content: Read<'a>,
}

#[derive(Debug)]
pub(super) enum Read<'a> {
    Record(Record<'a>),
    Damaged(Reason),
    /// The end of the file, in the middle of a line.
    Torn,
}

impl Sheet {
    pub(super) fn read(disk: &impl Disk, kind: Kind, generation: u64) -> Result<Sheet, OpenError> {
        let name = match kind {
            Kind::Checkpoint => files::checkpoint(generation),
            Kind::Journal => files::journal(generation),
        };
        let text = disk.read(&name).map_err(|source| OpenError::Read {
            file: name.clone(),
            source,
        })?;
        let first = Lines::new(&text, generation).next();
        let header = match first.map(|line| line.content) {
            Some(Content::Sound(text)) => Header::parse(text),
            _ => None,
        };
        let start = match header {
            Some(Header::Newer(version)) => {
                return Err(OpenError::Newer {
                    file: name,
                    version,
                });
            }
            Some(Header::Known(known, start))
                if known == kind && start.generation == generation =>
            {
                Some(start)
            }
            _ => None,
        };
        Ok(Sheet {
            name,
            generation,
            text,
            start,
        })
    }

    /// Is the first line damaged? A file that ends within it was never written whole, which is no damage.
    pub(super) fn lacks_header(&self) -> bool {
        self.start.is_none() && self.text.contains(&b'\n')
    }

    /// All lines behind the header, or all if there is none.
    pub(super) fn items(&self) -> Items<'_> {
        let mut lines = Lines::new(&self.text, self.generation);
        if self.start.is_some() {
            lines.next();
        }
        Items(lines)
    }

    /// The last record that counts in the journals before this one, as far as the file can tell; `own` is the last that counts
    /// in it.
    ///
    /// What it writes once more takes the place of what they say, if all of it is there. They may have refused records whose
    /// numbers were given away again: the journal that has made them void was read, but was not on the disk.
    pub(super) fn limit_before(&self, own: Option<u64>) -> Option<u64> {
        let Some(start) = self.start else {
            let first = self.records().next()?;
            return Some(first.number.saturating_sub(1));
        };
        match self.has_repeated(start, own.unwrap_or(u64::MAX)) {
            true => Some(start.repeats),
            false => Some(start.after),
        }
    }

    /// Is the first commit whole, which writes once more what came after `start.repeats`?
    fn has_repeated(&self, start: Start, limit: u64) -> bool {
        (start.after + 1..=limit)
            .zip(self.records())
            .take_while(|(number, record)| record.number == *number)
            .any(|(_, record)| !record.more)
    }

    /// The records that can be read.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.items().filter_map(|item| match item.content {
            Read::Record(record) => Some(record),
            Read::Damaged(_) | Read::Torn => None,
        })
    }
}

/// The lines of a sheet.
#[derive(Debug)]
pub(super) struct Items<'a>(Lines<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let line = self.0.next()?;
        let (text, content) = match line.content {
            Content::Sound(text) => (text.as_bytes(), Read::of(text)),
            Content::Damaged(text) => (text, Read::Damaged(Reason::Checksum)),
            Content::Torn(text) => (text, Read::Torn),
        };
        let at = line.at;
        Some(Item { at, text, content })
    }
}

impl<'a> Read<'a> {
    fn of(text: &'a str) -> Read<'a> {
        match Record::parse(text) {
            Some(record) => Read::Record(record),
            None => Read::Damaged(Reason::Unknown),
        }
    }
}
