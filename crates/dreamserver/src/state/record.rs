//! What one line says: an entry of a checkpoint, a change in a journal, or the end of a checkpoint.

use std::io;
use std::net::IpAddr;

use super::line;
use super::{Change, Entry, Process, Target};
use crate::digits;

/// A line behind the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// In journals it goes on from file to file, in a checkpoint it begins with 1.
    pub number: u64,
    /// The commit goes on with the next record.
    pub more: bool,
    pub body: Body<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Set(&'a str, Entry),
    Remove(&'a str),
    /// The last line of a checkpoint; its number comes after that of the last entry.
    End,
}

impl<'a> Record<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Record<'a>> {
        let mut words = text.split(' ');
        let first = words.next()?;
        let digits = first.strip_suffix('+');
        let body = match words.next()? {
            "set" => Body::Set(parse_name(words.next()?)?, parse_entry(&mut words)?),
            "remove" => Body::Remove(parse_name(words.next()?)?),
            "end" => Body::End,
            _ => return None,
        };
        let record = Record {
            number: decimal(digits.unwrap_or(first))?,
            more: digits.is_some(),
            body,
        };
        words.next().is_none().then_some(record)
    }
}

/// Refuses what could not be read again.
pub(super) fn check(change: &Change<'_>) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    let name = change.name();
    if parse_name(name).is_none() {
        return wrong(format!("{name:?} is no domain in plain lower-case ASCII"));
    }
    let check = match change {
        Change::Set(_, entry) => entry.check.as_deref().unwrap_or_default(),
        Change::Remove(_) => "",
    };
    match check.len() <= Entry::LONGEST_CHECK {
        true => Ok(()),
        false => wrong(format!(
            "the check of {name} has more than {} bytes",
            Entry::LONGEST_CHECK
        )),
    }
}

/// Adds the line of a change that was checked.
pub(super) fn encode(
    number: u64,
    more: bool,
    change: &Change<'_>,
    generation: u64,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    digits::decimal(number, 1, out);
    out.extend_from_slice(if more { b"+" } else { b"" });
    match change {
        Change::Set(name, entry) => {
            out.extend_from_slice(b" set ");
            out.extend_from_slice(name.as_bytes());
            encode_entry(entry, out);
        }
        Change::Remove(name) => {
            out.extend_from_slice(b" remove ");
            out.extend_from_slice(name.as_bytes());
        }
    }
    line::seal(out, start, generation);
}

/// Adds the last line of a checkpoint.
pub(super) fn encode_end(number: u64, generation: u64, out: &mut Vec<u8>) {
    let start = out.len();
    digits::decimal(number, 1, out);
    out.extend_from_slice(b" end");
    line::seal(out, start, generation);
}

fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    out.push(b' ');
    digits::decimal(u64::from(entry.port), 1, out);
    if let Some(host) = entry.host {
        out.extend_from_slice(b" host=");
        digits::address(host, out);
    }
    if let Some(from) = &entry.from {
        out.extend_from_slice(b" from=");
        if let Some(host) = from.host {
            digits::address(host, out);
            out.push(b'/');
        }
        digits::decimal(u64::from(from.port), 1, out);
    }
    if let Some(owner) = entry.owner {
        out.extend_from_slice(b" owner=");
        digits::decimal(u64::from(owner), 1, out);
    }
    if let Some(check) = &entry.check {
        out.extend_from_slice(b" check=");
        escape(check, out);
    }
    if let Some(until) = entry.until {
        out.extend_from_slice(b" until=");
        digits::decimal(until, 1, out);
    }
    if let Some(process) = entry.process {
        out.extend_from_slice(b" process=");
        digits::decimal(u64::from(process.pid), 1, out);
        out.push(b'/');
        digits::decimal(process.started, 1, out);
    }
    if let Some(since) = entry.since {
        out.extend_from_slice(b" since=");
        digits::decimal(u64::from(since.get()), 1, out);
    }
}

fn parse_entry<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Entry> {
    let mut entry = Entry::on_port(decimal(words.next()?)?.try_into().ok()?);
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "host" => entry.host = Some(value.parse::<IpAddr>().ok()?),
            "from" => entry.from = Some(Box::new(parse_target(value)?)),
            "owner" => entry.owner = Some(decimal(value)?.try_into().ok()?),
            "check" => entry.check = Some(unescape(value)?),
            "until" => entry.until = Some(decimal(value)?),
            "process" => entry.process = Some(parse_process(value)?),
            "since" => entry.since = Some(u32::try_from(decimal(value)?).ok()?.try_into().ok()?),
            _ => return None,
        }
    }
    Some(entry)
}

fn parse_target(text: &str) -> Option<Target> {
    let (host, port) = match text.split_once('/') {
        Some((host, port)) => (Some(host.parse().ok()?), port),
        None => (None, text),
    };
    Some(Target {
        host,
        port: decimal(port)?.try_into().ok()?,
    })
}

fn parse_process(text: &str) -> Option<Process> {
    let (pid, started) = text.split_once('/')?;
    Some(Process {
        pid: decimal(pid)?.try_into().ok()?,
        started: decimal(started)?,
    })
}

fn parse_name(text: &str) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    let length = 1..=LONGEST_NAME;
    (length.contains(&text.len()) && text.as_bytes().iter().all(plain)).then_some(text)
}

/// A number as we write it: digits, and no more of them than needed.
pub(super) fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.bytes().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Adds the text without what would end the word or the line.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'%' | 0x7f | ..=b' ' => {
                let digits = [byte >> 4, byte & 15].map(|digit| HEXADECIMAL[usize::from(digit)]);
                out.extend_from_slice(&[b'%', digits[0], digits[1]]);
            }
            byte => out.push(byte),
        }
    }
}

fn unescape(text: &str) -> Option<Box<str>> {
    let Some((plain, mut rest)) = text.split_once('%') else {
        return Some(text.into());
    };
    let mut bytes = plain.as_bytes().to_vec();
    loop {
        let (escaped, behind) = rest.split_at_checked(2)?;
        bytes.push(escaped_byte(escaped.as_bytes())?);
        let Some((plain, more)) = behind.split_once('%') else {
            bytes.extend_from_slice(behind.as_bytes());
            return Some(String::from_utf8(bytes).ok()?.into());
        };
        bytes.extend_from_slice(plain.as_bytes());
        rest = more;
    }
}

fn escaped_byte(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |byte, digit| {
        let value = HEXADECIMAL.iter().position(|known| known == digit)?;
        Some((byte << 4) | value as u8)
    })
}

const HEXADECIMAL: &[u8; 16] = b"0123456789ABCDEF";

/// Bytes of a domain: more than DNS allows in text (253), so that this never decides what a domain is.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::line::{Content, Lines};
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    fn reread(number: u64, more: bool, change: &Change<'_>) {
        let mut out = Vec::new();
        encode(number, more, change, 3, &mut out);
        let lines: Vec<_> = Lines::new(&out, 3).map(|line| line.content).collect();
        let [Content::Sound(text)] = lines[..] else {
            panic!("{lines:?}")
        };
        let body = match *change {
            Change::Set(name, entry) => Body::Set(name, entry.clone()),
            Change::Remove(name) => Body::Remove(name),
        };
        let expected = Record { number, more, body };
        assert_eq!(Record::parse(text), Some(expected), "{text}");
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let process = any::<(u32, u64)>().prop_map(|(pid, started)| Process { pid, started });
        let target =
            any::<(Option<IpAddr>, u16)>().prop_map(|(host, port)| Box::new(Target { host, port }));
        (
            any::<u16>(),
            any::<Option<IpAddr>>(),
            prop::option::of(target),
            any::<Option<u32>>(),
            any::<Option<Box<str>>>(),
            any::<Option<u64>>(),
            prop::option::of(process),
            any::<u32>().prop_map(NonZeroU32::new),
        )
            .prop_map(
                |(port, host, from, owner, check, until, process, since)| Entry {
                    port,
                    host,
                    from,
                    owner,
                    check,
                    until,
                    process,
                    since,
                },
            )
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written(number: u64, more: bool, name in "[!-@\\[-~]{1,255}", entry in entries()) {
            for change in [Change::Set(&name, &entry), Change::Remove(&name)] {
                prop_assert!(check(&change).is_ok());
                reread(number, more, &change);
            }
        }

        #[test]
        fn no_text_is_too_much(text: String) {
            let _ = Record::parse(&text);
        }
    }

    #[test]
    fn a_line_looks_like_this() {
        let entry = Entry {
            port: 5665,
            host: Some("::1".parse().unwrap()),
            from: Some(Box::new(Target {
                host: Some("10.0.0.5".parse().unwrap()),
                port: 80,
            })),
            owner: Some(1000),
            check: Some("/health check".into()),
            until: Some(1_763_757_600),
            process: Some(Process {
                pid: 4711,
                started: 99,
            }),
            since: NonZeroU32::new(1_763_757_000),
        };
        let mut out = Vec::new();
        let change = Change::Set("example.com", &entry);
        encode(12, true, &change, 0, &mut out);
        let text = String::from_utf8(out).unwrap();
        let expected = "12+ set example.com 5665 host=::1 from=10.0.0.5/80 owner=1000 check=/health%20check until=1763757600 process=4711/99 since=1763757000 ";
        assert_eq!(text[..text.len() - 9], *expected);
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let long = "x".repeat(256);
        for name in ["", "Example.com", "a b", "a\nb", "münchen.de", &long] {
            assert!(check(&Change::Remove(name)).is_err(), "{name}");
        }
        let mut entry = Entry::on_port(1);
        entry.check = Some("x".repeat(Entry::LONGEST_CHECK + 1).into());
        assert!(check(&Change::Set("example.com", &entry)).is_err());
    }

    #[test]
    fn other_lines_are_none() {
        let texts = [
            "",
            "1",
            "1 set",
            "1 set example.com",
            "1 set example.com 65536",
            "1 set example.com 080",
            "1 set example.com +80",
            "1 set example.com 80 colour=red",
            "1 set example.com 80 since=0",
            "1 set example.com 80 since=4294967296",
            "1 set example.com 80 check=%2",
            "1 set example.com 80 check=%ff",
            "1 set example.com 80 ",
            "1 set  80",
            "1 remove example.com 80",
            "1 move example.com",
            "1 end of",
            "+ remove example.com",
            "18446744073709551616 remove example.com",
        ];
        for text in texts {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }
}
