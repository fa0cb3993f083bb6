//! What is kept on the disk: accounts, certificates with their keys, orders that are not finished, failures and budgets.
//!
//! One file each, so that damage to one costs no other. A file is replaced whole: whoever reads it sees the old one or the
//! new one, whenever the power goes. A file that cannot be read is set aside for people to look at, and what it held is
//! ordered anew.

use super::failure::Trouble;
use super::import::{ImportError, check};
use crate::credential::Credential;
use crate::{owned, whole_file};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// What a file is about: each kind has a folder of its own, in which files are called by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accounts,
    Budgets,
    Certificates,
    Failures,
    /// Certificates that somebody has left.
    Imports,
    Orders,
}

/// How a name is shown to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Way {
    #[serde(rename = "http-01")]
    Http,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
}

/// A certificate as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) credential: Credential,
    /// The directory of who gave it.
    pub(super) directory: Option<String>,
    /// How the name was shown to be ours.
    pub(super) way: Option<Way>,
}

/// An order that is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// With whom.
    pub(super) directory: String,
    /// Where it is looked after (RFC 8555 §7.4).
    pub(super) url: String,
    /// The key, once the authority was asked to certify it.
    pub(super) key: Option<String>,
}

impl Folder {
    /// Opens the folder, and makes what is not there yet.
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let folder = Folder(path.to_owned());
        for kind in Kind::ALL {
            owned::create_folder(&folder.place(kind))?;
            // What a crash has left half written.
            whole_file::sweep(&folder.place(kind))?;
        }
        whole_file::sync_folder(path)?;
        Ok(folder)
    }

    /// The names for which there is something of this kind.
    pub(super) fn names(&self, kind: Kind) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in fs::read_dir(self.place(kind))? {
            names.extend(file?.file_name().into_string().ok());
        }
        names.retain(|name| !name.starts_with('.'));
        Ok(names)
    }

    /// The certificate of a name, if a usable one is kept.
    pub(super) fn certificate(&self, name: &str) -> Option<Stored> {
        let bytes = self.read(Kind::Certificates, name)?;
        match Credential::from_pem(&bytes, &bytes) {
            Ok(credential) if credential.covers(name) => Some(Stored {
                credential,
                directory: note(&bytes, DIRECTORY).map(str::to_owned),
                way: note(&bytes, WAY).and_then(Way::parse),
            }),
            Ok(_) => self.set_aside(Kind::Certificates, name, &"it is for another name"),
            Err(error) => self.set_aside(Kind::Certificates, name, &error),
        }
    }

    /// Takes the certificate that was left for a name into the place of the one that is kept; one of no use is set aside.
    pub(super) fn take_import(&self, name: &str, now: SystemTime) -> Result<Stored, ImportError> {
        let bytes = self.read(Kind::Imports, name).ok_or(ImportError::Nothing)?;
        let read = Credential::from_pem(&bytes, &bytes).map_err(ImportError::Unusable);
        let checked = read.and_then(|found| check(name, &found, now).map(|()| found));
        let credential = checked.inspect_err(|error| {
            self.set_aside::<()>(Kind::Imports, name, error);
        })?;
        let disk = |error| ImportError::Disk(self.place(Kind::Certificates), error);
        self.write(Kind::Certificates, name, &bytes).map_err(disk)?;
        self.remove(Kind::Imports, name).map_err(disk)?;
        Ok(Stored {
            credential,
            directory: None,
            way: None,
        })
    }

    /// Keeps a certificate, its chain and its key as PEM, in the place of the one before.
    pub(super) fn keep_certificate(
        &self,
        name: &str,
        chain: &str,
        key: &str,
        directory: &str,
        way: Option<Way>,
    ) -> io::Result<()> {
        // Text outside of the sections is for people (RFC 7468 §5.2), and for us.
        let way = way.map_or(String::new(), |way| format!("{WAY}{}\n", way.as_str()));
        let text = format!("{DIRECTORY}{directory}\n{way}{}\n{key}", chain.trim_end());
        self.write(Kind::Certificates, name, text.as_bytes())
    }

    /// What is known of the failures of a name.
    pub(super) fn trouble(&self, name: &str) -> Option<Trouble> {
        self.read_json(Kind::Failures, name)
    }

    /// The order of a name that was not finished.
    pub(super) fn order(&self, name: &str) -> Option<Order> {
        self.read_json(Kind::Orders, name)
    }

    /// What this file says; nothing if it is not there, or is set aside because it cannot be read.
    pub(super) fn read_json<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let bytes = self.read(kind, name)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => self.set_aside(kind, name, &error),
        }
    }

    /// Has this file say that.
    pub(super) fn write_json(
        &self,
        kind: Kind,
        name: &str,
        value: &impl Serialize,
    ) -> io::Result<()> {
        self.write(kind, name, &serde_json::to_vec_pretty(value)?)
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, kind: Kind, name: &str) -> io::Result<()> {
        whole_file::remove(&self.place(kind).join(name))
    }

    fn read(&self, kind: Kind, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.place(kind).join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => self.set_aside(kind, name, &error),
        }
    }

    fn write(&self, kind: Kind, name: &str, bytes: &[u8]) -> io::Result<()> {
        whole_file::replace(&self.place(kind).join(name), bytes, 0o600)
    }

    /// Puts a file where it is not found again but by people.
    fn set_aside<T>(&self, kind: Kind, name: &str, why: &dyn std::fmt::Display) -> Option<T> {
        let to = self.0.join(DAMAGED).join(kind.as_str());
        let moved = owned::create_folder(&to)
            .and_then(|()| fs::rename(self.place(kind).join(name), to.join(name)));
        match moved {
            Ok(()) => {
                tracing::error!(name, %why, "a file of `{}` is damaged and was set aside in {}", kind.as_str(), to.display())
            }
            Err(error) => {
                tracing::error!(name, %why, %error, "a file of `{}` is damaged", kind.as_str())
            }
        }
        None
    }

    fn place(&self, kind: Kind) -> PathBuf {
        self.0.join(kind.as_str())
    }
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Accounts,
        Kind::Budgets,
        Kind::Certificates,
        Kind::Failures,
        Kind::Imports,
        Kind::Orders,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Accounts => "accounts",
            Kind::Budgets => "budgets",
            Kind::Certificates => "certificates",
            Kind::Failures => "failures",
            Kind::Imports => "imports",
            Kind::Orders => "orders",
        }
    }
}

impl Way {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Way::Http => "http-01",
            Way::TlsAlpn => "tls-alpn-01",
        }
    }

    fn parse(text: &str) -> Option<Way> {
        [Way::Http, Way::TlsAlpn]
            .into_iter()
            .find(|way| way.as_str() == text)
    }
}

/// What is noted above the first section of a PEM file.
fn note<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let text = str::from_utf8(bytes).ok()?;
    let notes = text.lines().take_while(|line| !line.starts_with("-----"));
    notes.filter_map(|line| line.strip_prefix(name)).next()
}

const DAMAGED: &str = "damaged";
const DIRECTORY: &str = "Directory: ";
const WAY: &str = "Challenge: ";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_is_kept_with_its_origin_for_its_owner_only() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(&above.path().join("acme")).unwrap();
        let (chain, key) = pair("a.com");
        for way in [None, Some(Way::TlsAlpn)] {
            folder
                .keep_certificate("a.com", &chain, &key, "https://ca/dir", way)
                .unwrap();
            let stored = folder.certificate("a.com").unwrap();
            assert_eq!(stored.credential.names(), ["a.com"]);
            assert_eq!(stored.directory.as_deref(), Some("https://ca/dir"));
            assert_eq!(stored.way, way);
        }
        for (path, mode) in [
            ("acme", 0o700),
            ("acme/certificates", 0o700),
            ("acme/certificates/a.com", 0o600),
        ] {
            let metadata = fs::metadata(above.path().join(path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
        }
        assert_eq!(folder.names(Kind::Certificates).unwrap(), ["a.com"]);
        assert!(folder.certificate("b.com").is_none());
    }

    #[test]
    fn damage_is_set_aside() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(above.path()).unwrap();
        let (chain, key) = pair("a.com");
        let (_, other) = pair("a.com");
        folder
            .keep_certificate("half.com", &chain[..200], &key, "", None)
            .unwrap();
        folder
            .keep_certificate("mixed.com", &chain, &other, "", None)
            .unwrap();
        folder
            .keep_certificate("other.com", &chain, &key, "", None)
            .unwrap();
        folder.write(Kind::Orders, "a.com", b"{\"url\": ").unwrap();
        folder.write(Kind::Failures, "a.com", &[0; 100]).unwrap();
        for name in ["half.com", "mixed.com", "other.com"] {
            assert!(folder.certificate(name).is_none());
            assert!(
                above
                    .path()
                    .join("damaged/certificates")
                    .join(name)
                    .exists()
            );
        }
        assert_eq!(folder.order("a.com"), None);
        assert_eq!(folder.trouble("a.com"), None);
        for kind in [Kind::Certificates, Kind::Orders, Kind::Failures] {
            assert!(folder.names(kind).unwrap().is_empty());
        }
    }

    #[test]
    fn what_a_crash_left_is_swept_away() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(above.path()).unwrap();
        let unfinished = above.path().join("orders/.new");
        fs::write(&unfinished, "half").unwrap();
        assert!(folder.names(Kind::Orders).unwrap().is_empty());
        Folder::open(above.path()).unwrap();
        assert!(!unfinished.exists());
    }

    #[test]
    fn facts_are_read_as_they_were_written() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(above.path()).unwrap();
        let order = Order {
            directory: "d".into(),
            url: "u".into(),
            key: Some("k".into()),
        };
        folder.write_json(Kind::Orders, "a.com", &order).unwrap();
        assert_eq!(folder.order("a.com"), Some(order));
        folder.remove(Kind::Orders, "a.com").unwrap();
        folder.remove(Kind::Orders, "a.com").unwrap();
        assert_eq!(folder.order("a.com"), None);
        let trouble = Trouble {
            failures: 3,
            error: "e".into(),
            advice: "a".into(),
            next: SystemTime::UNIX_EPOCH,
            tried: Some(Way::Http),
        };
        folder
            .write_json(Kind::Failures, "a.com", &trouble)
            .unwrap();
        assert_eq!(folder.trouble("a.com"), Some(trouble));
    }
}
