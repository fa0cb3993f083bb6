//! All CAs that are trusted here, as one.

use super::ca::Ca;
use super::{AuthorityError, Certificate, Kind, Name, Places, installed};
use crate::credential::Credential;
use std::fmt;
use std::time::SystemTime;

/// What signs certificates in development: one CA for names of this machine, and perhaps others for a name each.
///
/// Shown as text it says, for people, which CA it is and for which names.
#[derive(Debug)]
pub struct LocalCa {
    /// In the order in which they are asked; at least one.
    issuers: Vec<Ca>,
    unusable: Vec<AuthorityError>,
}

impl LocalCa {
    /// Finds the CAs that are trusted: mkcert's, or else our own if it is installed; then those for single names that are. None if
    /// there is none of them. It reads files and parses keys; [`super::CurrentCa`] does so only when they have changed.
    ///
    /// # Errors
    /// There would be one, but it cannot be used. If others can, it is among [`LocalCa::unusable`] instead.
    pub fn find(places: &Places) -> Result<Option<LocalCa>, AuthorityError> {
        let mut found = LocalCa {
            issuers: Vec::new(),
            unusable: Vec::new(),
        };
        found.add(places, Kind::Mkcert);
        if found.issuers.is_empty() {
            found.add(places, Kind::Own);
        }
        for kind in places.named() {
            found.add(places, kind);
        }
        match found.issuers.is_empty() {
            false => Ok(Some(found)),
            true => found.unusable.pop().map_or(Ok(None), Err),
        }
    }

    /// One that was never installed is none, and its faults are nobody's concern.
    fn add(&mut self, places: &Places, kind: Kind) {
        if !installed::is_somewhere(places, &kind) {
            return;
        }
        match Ca::load(places, kind) {
            Ok(ca) => self.issuers.extend(ca),
            Err(error) => self.unusable.push(error),
        }
    }

    /// Makes a certificate for a DNS name, perhaps a wildcard, or for an address. It is valid for at most 90 days; the key is new, of
    /// ECDSA with P-256.
    ///
    /// # Errors
    /// [`AuthorityError::NotCovered`] if none of the CAs may sign for that name.
    pub fn issue(&self, name: &str, now: SystemTime) -> Result<Credential, AuthorityError> {
        let name = Name::parse(name)?;
        let covers = |ca: &&Ca| ca.certificate().constraints().permit(&name);
        let mut refusal = AuthorityError::NotCovered {
            name: name.to_string(),
        };
        for ca in self.issuers.iter().filter(covers) {
            match ca.issue(&name, now) {
                Ok(credential) => return Ok(credential),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    /// May one of the CAs sign for this name?
    pub fn covers(&self, name: &str) -> bool {
        Name::parse(name).is_ok_and(|name| {
            let mut certificates = self.certificates();
            certificates.any(|certificate| certificate.constraints().permit(&name))
        })
    }

    /// The certificates of the CAs, in the order in which they are asked.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.issuers.iter().map(Ca::certificate)
    }

    /// CAs that were installed and cannot be used.
    pub fn unusable(&self) -> &[AuthorityError] {
        &self.unusable
    }
}

/// One sentence for the start message, `status` and the log.
impl fmt::Display for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, certificate) in self.certificates().enumerate() {
            let comma = if at > 0 { "; " } else { "" };
            let constraints = certificate.constraints();
            match certificate.kind() {
                Kind::Mkcert => write!(f, "{comma}mkcert's CA, for {constraints}")?,
                Kind::Own => write!(f, "{comma}the CA of `dreamserver trust`, for {constraints}")?,
                Kind::Named(_) => write!(f, "{comma}a CA for {constraints}")?,
            }
        }
        Ok(())
    }
}
