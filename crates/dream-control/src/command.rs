//! What a program can say to the server.

use crate::add::Add;
use crate::domain::Domain;
use crate::fault::{Code, Fault};
use crate::text::quote;
use crate::words::Words;
use std::fmt::{self, Write as _};

/// One command. Shown, it is the text that is sent, and that text parses to the same command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `add example.com 5665 ttl=30s`: serve a domain from a port.
    Add(Add),
    /// `remove example.com`: serve it no longer.
    Remove(Domain),
    /// `list`: what was announced, in the order of the domains.
    List {
        /// `after=example.com`: only what comes behind this one, for the next page of a long list.
        after: Option<Domain>,
    },
    /// `certs`: the certificates that the server has, in the order of their names.
    Certs(Certs),
    /// `renew example.com`: order a new certificate now.
    Renew(Domain),
    /// `import example.com`: use the certificate that was left in the folder of the state.
    Import(Domain),
    /// `status`: how the server is.
    Status,
    /// `ping`: is anybody there?
    Ping,
    /// `shutdown`: finish what is in flight, and end.
    Shutdown,
}

/// Which certificates are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Certs {
    /// The first of all.
    All,
    /// `after=example.com`: only what comes behind this one, for the next page of a long list.
    After(Domain),
    /// `example.com`: only those for this name.
    Only(Domain),
}

/// The bytes that a command may have, without its line end. The longest name leaves room for every option and a long path.
pub const MAX_COMMAND: usize = 1024;

impl Command {
    /// Reads a datagram, or a line. One line end (LF or CRLF) may stand behind the command; blanks and tabs stand
    /// between words and do no harm around them.
    ///
    /// # Errors
    /// The first [`Fault`] that is found.
    pub fn parse(input: &[u8]) -> Result<Command, Fault> {
        let text = one_line(input)?;
        let mut words = Words::of(text);
        let verb = words
            .next()
            .ok_or_else(|| Fault::new(Code::Empty, "there is no command"))?;
        let command = match verb {
            "add" => Command::Add(Add::parse(&mut words)?),
            "remove" => Command::Remove(parse_domain(verb, &mut words)?),
            "list" => Command::List {
                after: parse_after(&mut words)?,
            },
            "certs" => Command::Certs(parse_certs(&mut words)?),
            "renew" => Command::Renew(parse_domain(verb, &mut words)?),
            "import" => Command::Import(parse_domain(verb, &mut words)?),
            "status" => Command::Status,
            "ping" => Command::Ping,
            "shutdown" => Command::Shutdown,
            _ => return Err(unknown(verb)),
        };
        words.end()?;
        // Nothing grows by more than half when it is written again.
        if text.len() > MAX_COMMAND / 2 {
            check_len(Length::of(&command))?;
        }
        Ok(command)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Add(add) => add.fmt(f),
            Command::Remove(domain) => write!(f, "remove {domain}"),
            Command::List { after: None } => f.write_str("list"),
            Command::List { after: Some(after) } => write!(f, "list after={after}"),
            Command::Certs(Certs::All) => f.write_str("certs"),
            Command::Certs(Certs::After(after)) => write!(f, "certs after={after}"),
            Command::Certs(Certs::Only(domain)) => write!(f, "certs {domain}"),
            Command::Renew(domain) => write!(f, "renew {domain}"),
            Command::Import(domain) => write!(f, "import {domain}"),
            Command::Status => f.write_str("status"),
            Command::Ping => f.write_str("ping"),
            Command::Shutdown => f.write_str("shutdown"),
        }
    }
}

/// The text of a command without its line end.
fn one_line(input: &[u8]) -> Result<&str, Fault> {
    let line = input.strip_suffix(b"\n").unwrap_or(input);
    let line = line
        .strip_suffix(b"\r")
        .filter(|_| line.len() < input.len())
        .unwrap_or(line);
    check_len(line.len())?;
    let text = str::from_utf8(line).map_err(|error| not_text(error.valid_up_to(), "not UTF-8"))?;
    match text.find(|c: char| c.is_control() && c != '\t') {
        Some(at) => Err(not_text(at, "a control character")),
        None => Ok(text),
    }
}

fn check_len(len: usize) -> Result<(), Fault> {
    if len > MAX_COMMAND {
        let detail = format!("{len} bytes, of at most {MAX_COMMAND}");
        return Err(Fault::new(Code::TooLong, detail));
    }
    Ok(())
}

/// Counts the bytes that a command has when it is written again. Lower case may be longer (`Ⱥ`), and so may some ways to
/// write an address; what was accepted must be readable again all the same.
struct Length(usize);

impl Length {
    fn of(command: &Command) -> usize {
        let mut length = Length(0);
        // Counting does not fail.
        let _ = write!(length, "{command}");
        length.0
    }
}

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fn parse_domain(verb: &str, words: &mut Words) -> Result<Domain, Fault> {
    let missing = || Fault::new(Code::Missing, format!("{verb} needs a domain"));
    Domain::parse(words.next().ok_or_else(missing)?)
}

fn parse_after(words: &mut Words) -> Result<Option<Domain>, Fault> {
    let Some(word) = words.next() else {
        return Ok(None);
    };
    match word.split_once('=') {
        Some(("after", domain)) => Domain::parse(domain).map(Some),
        Some(_) => {
            let detail = format!("{}: the only option is after", quote(word));
            Err(Fault::new(Code::BadOption, detail))
        }
        None => Err(Words::one_too_many(word)),
    }
}

fn parse_certs(words: &mut Words) -> Result<Certs, Fault> {
    let mut ahead = words.clone();
    match ahead.next() {
        Some(word) if !word.contains('=') => parse_domain("certs", words).map(Certs::Only),
        _ => Ok(parse_after(words)?.map_or(Certs::All, Certs::After)),
    }
}

fn unknown(verb: &str) -> Fault {
    let verb = quote(verb);
    Fault::new(
        Code::UnknownCommand,
        format!("{verb} is not add, remove, list, certs, renew, import, status, ping or shutdown"),
    )
}

fn not_text(at: usize, what: &str) -> Fault {
    Fault::new(Code::NotText, format!("byte {} is {what}", at + 1))
}
