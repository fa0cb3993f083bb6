//! The user's keychain on macOS, which curl and browsers look into, and to which its program `security` speaks.

use super::StoreError;
use super::run::Step;
use crate::authority::Certificate;
use std::path::{Path, PathBuf};

/// A keychain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keychain {
    path: PathBuf,
}

impl Keychain {
    pub(super) fn find(home: &Path) -> Option<Keychain> {
        let path = home.join("Library/Keychains/login.keychain-db");
        path.is_file().then_some(Keychain { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn holds(&self, certificate: &Certificate) -> Result<bool, StoreError> {
        let listed =
            Step::new("security", &[&"find-certificate", &"-a", &"-Z", &self.path]).run()?;
        let listed = String::from_utf8_lossy(&listed.stdout).to_ascii_lowercase();
        Ok(listed.contains(&certificate.fingerprint().to_string()))
    }

    /// Trusted for servers, and for nothing else. The system asks for the user's password.
    pub(super) fn add(&self, certificate: &Certificate) -> Result<(), StoreError> {
        let add = Step::new(
            "security",
            &[
                &"add-trusted-cert",
                &"-r",
                &"trustRoot",
                &"-p",
                &"ssl",
                &"-p",
                &"basic",
                &"-k",
                &self.path,
                &certificate.path(),
            ],
        );
        add.run().map(drop)
    }

    pub(super) fn remove(&self, certificate: &Certificate) -> Result<(), StoreError> {
        let fingerprint = certificate.fingerprint().to_string().to_ascii_uppercase();
        // With the settings that make it trusted.
        Step::new(
            "security",
            &[
                &"delete-certificate",
                &"-Z",
                &fingerprint,
                &"-t",
                &self.path,
            ],
        )
        .run()
        .map(drop)
    }
}
