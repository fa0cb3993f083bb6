//! Running the programs that own the stores.

use super::StoreError;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// How what only root may do is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// We are root.
    Root,
    /// By `sudo`, which may ask for a password.
    Sudo,
    /// Not at all.
    User,
}

impl Rights {
    /// Those of this process. `sudo` is for somebody who sees it ask.
    pub fn of_process() -> Rights {
        if rustix::process::geteuid().is_root() {
            return Rights::Root;
        }
        match io::stdin().is_terminal() && find_program("sudo").is_some() {
            true => Rights::Sudo,
            false => Rights::User,
        }
    }
}

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Step {
    program: &'static str,
    arguments: Vec<OsString>,
}

impl Step {
    pub(super) fn new(program: &'static str, arguments: &[&dyn AsRef<OsStr>]) -> Step {
        let arguments = arguments
            .iter()
            .map(|argument| argument.as_ref().to_owned());
        Step {
            program,
            arguments: arguments.collect(),
        }
    }

    /// A program and its arguments in one list.
    pub(super) fn of(words: &'static [&'static str]) -> Step {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        Step {
            program,
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    /// Runs it, and gives what it said, whether it failed or not; none if there is no such program.
    pub(super) fn try_output(&self) -> Option<Result<Output, StoreError>> {
        let program = find_program(self.program)?;
        Some(self.output(Command::new(program)))
    }

    /// Runs it.
    pub(super) fn run(&self) -> Result<Output, StoreError> {
        let ran = self
            .try_output()
            .ok_or_else(|| self.failed("there is no such program"))?;
        self.check(ran?)
    }

    /// It must have succeeded.
    pub(super) fn check(&self, output: Output) -> Result<Output, StoreError> {
        match output.status.success() {
            true => Ok(output),
            false => {
                let said = [output.stdout, output.stderr].concat();
                Err(self.failed(&String::from_utf8_lossy(&said)))
            }
        }
    }

    fn output(&self, mut command: Command) -> Result<Output, StoreError> {
        command
            .args(&self.arguments)
            // Some of what is said is looked at.
            .env("LC_ALL", "C")
            .env("PATH", path())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.failed(&error.to_string()))
    }

    fn run_by_sudo(&self) -> Result<Output, StoreError> {
        let mut sudo = Command::new("sudo");
        sudo.arg("--").arg(self.program);
        self.check(self.output(sudo)?)
    }

    fn failed(&self, output: &str) -> StoreError {
        StoreError::Failed {
            command: self.to_string(),
            output: output.to_owned(),
        }
    }
}

/// As a shell takes it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        self.arguments.iter().try_for_each(|argument| {
            let text = argument.to_string_lossy();
            let plain = |c: char| c.is_alphanumeric() || "-_./:=@+,".contains(c);
            match !text.is_empty() && text.chars().all(plain) {
                true => write!(f, " {text}"),
                false => write!(f, " '{}'", text.replace('\'', r"'\''")),
            }
        })
    }
}

/// Does, in turn, what only root may do.
pub(super) fn run_as_root(steps: &[Step], rights: Rights) -> Result<(), StoreError> {
    match rights {
        Rights::Root => steps.iter().try_for_each(|step| step.run().map(drop)),
        Rights::Sudo => steps
            .iter()
            .try_for_each(|step| step.run_by_sudo().map(drop)),
        Rights::User => Err(StoreError::NeedsRoot(
            steps.iter().map(|step| format!("sudo {step}")).collect(),
        )),
    }
}

/// Where a program is.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = path();
    let mut there = std::env::split_paths(&path).map(|folder| folder.join(name));
    there.find(|program| program.is_file())
}

/// The folders of programs; users often lack those of administrators, and Homebrew keeps NSS apart.
fn path() -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let more = [
        "/usr/sbin",
        "/sbin",
        "/opt/homebrew/opt/nss/bin",
        "/usr/local/opt/nss/bin",
    ];
    let folders = std::env::split_paths(&own).chain(more.iter().map(PathBuf::from));
    std::env::join_paths(folders.filter(|folder| folder.is_absolute())).unwrap_or(own)
}

/// The certificates of a file of PEM; none if it cannot be read.
pub(super) fn holds_pem(pem: &[u8], der: &[u8]) -> bool {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::pem_slice_iter(pem)
        .flatten()
        .any(|found| found.as_ref() == der)
}

/// Whether a file of PEM has the certificate.
pub(super) fn file_holds(path: &Path, der: &[u8]) -> bool {
    std::fs::read(path).is_ok_and(|pem| holds_pem(&pem, der))
}
