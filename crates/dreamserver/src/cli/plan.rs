//! What to serve: where the configuration comes from, and the flags that win over it.

use super::{ControlAddress, demo};
use crate::address::{EndpointAddress, ListenAddress, ListenEntry};
use crate::config::{self, AccessLog, Config, Errors};
use crate::exchange::Scheme;
use crate::pid_file;
use crate::takeover::Serves;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What the arguments ask for. Can be made again from the same arguments, which is a reload.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to do now.
    pub config: Config,
    /// Where that comes from.
    pub base: Base,
    /// The flags that win over it.
    pub overrides: Overrides,
    /// Where to write the process number, if anywhere.
    pub pid_file: Option<PathBuf>,
    /// Does it listen to the signals of the process?
    pub hears_signals: bool,
}

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub enum Base {
    /// This file.
    File(PathBuf),
    /// No file was there: zero configuration.
    Nothing,
    /// `dreamserver files DIR`.
    Files(PathBuf),
    /// `dreamserver proxy TO…`.
    Proxy(Vec<EndpointAddress>),
    /// `dreamserver demo`: routes for trying out clients, and this folder.
    Demo(PathBuf),
    /// What a program has made that uses the library.
    Program(Box<Config>),
    /// `dreamserver core`: what programs announce.
    Core,
}

/// Flags that win over the file.
#[derive(Clone, Debug)]
pub struct Overrides {
    /// Where to listen; empty if the file decides.
    pub listen: Vec<ListenAddress>,
    /// Where to listen for TLS; none if the file decides.
    pub listen_tls: Option<Vec<ListenAddress>>,
    /// Where to listen if nobody chose: where sockets do that were passed to this process, or where it needs no rights.
    pub instead: Vec<ListenEntry>,
    /// Where announcements come in, unless the file wants none.
    pub control: ControlAddress,
    /// Where what was announced is kept, if not in the usual place.
    pub state: Option<PathBuf>,
    /// Where the CAs for development are kept, if not in the usual place.
    pub authority: Option<PathBuf>,
    /// Does it take the place of a running server? The core server always does.
    pub take_over: bool,
    /// How it runs; none if nobody chose.
    pub mode: Option<Mode>,
    /// Where all is written down, once it has let go of the terminal; none for a server that stays in the foreground.
    pub log: Option<LogFile>,
}

/// How a server runs. The mode decides what somebody who chose nothing gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For development: in the foreground, and trusting.
    Dev,
    /// For good: in the background, if nobody says otherwise.
    Release,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Dev => "dev",
            Mode::Release => "release",
        })
    }
}

/// A word that is no mode.
#[derive(Debug)]
pub struct NoMode;

impl FromStr for Mode {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Mode, NoMode> {
        match text {
            "dev" => Ok(Mode::Dev),
            "release" => Ok(Mode::Release),
            _ => Err(NoMode),
        }
    }
}

/// The log of a server in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The absolute path.
    pub path: PathBuf,
    /// Bytes of all its files together.
    pub max_size: u64,
}

impl LogFile {
    /// Where a server in the background logs, below the folder that it was started in.
    pub const NAME: &str = "logs/core.log";

    /// That in this folder.
    pub fn here(max_size: u64) -> LogFile {
        let path = Path::new(LogFile::NAME);
        LogFile {
            // Without a folder to be in, the relative path leads nowhere either.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            max_size,
        }
    }
}

impl Base {
    /// The file that was asked for, else the first known one that is there.
    pub fn of_file(explicit: Option<&Path>) -> Base {
        config::find(explicit).map_or(Base::Nothing, Base::File)
    }

    /// The configuration file, if it comes from one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Base::File(path) => Some(path),
            Base::Nothing
            | Base::Files(_)
            | Base::Proxy(_)
            | Base::Demo(_)
            | Base::Program(_)
            | Base::Core => None,
        }
    }

    fn config(&self) -> Result<Config, Errors> {
        match self {
            Base::File(path) => Config::load(path),
            Base::Nothing => Ok(Config::default()),
            Base::Files(folder) => Ok(Config::files(folder)),
            Base::Proxy(endpoints) => Ok(Config::proxy(endpoints.clone())),
            Base::Demo(folder) => demo::config(folder),
            Base::Program(config) => Ok(config.as_ref().clone()),
            Base::Core => Ok(Config::core()),
        }
    }
}

impl Plan {
    /// The plan for these arguments.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn new(
        base: Base,
        overrides: Overrides,
        pid_file: Option<PathBuf>,
    ) -> Result<Plan, Errors> {
        let mut config = base.config()?;
        overrides.apply(&mut config);
        let config = config.checked()?;
        let pid_file = pid_file.unwrap_or_else(|| pid_file::usual_path(base.file()));
        Ok(Plan {
            config,
            base,
            overrides,
            pid_file: Some(pid_file),
            hears_signals: true,
        })
    }

    /// The plan of a program that uses the library: nothing comes from a command line.
    ///
    /// # Errors
    /// What must not be where it listens.
    pub fn of_program(config: Config, hears_signals: bool) -> Result<Plan, Errors> {
        let config = config.checked()?;
        Ok(Plan {
            config: config.clone(),
            base: Base::Program(Box::new(config)),
            overrides: Overrides::none(),
            pid_file: None,
            hears_signals,
        })
    }

    /// Where announcements come in, if anywhere.
    pub fn control(&self) -> Option<ListenAddress> {
        self.overrides
            .control
            .address()
            .filter(|_| self.config.control.enabled)
    }

    /// Do announced names belong to users? In release mode, unless the file says otherwise: this is the one place that decides
    /// it. Only Linux tells whose a port is.
    pub fn owners(&self) -> bool {
        let usual = self.mode() == Mode::Release && cfg!(target_os = "linux");
        self.config.control.owners.unwrap_or(usual)
    }

    /// Does a public authority certify its names? In release mode, or where the file says something of that.
    pub fn orders_certificates(&self) -> bool {
        self.mode() == Mode::Release || self.config.chose_acme
    }

    /// What this server is there for.
    pub fn serves(&self) -> Serves {
        match self.base {
            Base::Core => Serves::Core,
            Base::File(_)
            | Base::Nothing
            | Base::Files(_)
            | Base::Proxy(_)
            | Base::Demo(_)
            | Base::Program(_) => Serves::Sites,
        }
    }

    /// Is it for what programs announce?
    pub fn is_core(&self) -> bool {
        matches!(self.base, Base::Core)
    }

    /// Does it take the place of a server that runs with the same state?
    pub fn takes_over(&self) -> bool {
        self.is_core() || self.overrides.take_over
    }

    /// How it runs, and with that what holds where nobody chose.
    pub fn mode(&self) -> Mode {
        self.overrides.mode.unwrap_or(Mode::Dev)
    }

    /// Does it let go of the terminal once it serves?
    pub fn detaches(&self) -> bool {
        self.overrides.log.is_some()
    }

    /// Listens there, if nobody chose where to listen.
    pub fn listen_instead(&mut self, listeners: Vec<ListenEntry>) {
        self.overrides.instead = listeners;
        self.overrides.apply(&mut self.config);
    }

    /// What the same arguments ask for now. A server that was started without a file uses one that has
    /// appeared since.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn reload(&self) -> Result<Config, Errors> {
        let mut config = match &self.base {
            Base::Nothing => Base::of_file(None).config()?,
            base => base.config()?,
        };
        self.overrides.apply(&mut config);
        config.checked()
    }
}

impl Overrides {
    /// No flags at all.
    fn none() -> Overrides {
        Overrides {
            listen: Vec::new(),
            listen_tls: None,
            instead: Vec::new(),
            control: ControlAddress::usual(),
            state: None,
            authority: None,
            take_over: false,
            mode: None,
            log: None,
        }
    }

    fn instead(&self, scheme: Scheme) -> impl Iterator<Item = ListenAddress> {
        let entries = self.instead.iter();
        entries
            .filter(move |entry| entry.scheme == scheme)
            .map(|entry| entry.address)
    }

    fn apply(&self, config: &mut Config) {
        if !self.listen.is_empty() {
            config.listen = self.listen.clone();
            config.chose_listen = true;
        } else if !config.chose_listen && self.instead(Scheme::Http).next().is_some() {
            config.listen = self.instead(Scheme::Http).collect();
        }
        if self.listen_tls.is_some() {
            config.listen_tls = self.listen_tls.clone();
        } else if config.listen_tls.is_none() && self.instead(Scheme::Https).next().is_some() {
            config.listen_tls = Some(self.instead(Scheme::Https).collect());
        }
        if let Some(log) = &self.log {
            config.log.access = AccessLog::File(log.path.clone());
            config.log.max_size = log.max_size;
        }
    }
}
