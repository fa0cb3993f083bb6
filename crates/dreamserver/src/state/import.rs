//! What the core server that DreamServer replaces had remembered, taken over once.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str;

use super::Disk;
use super::record::decimal;

/// The lines of the old file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Domain and port, as they were written: a domain may have upper case and letters beyond ASCII.
    pub targets: Vec<(Box<str>, u16)>,
    /// What could not be taken over.
    pub bad: Vec<BadLine>,
}

/// A line that is not `domain port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub at: u64,
    /// What it says, escaped and cut to 200 bytes.
    pub text: Box<str>,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadLine { at, text } = self;
        write!(f, "line {at} is not a domain and a port: {text}")
    }
}

/// Where the old program kept its targets: in the user's folder for configuration (`XDG_CONFIG_HOME`, else `~/.config`).
pub fn old_targets() -> Option<PathBuf> {
    let path = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let folder = path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))?;
    Some(folder.join("core-web-server/forward_targets.txt"))
}

/// Reads the old program's targets from `path`; none if there are none, or if that was done before. Once they are committed,
/// call [`remember_import`].
///
/// # Errors
/// What the system says of the folder or of the file.
pub fn import(disk: &impl Disk, path: &Path) -> io::Result<Option<Imported>> {
    if disk.list()?.iter().any(|name| name == MARKER) {
        return Ok(None);
    }
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => Ok(Some(parse(&result?))),
    }
}

/// From now on [`import`] finds nothing.
///
/// # Errors
/// What the system says. It may be tried again.
pub fn remember_import(disk: &impl Disk) -> io::Result<()> {
    match disk.create(MARKER) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => drop(result?),
    }
    disk.sync()
}

fn parse(text: &[u8]) -> Imported {
    let mut imported = Imported {
        targets: Vec::new(),
        bad: Vec::new(),
    };
    for (at, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        match parse_line(line) {
            Some(target) => imported.targets.push(target),
            None if line.is_empty() => {}
            None => imported.bad.push(BadLine {
                at,
                text: line[..line.len().min(SHOWN)]
                    .escape_ascii()
                    .to_string()
                    .into(),
            }),
        }
    }
    imported
}

fn parse_line(line: &[u8]) -> Option<(Box<str>, u16)> {
    let mut words = str::from_utf8(line).ok()?.split_whitespace();
    let (domain, port) = (words.next()?, words.next()?);
    let port = u16::try_from(decimal(port)?)
        .ok()
        .filter(|port| *port > 0)?;
    let whole = words.next().is_none() && !domain.chars().any(char::is_control);
    whole.then(|| (domain.into(), port))
}

const MARKER: &str = "imported";

const SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::simulated::Simulated;

    #[test]
    fn good_lines_are_taken_and_bad_ones_reported() {
        let text = "example.com 5665\r\n\nMünchen.de  80\nhere 0\nthere 65536\nnowhere\na b 1\n\x01 1\nlast.example 1";
        let imported = parse(&[text.as_bytes(), b"\n\xff 1"].concat());
        let expected = [
            ("example.com", 5665),
            ("München.de", 80),
            ("last.example", 1),
        ];
        assert_eq!(
            imported.targets,
            expected.map(|(name, port)| (name.into(), port))
        );
        let bad: Vec<_> = imported.bad.iter().map(|bad| bad.at).collect();
        assert_eq!(bad, [4, 5, 6, 7, 8, 10]);
        let shown = imported.bad[4].to_string();
        assert_eq!(shown, "line 8 is not a domain and a port: \\x01 1");
    }

    #[test]
    fn it_is_done_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forward_targets.txt");
        let disk = Simulated::new(1);
        assert_eq!(import(&disk, &path).unwrap(), None);
        fs::write(&path, "example.com 5665\n").unwrap();
        for _ in 0..2 {
            let imported = import(&disk, &path).unwrap().unwrap();
            assert_eq!(imported.targets, [("example.com".into(), 5665)]);
        }
        remember_import(&disk).unwrap();
        remember_import(&disk).unwrap();
        assert_eq!(import(&disk, &path).unwrap(), None);
    }
}
