//! What `add` says: a domain, the port behind it, and options.

use crate::domain::Domain;
use crate::fault::{Code, Fault};
use crate::text::quote;
use crate::words::{Words, digits};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// "Serve this domain from that port." A later one for the same domain takes its place.
///
/// Not every value that the fields can hold can be written; their comments say which. [`Client`](crate::Client) refuses
/// to send the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Add {
    /// The name to be served under.
    pub domain: Domain,
    /// Where the program listens, 1 to 65535.
    pub port: u16,
    /// How long this holds, unless it is said again: whole seconds, from one second to 365 days.
    pub ttl: Option<Duration>,
    /// The process that this is about, 1 to 2,147,483,647: when it ends, so does the announcement.
    pub pid: Option<u32>,
    /// A path that is answered with success when the program is ready: begins with `/`, and is visible ASCII.
    pub check: Option<String>,
    /// The address of the machine that the program runs on; without it, this one.
    pub host: Option<IpAddr>,
}

impl Add {
    /// An announcement without options.
    pub fn new(domain: Domain, port: u16) -> Add {
        Add {
            domain,
            port,
            ttl: None,
            pid: None,
            check: None,
            host: None,
        }
    }

    /// Reads what stands behind the word `add`.
    pub(crate) fn parse(words: &mut Words) -> Result<Add, Fault> {
        let (domain, port) = match (words.next(), words.next()) {
            (Some(domain), Some(port)) => (domain, port),
            (None, _) => return Err(missing("a domain and a port")),
            (_, None) => return Err(missing("a port")),
        };
        let mut add = Add::new(Domain::parse(domain)?, parse_port(port)?);
        words.try_for_each(|word| add.parse_option(word))?;
        Ok(add)
    }

    fn parse_option(&mut self, word: &str) -> Result<(), Fault> {
        let Some((key, value)) = word.split_once('=') else {
            return Err(Words::one_too_many(word));
        };
        match key {
            "ttl" => set(&mut self.ttl, word, parse_ttl(value), TTL),
            "pid" => set(&mut self.pid, word, parse_pid(value), PID),
            "check" => set(&mut self.check, word, parse_check(value), CHECK),
            "host" => set(&mut self.host, word, value.parse().ok(), HOST),
            _ => Err(bad_option(word, "the options are ttl, pid, check and host")),
        }
    }
}

/// As it is sent: `add example.com 5665 ttl=30s`.
impl fmt::Display for Add {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "add {} {}", self.domain, self.port)?;
        if let Some(ttl) = self.ttl {
            write_ttl(f, ttl)?;
        }
        if let Some(pid) = self.pid {
            write!(f, " pid={pid}")?;
        }
        if let Some(check) = &self.check {
            write!(f, " check={check}")?;
        }
        if let Some(host) = self.host {
            write!(f, " host={host}")?;
        }
        Ok(())
    }
}

/// In the largest unit that fits: `1d`, but `90s`.
fn write_ttl(f: &mut fmt::Formatter<'_>, ttl: Duration) -> fmt::Result {
    let seconds = ttl.as_secs();
    let fitting = UNITS.iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
    let (letter, unit) = fitting.unwrap_or(&('s', 1));
    write!(f, " ttl={}{letter}", seconds / unit)
}

fn parse_port(text: &str) -> Result<u16, Fault> {
    digits(text)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| Fault::new(Code::BadPort, format!("{} is not 1–65535", quote(text))))
}

fn parse_ttl(text: &str) -> Option<Duration> {
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
    let (number, unit) = match unit {
        Some((letter, unit)) => (text.strip_suffix(*letter)?, *unit),
        None => (text, 1),
    };
    let seconds = digits(number)?.checked_mul(unit)?;
    TTL_SECONDS
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

fn parse_pid(text: &str) -> Option<u32> {
    let pid = u32::try_from(digits(text)?).ok()?;
    PIDS.contains(&pid).then_some(pid)
}

fn parse_check(text: &str) -> Option<String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && text.starts_with('/')).then(|| text.to_owned())
}

/// Puts the value of the option `word` into its place, once.
fn set<T>(slot: &mut Option<T>, word: &str, value: Option<T>, wanted: &str) -> Result<(), Fault> {
    if slot.is_some() {
        return Err(bad_option(word, "the option is given twice"));
    }
    match value {
        Some(value) => *slot = Some(value),
        None => return Err(bad_option(word, wanted)),
    }
    Ok(())
}

fn bad_option(word: &str, wanted: &str) -> Fault {
    Fault::new(Code::BadOption, format!("{}: {wanted}", quote(word)))
}

fn missing(what: &str) -> Fault {
    Fault::new(
        Code::Missing,
        format!("add needs {what}, as in add example.com 5665"),
    )
}

const TTL: &str = "ttl is a time from 1s to 365d, in s, m, h or d";
const PID: &str = "pid is a process id from 1 to 2147483647";
const CHECK: &str = "check is a path that begins with / and has visible ASCII only";
const HOST: &str = "host is an IP address";

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// A year is long enough for whoever means "for good", and short enough to be added to any clock.
const TTL_SECONDS: RangeInclusive<u64> = 1..=365 * 86_400;

/// The system's type is signed, and signals to a negative one or to zero go to groups of processes.
const PIDS: RangeInclusive<u32> = 1..=i32::MAX as u32;
