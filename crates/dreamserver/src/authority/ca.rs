//! A CA: its certificate and its key, how it is made, and what it signs.

use super::places::{Kind, stem};
use super::{AuthorityError, Certificate, Constraints, Name, Places, files, installed};
use crate::credential::Credential;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use x509_parser::time::ASN1Time;

/// A CA that can sign.
///
/// Invariant: the key is the certificate's.
pub(super) struct Ca {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate.fmt(f)
    }
}

impl Ca {
    /// The CA of a kind; none if there is none, or if its key is elsewhere.
    ///
    /// # Errors
    /// A file is there and cannot be used.
    pub(super) fn load(places: &Places, kind: Kind) -> Result<Option<Ca>, AuthorityError> {
        let Some(path) = places.certificate(&kind) else {
            return Ok(None);
        };
        let Some(certificate) = Certificate::load(kind, &path)? else {
            return Ok(None);
        };
        let path = match certificate.kind() {
            Kind::Mkcert => certificate.beside("-key.pem"),
            _ => certificate.beside(".key"),
        };
        if !path.exists() {
            return Ok(None);
        }
        if *certificate.kind() != Kind::Mkcert {
            refuse_exposed(&path)?;
        }
        let key = read_key(&path)?;
        Ca::new(certificate, key).map(Some)
    }

    /// Makes a CA of ours and keeps it in its files, in place of one that was there.
    ///
    /// # Errors
    /// It cannot be made, or not be kept.
    pub(super) fn make(places: &Places, kind: Kind, now: SystemTime) -> Result<Ca, AuthorityError> {
        let key = KeyPair::generate().map_err(making)?;
        let made = params(&kind, &key, now)?
            .self_signed(&key)
            .map_err(making)?;
        let folder = places.own_folder()?;
        files::prepare(folder)?;
        let file = |ending: &str| folder.join(format!("{}{ending}", stem(&kind)));
        files::remove(&file(installed::ENDING))?;
        files::replace(&file(".key"), key.serialize_pem().as_bytes(), 0o600)?;
        files::replace(&file(".pem"), made.pem().as_bytes(), 0o644)?;
        Ca::load(places, kind)?.ok_or_else(|| AuthorityError::Making("its files are gone".into()))
    }

    fn new(certificate: Certificate, key: KeyPair) -> Result<Ca, AuthorityError> {
        let unusable =
            |reason: String| AuthorityError::Unusable(certificate.path().to_owned(), reason);
        if key.subject_public_key_info() != certificate.public_key() {
            return Err(unusable("the key beside it is not its own".into()));
        }
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key)
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Ca {
            certificate,
            issuer,
        })
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A certificate for a name, with a key that was made for it.
    ///
    /// # Errors
    /// The CA is not valid now, or the signature fails.
    pub(super) fn issue(&self, name: &Name, now: SystemTime) -> Result<Credential, AuthorityError> {
        let (first, last) = (self.certificate.not_before(), self.certificate.not_after());
        if now >= last {
            return Err(AuthorityError::Ended(self.certificate.path().to_owned()));
        }
        let not_before = (now - SKEW).max(first);
        let mut params = CertificateParams::default();
        params.distinguished_name = self.leaf_subject();
        params.subject_alt_names = vec![match name {
            Name::Dns(name) => SanType::DnsName(name.as_str().try_into().map_err(making)?),
            Name::Address(address) => SanType::IpAddress(*address),
        }];
        set_validity(&mut params, not_before, (not_before + LEAF).min(last))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(making)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(making)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Credential::new(vec![leaf.into()], key).map_err(making)
    }

    /// Those of mkcert's CA say what mkcert itself would write.
    fn leaf_subject(&self) -> DistinguishedName {
        let mut subject = DistinguishedName::new();
        let whose = match self.certificate.kind() {
            Kind::Mkcert => "mkcert development certificate",
            Kind::Own | Kind::Named(_) => "DreamServer development certificate",
        };
        subject.push(DnType::OrganizationName, whose);
        if let Some(unit) = self.certificate.unit() {
            subject.push(DnType::OrganizationalUnitName, unit);
        }
        subject
    }
}

/// What the certificate of a CA of ours says. Its name is its own, because stores mix up certificates of one name.
fn params(
    kind: &Kind,
    key: &KeyPair,
    now: SystemTime,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let digits: String = params.key_identifier(key)[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (called, constraints, lifetime) = match kind {
        Kind::Named(name) => {
            let constraints = Constraints::of_name(name);
            (
                format!("DreamServer CA for {constraints} {digits}"),
                constraints,
                NAMED,
            )
        }
        Kind::Own | Kind::Mkcert => {
            let called = format!("DreamServer development CA {digits}");
            (called, Constraints::of_development(), OWN)
        }
    };
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "DreamServer");
    params.distinguished_name.push(DnType::CommonName, called);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(constraints.encode());
    set_validity(&mut params, now - SKEW, now + lifetime)?;
    Ok(params)
}

/// A key that others can read is no secret, and a CA without a secret is none.
fn refuse_exposed(path: &Path) -> Result<(), AuthorityError> {
    let metadata =
        fs::metadata(path).map_err(|error| AuthorityError::System(path.to_owned(), error))?;
    match metadata.permissions().mode() & BY_OTHERS {
        0 => Ok(()),
        _ => Err(AuthorityError::Exposed(path.to_owned())),
    }
}

fn read_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let pem =
        fs::read_to_string(path).map_err(|error| AuthorityError::System(path.to_owned(), error))?;
    KeyPair::from_pem(&pem)
        .map_err(|error| AuthorityError::Unusable(path.to_owned(), error.to_string()))
}

fn set_validity(
    params: &mut CertificateParams,
    from: SystemTime,
    to: SystemTime,
) -> Result<(), AuthorityError> {
    let convert = |time: SystemTime| {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).map_err(making)?;
        let time = ASN1Time::from_timestamp(seconds).map_err(making)?;
        Ok(time.to_datetime())
    };
    params.not_before = convert(from)?;
    params.not_after = convert(to)?;
    Ok(())
}

fn making(error: impl fmt::Display) -> AuthorityError {
    AuthorityError::Making(error.to_string())
}

/// Permission bits of a file.
const BY_OTHERS: u32 = 0o077;

/// Clocks of other devices may be behind ours by so much.
const SKEW: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long what a CA signs is valid: no longer than certificates of public CAs were, so that nothing depends on more.
const LEAF: Duration = Duration::from_secs(90 * DAY.as_secs());

/// How long our own CA is valid, as mkcert's is. Its key is good for nothing but this machine.
const OWN: Duration = Duration::from_secs(3650 * DAY.as_secs());

/// How long a CA for one name is valid: its name is somebody's, and projects end. Apple's longest for what users install.
const NAMED: Duration = Duration::from_secs(825 * DAY.as_secs());
