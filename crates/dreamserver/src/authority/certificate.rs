//! The certificate of a CA, and what it says.

use super::places::{Kind, stem};
use super::{AuthorityError, Constraints};
use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::certificate::X509Certificate;

/// The certificate of a CA.
#[derive(Clone, Debug)]
pub struct Certificate {
    kind: Kind,
    path: PathBuf,
    der: CertificateDer<'static>,
    subject: String,
    serial: String,
    unit: Option<String>,
    constraints: Constraints,
    not_before: SystemTime,
    not_after: SystemTime,
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads it from its file; none if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate of a CA.
    pub(super) fn load(kind: Kind, path: &Path) -> Result<Option<Certificate>, AuthorityError> {
        let pem = match fs::read(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AuthorityError::System(path.to_owned(), error)),
        };
        Certificate::parse(kind, path, &pem)
            .map(Some)
            .map_err(|reason| AuthorityError::Unusable(path.to_owned(), reason))
    }

    fn parse(kind: Kind, path: &Path, pem: &[u8]) -> Result<Certificate, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&der).map_err(|error| error.to_string())?;
        if !parsed.is_ca() {
            return Err("it is not the certificate of a CA".into());
        }
        let time = |seconds: i64| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        };
        Ok(Certificate {
            kind,
            path: path.to_owned(),
            subject: parsed.subject().to_string(),
            serial: parsed.serial.to_string(),
            unit: unit(&parsed),
            constraints: constraints(&parsed)?,
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            public_key: parsed.public_key().raw.to_vec(),
            der: der.clone(),
        })
    }

    /// Which CA it is of.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The file that it is in, as PEM.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Itself, as DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// What tells it from all others.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    /// What the CA is called, for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What it is called in a database that needs a name for it. mkcert's is that which mkcert gives it.
    pub(super) fn nickname(&self) -> String {
        match self.kind {
            Kind::Mkcert => format!("mkcert development CA {}", self.serial),
            Kind::Own | Kind::Named(_) => format!("dreamserver {}", self.fingerprint().short()),
        }
    }

    /// The organisational unit of the subject.
    pub(super) fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// For which names the CA may sign.
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// From when on it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Its public key (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7), as DER.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// A file of the same CA, with another ending.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        self.path
            .with_file_name(format!("{}{ending}", stem(&self.kind)))
    }
}

/// The SHA-256 of a certificate, by which people and programs tell one from another. Written in hexadecimal digits, without colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate, which is given as DER.
    pub fn of(der: &[u8]) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Fingerprint(bytes)
    }

    /// Its first digits, which are enough where few certificates are told apart.
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(16);
        digits
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn constraints(parsed: &X509Certificate<'_>) -> Result<Constraints, String> {
    let unreadable = || "its name constraints cannot be read".to_owned();
    match parsed.name_constraints() {
        Ok(Some(found)) => Constraints::parse(found.value).ok_or_else(unreadable),
        Ok(None) => Ok(Constraints::default()),
        Err(_) => Err(unreadable()),
    }
}

fn unit(parsed: &X509Certificate<'_>) -> Option<String> {
    let unit = parsed.subject().iter_organizational_unit().next()?;
    unit.as_str().ok().map(str::to_owned)
}
