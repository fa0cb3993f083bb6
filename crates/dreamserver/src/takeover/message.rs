//! What the two say to each other: one line each.

use crate::address::ListenEntry;
use crate::exchange::Scheme;
use std::fmt;
use std::str::FromStr;

/// The versions of the conversation that this program can hold. The second one knows sockets for TLS.
pub(super) const OLDEST: u32 = 1;
pub(super) const NEWEST: u32 = 2;

/// What a process is there for. One kind does not take the other's place unasked: the sites of a configuration would be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// What programs announce, and nothing else.
    Core,
    /// A configuration of its own, and what programs announce.
    Sites,
}

/// What a socket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Connections of clients, by this entry of `listen`.
    Clients(ListenEntry),
    /// Announcements.
    Control,
}

/// What the taker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// Who it is, and the versions of the conversation that it can hold.
    Hello {
        oldest: u32,
        newest: u32,
        program: String,
        serves: Serves,
    },
    Give,
    Ready,
    Running,
    /// It gives up, and why.
    No(String),
}

/// What the giver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Giver {
    /// Who it is, and the version that is spoken from here.
    Hello {
        version: u32,
        program: String,
        serves: Serves,
        mode: String,
    },
    /// With the lock of the state's folder.
    Lock,
    /// With a socket.
    Socket(Purpose),
    /// That was all; so many names are in the state.
    All(usize),
    Go,
    /// It does not hand over, and why.
    No(String),
}

impl fmt::Display for Serves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Serves::Core => "core",
            Serves::Sites => "sites",
        })
    }
}

impl fmt::Display for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Taker::Hello {
                oldest,
                newest,
                program,
                serves,
            } => write!(
                f,
                "dreamserver takes over, versions {oldest} to {newest}, program {program}, serves {serves}"
            ),
            Taker::Give => f.write_str("give"),
            Taker::Ready => f.write_str("ready"),
            Taker::Running => f.write_str("running"),
            Taker::No(reason) => write!(f, "no {}", one_line(reason)),
        }
    }
}

impl fmt::Display for Giver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Giver::Hello {
                version,
                program,
                serves,
                mode,
            } => write!(
                f,
                "dreamserver hands over, version {version}, program {program}, serves {serves}, mode {mode}"
            ),
            Giver::Lock => f.write_str("lock"),
            Giver::Socket(Purpose::Clients(ListenEntry { address, scheme })) => {
                write!(f, "socket {} {address}", scheme.as_str())
            }
            Giver::Socket(Purpose::Control) => f.write_str("socket control"),
            Giver::All(names) => write!(f, "all {names}"),
            Giver::Go => f.write_str("go"),
            Giver::No(reason) => write!(f, "no {}", one_line(reason)),
        }
    }
}

/// A line that is not understood.
#[derive(Debug, PartialEq, Eq)]
pub struct NotUnderstood;

impl FromStr for Serves {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Serves, NotUnderstood> {
        match text {
            "core" => Ok(Serves::Core),
            "sites" => Ok(Serves::Sites),
            _ => Err(NotUnderstood),
        }
    }
}

impl FromStr for Taker {
    type Err = NotUnderstood;

    fn from_str(line: &str) -> Result<Taker, NotUnderstood> {
        if let Some(fields) = line.strip_prefix("dreamserver takes over, ") {
            let [versions, program, serves] = values(fields, ["versions", "program", "serves"])?;
            let (oldest, newest) = versions.split_once(" to ").ok_or(NotUnderstood)?;
            return Ok(Taker::Hello {
                oldest: number(oldest)?,
                newest: number(newest)?,
                program: program.to_owned(),
                serves: serves.parse()?,
            });
        }
        match line.split_once(' ') {
            None if line == "give" => Ok(Taker::Give),
            None if line == "ready" => Ok(Taker::Ready),
            None if line == "running" => Ok(Taker::Running),
            Some(("no", reason)) => Ok(Taker::No(reason.to_owned())),
            _ => Err(NotUnderstood),
        }
    }
}

impl FromStr for Giver {
    type Err = NotUnderstood;

    fn from_str(line: &str) -> Result<Giver, NotUnderstood> {
        if let Some(fields) = line.strip_prefix("dreamserver hands over, ") {
            let names = ["version", "program", "serves", "mode"];
            let [version, program, serves, mode] = values(fields, names)?;
            return Ok(Giver::Hello {
                version: number(version)?,
                program: program.to_owned(),
                serves: serves.parse()?,
                mode: mode.to_owned(),
            });
        }
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["lock"] => Ok(Giver::Lock),
            ["go"] => Ok(Giver::Go),
            ["socket", "control"] => Ok(Giver::Socket(Purpose::Control)),
            ["socket", scheme, address] => {
                let entry = ListenEntry {
                    address: address.parse().map_err(|_| NotUnderstood)?,
                    scheme: scheme_of(scheme)?,
                };
                Ok(Giver::Socket(Purpose::Clients(entry)))
            }
            ["all", names] => Ok(Giver::All(number(names)?)),
            ["no", ..] => Ok(Giver::No(words[1..].join(" "))),
            _ => Err(NotUnderstood),
        }
    }
}

fn scheme_of(text: &str) -> Result<Scheme, NotUnderstood> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|scheme| scheme.as_str() == text)
        .ok_or(NotUnderstood)
}

/// The values of `name value, name value, …`. A later version may say more behind them.
fn values<'a, const N: usize>(
    fields: &'a str,
    names: [&str; N],
) -> Result<[&'a str; N], NotUnderstood> {
    let mut fields = fields.split(", ");
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        let field = fields.next().ok_or(NotUnderstood)?;
        let (found, text) = field.split_once(' ').ok_or(NotUnderstood)?;
        *value = Some(text).filter(|_| found == name).ok_or(NotUnderstood)?;
    }
    Ok(values)
}

fn number<T: FromStr>(text: &str) -> Result<T, NotUnderstood> {
    text.parse().map_err(|_| NotUnderstood)
}

/// Reasons have several lines for people.
fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ListenAddress;

    #[test]
    fn what_is_said_is_understood() {
        let taker = [
            Taker::Hello {
                oldest: 1,
                newest: 3,
                program: "0.1.0".into(),
                serves: Serves::Core,
            },
            Taker::Give,
            Taker::Ready,
            Taker::Running,
            Taker::No("port 80 is taken".into()),
        ];
        for said in taker {
            assert_eq!(said.to_string().parse(), Ok(said));
        }
        let giver = [
            Giver::Hello {
                version: 1,
                program: "0.1.0".into(),
                serves: Serves::Sites,
                mode: "dev".into(),
            },
            Giver::Lock,
            Giver::Socket(Purpose::Clients(ListenEntry::http(ListenAddress::Any(80)))),
            Giver::Socket(Purpose::Clients(ListenEntry::https(ListenAddress::Any(
                443,
            )))),
            Giver::Socket(Purpose::Control),
            Giver::All(1_000_000),
            Giver::Go,
            Giver::No("another one is faster".into()),
        ];
        for said in giver {
            assert_eq!(said.to_string().parse(), Ok(said));
        }
    }

    #[test]
    fn a_later_version_may_say_more_in_its_first_line() {
        let line = "dreamserver takes over, versions 2 to 9, program 7, serves core, colour blue";
        assert!(line.parse::<Taker>().is_ok());
    }

    #[test]
    fn anything_else_is_not_understood() {
        for line in [
            "",
            "give me",
            "dreamserver takes over",
            "dreamserver takes over, versions 1, program 1, serves core",
        ] {
            assert_eq!(line.parse::<Taker>(), Err(NotUnderstood), "{line}");
        }
        for line in [
            "",
            "socket",
            "socket http",
            "socket smtp :25",
            "all",
            "all -1",
        ] {
            assert_eq!(line.parse::<Giver>(), Err(NotUnderstood), "{line}");
        }
    }

    #[test]
    fn reasons_stay_on_one_line() {
        assert_eq!(Taker::No("one\ntwo".into()).to_string(), "no one; two");
    }
}
