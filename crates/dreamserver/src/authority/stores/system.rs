//! The store of a Linux system: a folder of CAs, and a program that makes a bundle of it for OpenSSL, GnuTLS and others.

use super::StoreError;
use super::run::{Rights, Step, file_holds, run_as_root};
use crate::authority::Certificate;
use std::fs;
use std::path::{Path, PathBuf};

/// One kind of system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Where the administrator puts CAs.
    folder: &'static str,
    /// How files there must end.
    ending: &'static str,
    /// The program that makes the bundle, with its arguments.
    update: &'static [&'static str],
    /// The same when something was removed: Debian's leaves dangling links otherwise.
    renew: &'static [&'static str],
    /// What is made.
    bundle: &'static str,
}

/// Those that we know.
const SYSTEMS: [System; 4] = [
    // Debian, Ubuntu, Alpine
    System {
        folder: "/usr/local/share/ca-certificates",
        ending: "crt",
        update: &["update-ca-certificates"],
        renew: &["update-ca-certificates", "--fresh"],
        bundle: "/etc/ssl/certs/ca-certificates.crt",
    },
    // Fedora, RHEL and those of its kind
    System {
        folder: "/etc/pki/ca-trust/source/anchors",
        ending: "pem",
        update: &["update-ca-trust", "extract"],
        renew: &["update-ca-trust", "extract"],
        bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    },
    // Arch
    System {
        folder: "/etc/ca-certificates/trust-source/anchors",
        ending: "crt",
        update: &["trust", "extract-compat"],
        renew: &["trust", "extract-compat"],
        bundle: "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
    },
    // openSUSE
    System {
        folder: "/usr/share/pki/trust/anchors",
        ending: "pem",
        update: &["update-ca-certificates"],
        renew: &["update-ca-certificates", "--fresh"],
        bundle: "/var/lib/ca-certificates/ca-bundle.pem",
    },
];

impl System {
    pub(super) fn find() -> Option<System> {
        SYSTEMS.into_iter().find(|system| system.path().is_dir())
    }

    pub(super) fn path(&self) -> &'static Path {
        Path::new(self.folder)
    }

    /// What programs read is what counts.
    pub(super) fn holds(&self, certificate: &Certificate) -> Result<bool, StoreError> {
        let bundle = Path::new(self.bundle);
        match bundle.exists() {
            true => Ok(file_holds(bundle, certificate.der())),
            false => Ok(!self.files(certificate)?.is_empty()),
        }
    }

    pub(super) fn add(&self, certificate: &Certificate, rights: Rights) -> Result<(), StoreError> {
        let name = format!(
            "dreamserver-{}.{}",
            certificate.fingerprint().short(),
            self.ending
        );
        let to = self.path().join(name);
        let copy = Step::new("install", &[&"-m", &"0644", &certificate.path(), &to]);
        run_as_root(&[copy, Step::of(self.update)], rights)
    }

    pub(super) fn remove(
        &self,
        certificate: &Certificate,
        rights: Rights,
    ) -> Result<(), StoreError> {
        let files = self.files(certificate)?;
        let remove = |file: &PathBuf| Step::new("rm", &[&"-f", file]);
        let mut steps: Vec<Step> = files.iter().map(remove).collect();
        steps.push(Step::of(self.renew));
        run_as_root(&steps, rights)
    }

    /// The files of the administrator's folder that are this certificate.
    fn files(&self, certificate: &Certificate) -> Result<Vec<PathBuf>, StoreError> {
        let unread = |error| StoreError::System(self.path().to_owned(), error);
        let entries = fs::read_dir(self.folder).map_err(unread)?;
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths
            .filter(|path| path.is_file() && file_holds(path, certificate.der()))
            .collect())
    }
}
