//! What to serve: where the configuration comes from, and the flags that win over it.

use super::ControlAddress;
use crate::address::{EndpointAddress, ListenAddress};
use crate::config::{self, Config, Errors};
use crate::pid_file;
use crate::takeover::Serves;
use std::path::{Path, PathBuf};

/// What the arguments ask for. Can be made again from the same arguments, which is a reload.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to do now.
    pub config: Config,
    /// Where that comes from.
    pub base: Base,
    /// The flags that win over it.
    pub overrides: Overrides,
    /// Where to write the process number.
    pub pid_file: PathBuf,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// This file.
    File(PathBuf),
    /// No file was there: zero configuration.
    Nothing,
    /// `dreamserver files DIR`.
    Files(PathBuf),
    /// `dreamserver proxy TO…`.
    Proxy(Vec<EndpointAddress>),
    /// `dreamserver core`: what programs announce.
    Core,
}

/// Flags that win over the file.
#[derive(Clone, Debug)]
pub struct Overrides {
    /// Where to listen; empty if the file decides.
    pub listen: Vec<ListenAddress>,
    /// Where sockets listen already that were passed to this process; they count if nobody chose where to listen.
    pub passed: Vec<ListenAddress>,
    /// Where announcements come in, unless the file wants none.
    pub control: ControlAddress,
    /// Where what was announced is kept, if not in the usual place.
    pub state: Option<PathBuf>,
    /// Does it take the place of a running server? The core server always does.
    pub take_over: bool,
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
            Base::Nothing | Base::Files(_) | Base::Proxy(_) | Base::Core => None,
        }
    }

    fn config(&self) -> Result<Config, Errors> {
        match self {
            Base::File(path) => config::load(path),
            Base::Nothing => Ok(Config::default()),
            Base::Files(folder) => Ok(Config::files(folder)),
            Base::Proxy(endpoints) => Ok(Config::proxy(endpoints.clone())),
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
        let pid_file = pid_file.unwrap_or_else(|| pid_file::usual_path(base.file()));
        Ok(Plan {
            config,
            base,
            overrides,
            pid_file,
        })
    }

    /// Where announcements come in, if anywhere.
    pub fn control(&self) -> Option<ListenAddress> {
        self.overrides
            .control
            .address()
            .filter(|_| self.config.control.enabled)
    }

    /// Do announced names belong to users? Not unless the file says so: this is the one place that decides it.
    pub fn owners(&self) -> bool {
        self.config.control.owners.unwrap_or(false)
    }

    /// What this server is there for.
    pub fn serves(&self) -> Serves {
        match self.base {
            Base::Core => Serves::Core,
            Base::File(_) | Base::Nothing | Base::Files(_) | Base::Proxy(_) => Serves::Sites,
        }
    }

    /// Does it take the place of a server that runs with the same state?
    pub fn takes_over(&self) -> bool {
        self.base == Base::Core || self.overrides.take_over
    }

    /// Listens where sockets do already, if nobody chose where to listen.
    pub fn pass(&mut self, listeners: Vec<ListenAddress>) {
        self.overrides.passed = listeners;
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
        Ok(config)
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        if !self.listen.is_empty() {
            config.listen = self.listen.clone();
            config.chose_listen = true;
        } else if !self.passed.is_empty() && !config.chose_listen {
            config.listen = self.passed.clone();
        }
    }
}
