//! A certificate with its chain, and the key to it: what a server proves a name with, or a client itself.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

/// A certificate chain, the leaf first, and the private key of the leaf.
///
/// Invariant: the key fits the leaf.
#[derive(Clone, Debug)]
pub struct Credential {
    certified: Arc<CertifiedKey>,
    names: Vec<String>,
    issuer: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Credential {
    /// Reads a chain (the leaf first) and a key: PKCS#8, PKCS#1 or SEC1, as PEM (RFC 7468). Other PEM sections are passed over.
    ///
    /// # Errors
    /// [`CredentialError`] if one of them cannot be read, or the two do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Credential, CredentialError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| CredentialError::Chain(error.to_string()))?;
        if chain.is_empty() {
            return Err(CredentialError::Chain(
                "there is no certificate in it".into(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CredentialError::Key(error.to_string()))?;
        Credential::new(chain, key)
    }

    /// The same from what PEM holds.
    ///
    /// # Errors
    /// As [`Credential::from_pem`].
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Credential, CredentialError> {
        let facts = chain.first().map(|leaf| Facts::of(leaf));
        let facts = facts
            .transpose()?
            .ok_or_else(|| CredentialError::Chain("there is no certificate in it".into()))?;
        let provider = aws_lc_rs::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => CredentialError::Mismatch,
                error => CredentialError::Key(error.to_string()),
            })?;
        let Facts {
            names,
            issuer,
            not_before,
            not_after,
        } = facts;
        Ok(Credential {
            certified: Arc::new(certified),
            names,
            issuer,
            not_before,
            not_after,
        })
    }

    /// Chain and key as a handshake takes them.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What the leaf is for: names and addresses, as they stand in it (RFC 5280 §4.2.1.6).
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Is the leaf for this name, in lower case? The `*` of a wildcard stands for one label (RFC 9525 §6.3).
    pub fn covers(&self, name: &str) -> bool {
        let above = name.split_once('.').map(|(_, above)| above);
        self.names.iter().any(|own| {
            let wildcard = own.strip_prefix("*.");
            own == name || (wildcard.is_some() && wildcard == above)
        })
    }

    /// Who issued the leaf, for people: the organisation and the name of the issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the leaf begins to be valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When the leaf ends to be valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// Why a certificate and a key are not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// The chain cannot be read.
    Chain(String),
    /// The key cannot be read, or is of a kind that TLS does not sign with.
    Key(String),
    /// Each is well, but the key is not the certificate's.
    Mismatch,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialError::Chain(reason) => write!(f, "the certificate cannot be read: {reason}"),
            CredentialError::Key(reason) => write!(f, "the key cannot be read: {reason}"),
            CredentialError::Mismatch => f.write_str("the key is not the certificate's"),
        }
    }
}

impl std::error::Error for CredentialError {}

/// What the leaf says.
struct Facts {
    names: Vec<String>,
    issuer: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Facts {
    fn of(leaf: &[u8]) -> Result<Facts, CredentialError> {
        let wrong = |error: &dyn fmt::Display| CredentialError::Chain(error.to_string());
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(|error| wrong(&error))?;
        Ok(Facts {
            names: names(&leaf)?,
            issuer: leaf.issuer().to_string(),
            not_before: system_time(leaf.validity().not_before),
            not_after: system_time(leaf.validity().not_after),
        })
    }
}

fn names(leaf: &X509Certificate<'_>) -> Result<Vec<String>, CredentialError> {
    let found = leaf
        .subject_alternative_name()
        .map_err(|error| CredentialError::Chain(error.to_string()))?;
    let names = found.map(|names| names.value.general_names.iter());
    Ok(names.into_iter().flatten().filter_map(name).collect())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Before 1970 is 1970: such a certificate has ended all the same.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};

    fn generated(names: &[&str]) -> Generated<rcgen::KeyPair> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        generate_simple_self_signed(names).unwrap()
    }

    #[test]
    fn a_pair_tells_its_names_and_its_time() {
        let made = generated(&["App.Example", "*.app.example", "127.0.0.1", "::1"]);
        let key = made.signing_key.serialize_pem();
        let read = Credential::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(
            read.names(),
            ["app.example", "*.app.example", "127.0.0.1", "::1"]
        );
        for (name, covered) in [
            ("app.example", true),
            ("x.app.example", true),
            ("*.app.example", true),
            ("x.y.app.example", false),
            ("example", false),
            ("127.0.0.1", true),
        ] {
            assert_eq!(read.covers(name), covered, "{name}");
        }
        let now = SystemTime::now();
        assert!(read.not_before() < now && now < read.not_after());
        assert_eq!(read.certified().cert.len(), 1);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (generated(&["a.example"]), generated(&["a.example"]));
        let key = other.signing_key.serialize_pem();
        let read = Credential::from_pem(one.cert.pem().as_bytes(), key.as_bytes());
        assert_eq!(read.unwrap_err(), CredentialError::Mismatch);
    }

    #[test]
    fn what_is_no_certificate_or_key_is_said() {
        let made = generated(&["a.example"]);
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let half = &cert[..cert.len() / 2];
        for (cert, key) in [
            ("", key.as_str()),
            ("not PEM", &key),
            (half, &key),
            (&cert, ""),
            (&cert, &cert),
        ] {
            let read = Credential::from_pem(cert.as_bytes(), key.as_bytes());
            assert!(
                matches!(
                    read,
                    Err(CredentialError::Chain(_) | CredentialError::Key(_))
                ),
                "{read:?}"
            );
        }
    }
}
