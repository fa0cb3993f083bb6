//! The commands that speak to a running server: `add`, `remove`, `list`, `status` and `stop`.

use super::Mode;
use super::args::{AddArguments, ControlAddress};
use super::list::{name, table, value_of};
use super::{USAGE, fail, print};
use crate::address::ListenAddress;
use dream_control::{Client, Command, Error, Reply};
use serde_json::{Map, Value};
use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

/// Speaks to the server whose announcements come in at one address.
pub(super) struct Speaker {
    control: ControlAddress,
}

impl Speaker {
    pub(super) fn new(control: ControlAddress) -> Speaker {
        Speaker { control }
    }

    pub(super) fn add(&self, arguments: &AddArguments) -> ExitCode {
        self.show(&arguments.line(), |words, _| {
            match words.split(' ').collect::<Vec<_>>().as_slice() {
                [_, domain, port, "waiting"] => {
                    format!("{domain} will reach port {port}, where nothing answers yet\n")
                }
                [_, domain, port, ..] => format!("{domain} reaches port {port}\n"),
                _ => format!("{words}\n"),
            }
        })
    }

    pub(super) fn remove(&self, domain: &str) -> ExitCode {
        self.show(&format!("remove {domain}"), |_, _| {
            format!("{domain} is no longer served\n")
        })
    }

    pub(super) fn stop(&self) -> ExitCode {
        self.show("shutdown", |_, _| {
            "the server finishes what it has and ends\n".to_owned()
        })
    }

    pub(super) fn status(&self, as_json: bool) -> ExitCode {
        self.show("status", |_, body| match as_json {
            true => format!("{}\n", status_json(body)),
            false => status_text(body),
        })
    }

    /// How the server is; without one, says so and gives the exit code for that.
    pub(super) fn ask_status(&self) -> Result<Map<String, Value>, ExitCode> {
        self.send("status").map(|(_, body)| pairs(&body))
    }

    /// The mode of the server that runs, if one does.
    pub(super) fn running_mode(&self) -> Option<Mode> {
        self.running("mode")?.parse().ok()
    }

    /// The folder of its state.
    pub(super) fn running_state(&self) -> Option<PathBuf> {
        self.running("state").map(PathBuf::from)
    }

    fn running(&self, key: &str) -> Option<String> {
        let reply = ask(self.control.address()?, &Command::Status).ok()?;
        reply.words().ok()?;
        let pairs = pairs(reply.body());
        pairs.get(key)?.as_str().map(str::to_owned)
    }

    /// Says something to the server that runs: what it answers, or why it will not; nothing if none runs.
    pub(super) fn tell(&self, command: &str) -> Option<Result<String, String>> {
        let command = Command::parse(command.as_bytes()).ok()?;
        match ask(self.control.address()?, &command) {
            Ok(reply) => Some(match reply.words() {
                Ok(words) => Ok(words.to_owned()),
                Err(refusal) => Err(refusal.to_string()),
            }),
            Err(Error::NobodyThere(_)) => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }

    pub(super) fn list(&self, as_json: bool) -> ExitCode {
        match self.names() {
            Ok(names) if as_json => print(format!("{}\n", Value::Array(names)).as_bytes()),
            Ok(names) => print(table(&names, is_coloured()).as_bytes()),
            Err(code) => code,
        }
    }

    /// Every name, page by page.
    fn names(&self) -> Result<Vec<Value>, ExitCode> {
        let mut names = Vec::new();
        let mut command = "list".to_owned();
        loop {
            let (words, body) = self.send(&command)?;
            names.extend(body.lines().filter_map(name));
            match words.split_once("next=") {
                Some((_, next)) => command = format!("list after={next}"),
                None => return Ok(names),
            }
        }
    }

    /// Sends a command and says what came of it.
    fn show(&self, command: &str, say: impl Fn(&str, &str) -> String) -> ExitCode {
        match self.send(command) {
            Ok((words, body)) => print(say(&words, &body).as_bytes()),
            Err(code) => code,
        }
    }

    /// Sends a command, as any program would write it; what goes wrong is said.
    pub(super) fn send(&self, command: &str) -> Result<(String, String), ExitCode> {
        let Some(address) = self.control.address() else {
            let _ = fail("--control off: there is nobody to speak to");
            return Err(ExitCode::from(USAGE));
        };
        let command = match Command::parse(command.as_bytes()) {
            Ok(command) => command,
            Err(fault) => {
                let _ = fail(&fault.to_string());
                return Err(ExitCode::from(USAGE));
            }
        };
        let reply = ask(address, &command).map_err(|error| fail(&error.to_string()))?;
        match reply.words() {
            Ok(words) => Ok((words.to_owned(), reply.body().to_owned())),
            Err(refusal) => Err(fail(&refusal.to_string())),
        }
    }
}

/// Asks by IPv4, as senders do, and else by IPv6.
fn ask(address: ListenAddress, command: &Command) -> Result<Reply, Error> {
    let sockets = address.sockets();
    let mut failure = None;
    for socket in sockets.into_iter().rev() {
        match Client::new(socket).send(command) {
            Ok(reply) => return Ok(reply),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or(Error::NobodyThere(([127, 0, 0, 1], address.port()).into())))
}

/// For people: what is to be done stands at the end.
fn status_text(body: &str) -> String {
    let lines = body.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(key, value)| format!("{key}: {value}\n"))
        .collect()
}

/// For programs: all warnings are one list.
fn status_json(body: &str) -> Value {
    let warnings = body
        .lines()
        .filter_map(|line| line.strip_prefix("warning="));
    let warnings: Vec<Value> = warnings.map(Value::from).collect();
    let mut status = pairs(body);
    status.remove("warning");
    status.insert("warnings".into(), warnings.into());
    Value::Object(status)
}

/// Lines of names and values as JSON.
fn pairs(body: &str) -> Map<String, Value> {
    let pairs = body.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value_of(value)))
        .collect()
}

/// Colours are for people, and for those who want them (<https://no-color.org>).
pub(super) fn is_coloured() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
