//! Certificates from elsewhere: whoever may write into the folder of the state leaves one there, and the office takes it.
//!
//! A key never travels but by the disk, and only the office writes what is in use.

use super::folder::Kind;
use super::name::{self, Unfit};
use crate::credential::{Credential, CredentialError};
use crate::{owned, whole_file};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Why a certificate is not taken.
#[derive(Debug)]
pub enum ImportError {
    /// Names like this have no certificate in the folder.
    Unfit(Unfit),
    /// Certificate and key are of no use.
    Unusable(CredentialError),
    /// The certificate is for other names: these.
    OtherName(Vec<String>),
    /// It has ended.
    Ended(SystemTime),
    /// Nothing was left for this name.
    Nothing,
    /// What the system says.
    Disk(PathBuf, io::Error),
    /// The office is closed.
    Closed,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Unfit(unfit) => write!(
                f,
                "{unfit}; a site of the configuration can have it all the same, with `tls = {{ cert = …, key = … }}`"
            ),
            ImportError::Unusable(error) => error.fmt(f),
            ImportError::OtherName(names) => {
                write!(f, "the certificate is for {}", names.join(", "))
            }
            ImportError::Ended(time) => write!(
                f,
                "the certificate has ended on {}",
                httpdate::fmt_http_date(*time)
            ),
            ImportError::Nothing => f.write_str("nothing was left for this name"),
            ImportError::Disk(path, error) => match error.kind() {
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "{}: {error}: be the user that the server runs as, or root",
                    path.display()
                ),
                _ => write!(f, "{}: {error}", path.display()),
            },
            ImportError::Closed => f.write_str("this server takes no certificates any more"),
        }
    }
}

impl std::error::Error for ImportError {}

/// May this name go by this certificate?
///
/// # Errors
/// Why not.
pub fn check(name: &str, credential: &Credential, now: SystemTime) -> Result<(), ImportError> {
    name::check(name).map_err(ImportError::Unfit)?;
    if !credential.covers(name) {
        return Err(ImportError::OtherName(credential.names().to_vec()));
    }
    match credential.not_after() > now {
        true => Ok(()),
        false => Err(ImportError::Ended(credential.not_after())),
    }
}

/// Leaves a chain and its key, as PEM, for a name in the folder of the state.
///
/// # Errors
/// [`ImportError`] if they are of no use for the name, or cannot be written.
pub fn leave(
    state: &Path,
    name: &str,
    chain: &[u8],
    key: &[u8],
) -> Result<Credential, ImportError> {
    let name = name::tidy(name);
    let credential = Credential::from_pem(chain, key).map_err(ImportError::Unusable)?;
    check(&name, &credential, SystemTime::now())?;
    let folder = state.join("acme").join(Kind::Imports.as_str());
    owned::create_folder(&folder).map_err(|error| ImportError::Disk(folder.clone(), error))?;
    let mut text = sections(chain, "CERTIFICATE");
    text.push_str(&sections(key, "PRIVATE KEY"));
    let path = folder.join(name);
    whole_file::replace(&path, text.as_bytes(), 0o600)
        .map_err(|error| ImportError::Disk(path, error))?;
    Ok(credential)
}

/// The PEM sections of this kind, and nothing of what stands around them (RFC 7468 §5.2).
fn sections(pem: &[u8], kind: &str) -> String {
    let text = String::from_utf8_lossy(pem);
    let (mut found, mut is_inside) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        is_inside |= line.starts_with("-----BEGIN ") && line.ends_with(&format!("{kind}-----"));
        if is_inside {
            found.push_str(line);
            found.push('\n');
        }
        is_inside &= !line.starts_with("-----END ");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_left_is_for_its_owner_only_and_nothing_but_pem() {
        let above = tempfile::tempdir().unwrap();
        let state = above.path().join("state");
        let (cert, key) = pair(&["a.com", "*.b.com"]);
        let both = format!("Directory: https://evil.example\n{key}and\n{cert}");
        for name in ["a.com", "X.b.com."] {
            leave(&state, name, both.as_bytes(), both.as_bytes()).unwrap();
        }
        let path = state.join("acme/imports/x.b.com");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----\n"), "{text}");
        assert!(!text.contains("evil") && text.matches("BEGIN").count() == 2);
        for (path, mode) in [
            (state.clone(), 0o700),
            (state.join("acme/imports"), 0o700),
            (path, 0o600),
        ] {
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!(
                metadata.permissions().mode() & 0o777,
                mode,
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn what_is_of_no_use_is_not_left() {
        let state = tempfile::tempdir().unwrap();
        let ((cert, key), (_, other)) = (pair(&["a.com", "*.b.com"]), pair(&["a.com"]));
        for (name, key, said) in [
            ("a.com", &other, "the key is not the certificate's"),
            ("c.com", &key, "the certificate is for a.com, *.b.com"),
            ("b.com", &key, "the certificate is for a.com, *.b.com"),
            ("x.y.b.com", &key, "the certificate is for"),
            ("*.b.com", &key, "not a host name"),
            ("../a.com", &key, "not a host name"),
            ("app.localhost", &key, "private networks"),
            ("a.com", &cert, "the key cannot be read"),
        ] {
            let error = leave(state.path(), name, cert.as_bytes(), key.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(said), "{name}: {error}");
        }
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_has_ended_is_not_taken() {
        let (cert, key) = pair(&["a.com"]);
        let credential = Credential::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
        check("a.com", &credential, SystemTime::now()).unwrap();
        let end = credential.not_after();
        assert!(matches!(
            check("a.com", &credential, end),
            Err(ImportError::Ended(_))
        ));
    }
}
