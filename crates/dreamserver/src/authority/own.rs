//! Our own CAs, as their user sees them: made when they are wanted, gone when they are not.

use super::ca::Ca;
use super::{AuthorityError, Certificate, Constraints, Kind, Name, Places, files, installed};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A CA of ours that is there now.
#[derive(Debug)]
pub struct Ensured {
    /// Its certificate.
    pub certificate: Certificate,
    /// The one in whose place it was made. Stores may still hold it.
    pub replaced: Option<Certificate>,
}

/// Makes sure that there is a CA of ours of this kind which can sign for some time yet. A new one signs nothing before it is
/// remembered where it is installed, see [`remember`].
///
/// # Errors
/// There is one that cannot be read, or there is none and it cannot be made.
pub fn ensure(places: &Places, kind: &Kind, now: SystemTime) -> Result<Ensured, AuthorityError> {
    places.own_folder()?;
    match Ca::load(places, kind.clone()) {
        Ok(Some(ca)) if now + LEAST < ca.certificate().not_after() => {
            return Ok(Ensured {
                certificate: ca.certificate().clone(),
                replaced: None,
            });
        }
        // It has ended, is half done, or was damaged: it is of no use to anybody.
        Ok(_) | Err(AuthorityError::Unusable(..)) => {}
        Err(error) => return Err(error),
    }
    let replaced = certificate(places, kind).ok().flatten();
    let made = Ca::make(places, kind.clone(), now)?;
    Ok(Ensured {
        certificate: made.certificate().clone(),
        replaced,
    })
}

/// A CA for a name or an address, as a person writes it; what is below the name is meant too.
///
/// # Errors
/// It is no name, it is everybody's, or our own CA is for it.
pub fn for_name(text: &str) -> Result<Kind, AuthorityError> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let ascii = match host.parse::<IpAddr>() {
        Ok(_) => host.to_owned(),
        Err(_) => {
            idna::domain_to_ascii(host).map_err(|_| AuthorityError::NoName(text.to_owned()))?
        }
    };
    let name = Name::parse(&ascii)?;
    if Constraints::of_development().permit(&name) {
        return Err(AuthorityError::Covered(name.to_string()));
    }
    match &name {
        Name::Dns(name) if is_public(name) => Err(AuthorityError::Public(name.clone())),
        _ => Ok(Kind::Named(name)),
    }
}

/// Do strangers own the names below it? (The Public Suffix List, <https://publicsuffix.org>.)
fn is_public(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix == name)
}

/// Are both the certificate and the key of a CA here?
pub fn is_whole(places: &Places, kind: &Kind) -> bool {
    matches!(Ca::load(places, kind.clone()), Ok(Some(_)) | Err(_))
}

/// The certificate of a CA, whether it can sign or not; none if there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn certificate(places: &Places, kind: &Kind) -> Result<Option<Certificate>, AuthorityError> {
    match places.certificate(kind) {
        Some(path) => Certificate::load(kind.clone(), &path),
        None => Ok(None),
    }
}

/// All CAs there are files of: mkcert's, our own, and those for single names.
pub fn kinds(places: &Places) -> Vec<Kind> {
    let there = |kind: &Kind| places.certificate(kind).is_some_and(|path| path.exists());
    let first = [Kind::Mkcert, Kind::Own].into_iter().filter(there);
    first.chain(places.named()).collect()
}

/// The stores that a CA of ours is installed in, by their names.
pub fn stores(places: &Places, kind: &Kind) -> Vec<String> {
    installed::stores(places, kind)
}

/// Remembers the stores that a CA of ours is installed in; without one it does not sign.
///
/// # Errors
/// That cannot be written down.
pub fn remember(places: &Places, kind: &Kind, stores: &[String]) -> Result<(), AuthorityError> {
    installed::remember(places, kind, stores)
}

/// Removes the files of a CA of ours, the key first.
///
/// # Errors
/// One of them cannot be removed.
pub fn remove(certificate: &Certificate) -> Result<(), AuthorityError> {
    let files = [".key", installed::ENDING, ".pem"];
    files
        .iter()
        .try_for_each(|ending| files::remove(&certificate.beside(ending)))
}

/// Who may make, install or remove CAs at one time.
///
/// # Errors
/// The folder cannot be made.
pub fn lock(folder: &Path) -> Result<files::Lock, AuthorityError> {
    files::prepare(folder)?;
    files::Lock::take(folder)
}

/// What is valid for less time is made anew: leaves should not end early because of it.
const LEAST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
