//! Where programs keep the CAs that they trust: the system's store, and those of browsers, which have their own.

mod keychain;
mod nss;
mod run;
mod system;

pub use self::run::Rights;

use self::keychain::Keychain;
use self::nss::Nss;
use self::system::System;
use super::{Certificate, Places};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A store of CAs. Shown as text it is what a person calls it, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// The system's, for curl and most programs.
    System(System),
    /// The system's on macOS, for browsers too.
    Keychain(Keychain),
    /// That of a browser.
    Nss(Nss),
}

impl Store {
    /// All that this user's programs look into, as far as they are there.
    pub fn find(places: &Places) -> Vec<Store> {
        let mut found: Vec<Store> = System::find().map(Store::System).into_iter().collect();
        if let Some(home) = &places.home {
            found.extend(Keychain::find(home).map(Store::Keychain));
            found.extend(Nss::find(home).into_iter().map(Store::Nss));
        }
        found
    }

    /// One that was found before, perhaps with other variables set, if it is still there.
    pub fn remembered(path: &str) -> Option<Store> {
        Nss::at(Path::new(path)).map(Store::Nss)
    }

    /// Where it is. No two stores are at one place.
    pub fn path(&self) -> &Path {
        match self {
            Store::System(store) => store.path(),
            Store::Keychain(store) => store.path(),
            Store::Nss(store) => store.path(),
        }
    }

    /// What it is: `system`, `keychain` or `nss`.
    pub fn kind(&self) -> &'static str {
        match self {
            Store::System(_) => "system",
            Store::Keychain(_) => "keychain",
            Store::Nss(_) => "nss",
        }
    }

    /// Is the certificate in it?
    ///
    /// # Errors
    /// That cannot be found out.
    pub fn holds(&self, certificate: &Certificate) -> Result<bool, StoreError> {
        match self {
            Store::System(store) => store.holds(certificate),
            Store::Keychain(store) => store.holds(certificate),
            Store::Nss(store) => store.holds(certificate),
        }
    }

    /// Puts the certificate into it, as that of a CA which is trusted for servers. Once more does no harm.
    ///
    /// # Errors
    /// [`StoreError`] says why not, and what can be done.
    pub fn add(&self, certificate: &Certificate, rights: Rights) -> Result<(), StoreError> {
        match self {
            Store::System(store) => store.add(certificate, rights),
            Store::Keychain(store) => store.add(certificate),
            Store::Nss(store) => store.add(certificate),
        }
    }

    /// Takes the certificate, and no other, out of it.
    ///
    /// # Errors
    /// [`StoreError`] says why not, and what can be done.
    pub fn remove(&self, certificate: &Certificate, rights: Rights) -> Result<(), StoreError> {
        match self {
            Store::System(store) => store.remove(certificate, rights),
            Store::Keychain(store) => store.remove(certificate),
            Store::Nss(store) => store.remove(certificate),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let called = match self {
            Store::System(_) => "the system",
            Store::Keychain(_) => "the keychain",
            Store::Nss(store) => store.browser(),
        };
        write!(f, "{called} ({})", self.path().display())
    }
}

/// Why a store does not do as it is told.
#[derive(Debug)]
pub enum StoreError {
    /// Only root can do it; by these commands.
    NeedsRoot(Vec<String>),
    /// A program is missing that speaks to the store.
    NoTool {
        /// The program.
        tool: &'static str,
        /// How to get it.
        install: &'static str,
    },
    /// A program was run and failed.
    Failed {
        /// The command.
        command: String,
        /// What it said.
        output: String,
    },
    /// A program said that it is done, and it is not.
    NotThere,
    /// What the system says about a file.
    System(PathBuf, io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NeedsRoot(commands) => {
                f.write_str("only root can do that, such as by")?;
                commands
                    .iter()
                    .try_for_each(|line| write!(f, "\n    {line}"))
            }
            StoreError::NoTool { tool, install } => {
                write!(f, "the program {tool} is missing; `{install}` installs it")
            }
            StoreError::Failed { command, output } => {
                write!(f, "`{command}` failed: {}", output.trim())
            }
            StoreError::NotThere => {
                f.write_str("its program said that it is done, but the certificate is not there")
            }
            StoreError::System(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::System(_, source) => Some(source),
            _ => None,
        }
    }
}
