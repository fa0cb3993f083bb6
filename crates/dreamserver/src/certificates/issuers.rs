//! Those whose certificates sign others, and whose word is therefore taken: in files, and those whom the system trusts.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The certificates of a file, and its bytes.
pub(super) fn read(file: &Path) -> Result<(RootCertStore, Vec<u8>), String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok((roots, bytes)),
    }
}

/// The issuers in a file, whose word on the names of endpoints is taken, and the bytes of the file.
///
/// # Errors
/// [`IssuersError`] if it holds no certificates that sign others.
pub fn load_issuers(file: &Path) -> Result<(Arc<RootCertStore>, Vec<u8>), IssuersError> {
    let (roots, bytes) =
        read(file).map_err(|reason| IssuersError::File(file.to_owned(), reason))?;
    Ok((Arc::new(roots), bytes))
}

/// Those whom the system trusts, read once in the life of the process: `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
///
/// # Errors
/// [`IssuersError`] if the system trusts nobody.
pub fn system_issuers() -> Result<Arc<RootCertStore>, IssuersError> {
    static SYSTEM: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    let system = SYSTEM.get_or_init(load_system);
    system.clone().map_err(IssuersError::System)
}

fn load_system() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // The stores of systems hold some that the library does not take; their issuers are trusted elsewhere, not here.
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "issuers that the system trusts");
    match (roots.is_empty(), found.errors.first()) {
        (false, _) => Ok(Arc::new(roots)),
        (true, Some(error)) => Err(error.to_string()),
        (true, None) => Err("none is installed".into()),
    }
}

/// Nobody vouches for an endpoint.
#[derive(Clone, Debug)]
pub enum IssuersError {
    /// This file says nothing of it.
    File(PathBuf, String),
    /// The system trusts nobody.
    System(String),
}

impl fmt::Display for IssuersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssuersError::File(file, reason) => write!(
                f,
                "{} cannot be used for certificates of endpoints: {reason}",
                file.display()
            ),
            IssuersError::System(reason) => write!(
                f,
                "the system has no certificates to judge endpoints by ({reason}): install them, or name a file with `ca`"
            ),
        }
    }
}

impl std::error::Error for IssuersError {}
