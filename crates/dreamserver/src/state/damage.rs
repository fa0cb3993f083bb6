//! What was found damaged, and where it is kept for a person to look at.

use std::collections::HashSet;
use std::fmt;
use std::io;

use super::Disk;
use super::disk::replace;

/// A part of the state that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The name of the file within the folder.
    pub file: Box<str>,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
    /// What stands there, escaped and cut to 16 KiB; empty if something is missing.
    pub text: Box<str>,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its checksum does not match.
    Checksum,
    /// It is none of the lines that this file may have.
    Unknown,
    /// It does not say what file this is.
    NoHeader,
    /// A later record stands before it.
    OutOfOrder,
    /// The records from the first to the last of these numbers should stand before it.
    Missing(u64, u64),
    /// The file ends before its end.
    Incomplete,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Checksum => f.write_str("the checksum does not match"),
            Reason::Unknown => f.write_str("it is no line of such a file"),
            Reason::NoHeader => f.write_str("the file's first line is missing"),
            Reason::OutOfOrder => f.write_str("a later record stands before it"),
            Reason::Missing(first, last) if first == last => {
                write!(f, "record {first} is missing before it")
            }
            Reason::Missing(first, last) => {
                write!(f, "records {first} to {last} are missing before it")
            }
            Reason::Incomplete => f.write_str("the file has no end"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)?;
        match &*self.text {
            "" => Ok(()),
            text => write!(f, ": {text}"),
        }
    }
}

impl Damage {
    pub(super) fn new(file: &str, line: u64, reason: Reason, text: &[u8]) -> Damage {
        let shown = &text[..text.len().min(LONGEST)];
        Damage {
            file: file.into(),
            line,
            reason,
            text: shown.escape_ascii().to_string().into(),
        }
    }
}

/// Adds to the folder's list of damage what is not in it already: until the next checkpoint, every start finds the same.
pub(super) fn set_aside(disk: &impl Disk, damaged: &[Damage]) -> io::Result<()> {
    if damaged.is_empty() {
        return Ok(());
    }
    let mut list = match disk.read(LIST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result?,
    };
    let known: HashSet<Vec<u8>> = list
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let before = list.len();
    for damage in damaged {
        let line = damage.to_string().into_bytes();
        if !known.contains(&line) && list.len() + line.len() < LARGEST {
            list.extend(line);
            list.push(b'\n');
        }
    }
    match list.len() == before {
        true => Ok(()),
        false => replace(disk, LIST, &list),
    }
}

const LIST: &str = "damaged.txt";

/// Bytes of a damaged line that are kept: a sound one is shorter.
const LONGEST: usize = 16 * 1024;

/// Bytes of the list. More is no work for a person; the damaged file itself stays until the checkpoint after the next.
const LARGEST: usize = 16 << 20;
