//! Why there is no certificate for a name, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a CA, or a certificate of one, cannot be had. The text says which file it is about and what to do next.
#[derive(Debug)]
pub enum AuthorityError {
    /// That is neither a DNS name nor an address.
    NoName(String),
    /// No CA that is trusted here may sign for the name.
    NotCovered {
        /// The name.
        name: String,
    },
    /// Our own CA is for it, and nothing else is needed.
    Covered(String),
    /// Names below it are those of many.
    Public(String),
    /// The CA was valid once.
    Ended(PathBuf),
    /// Others may read the key.
    Exposed(PathBuf),
    /// What is in the file cannot be used, and why.
    Unusable(PathBuf, String),
    /// What the system says about the file.
    System(PathBuf, io::Error),
    /// Nobody says where the CA is to be.
    NoFolder,
    /// The certificate could not be made.
    Making(String),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthorityError::NoName(name) => {
                write!(f, "{name:?} is no name that a certificate can be for")
            }
            AuthorityError::NotCovered { name } => {
                let name = name.strip_prefix("*.").unwrap_or(name);
                write!(
                    f,
                    "no CA that is trusted here may sign for {name}: `dreamserver trust --name {name}` makes one for it"
                )
            }
            AuthorityError::Covered(name) => {
                write!(f, "`dreamserver trust` is for {name} too: leave out --name")
            }
            AuthorityError::Public(name) => write!(
                f,
                "names below {name} are those of many, and the key of such a CA could pass for all of them: name a domain below it"
            ),
            AuthorityError::Ended(path) => write!(
                f,
                "the CA {} is no longer valid: {}",
                path.display(),
                remedy(path)
            ),
            AuthorityError::Exposed(path) => write!(
                f,
                "other users may read the key {path}: try `chmod 600 {path}`, or `dreamserver untrust` if one of them may have done so",
                path = path.display()
            ),
            AuthorityError::Unusable(path, reason) => {
                let (path, remedy) = (path.display(), remedy(path));
                write!(f, "the CA {path} cannot be used: {reason}; {remedy}")
            }
            AuthorityError::System(path, error) => {
                write!(f, "{} cannot be used: {error}", path.display())
            }
            AuthorityError::NoFolder => f.write_str(
                "no folder for the CA: none is given, and XDG_DATA_HOME and HOME are not set",
            ),
            AuthorityError::Making(reason) => write!(f, "no certificate can be made: {reason}"),
        }
    }
}

/// What gives another CA in place of that whose file this is.
fn remedy(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match (stem.starts_with("rootCA"), stem.strip_prefix("ca-for-")) {
        (true, _) => "mend mkcert's CA, or let CAROOT name another folder".into(),
        (false, Some(name)) => format!("`dreamserver trust --name {name}` makes another one"),
        (false, None) => "`dreamserver trust` makes another one".into(),
    }
}

impl std::error::Error for AuthorityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AuthorityError::System(_, source) => Some(source),
            _ => None,
        }
    }
}
