//! Whose certificates a site's clients must show.

use super::issuers;
use crate::config::ClientsConfig;
use crate::exchange::PolicyId;
use crate::tls::ClientPolicy;
use aws_lc_rs::digest;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads the file of a policy.
///
/// # Errors
/// [`PolicyError`] if it holds no certificates that sign others.
pub fn load_policy(clients: &ClientsConfig) -> Result<ClientPolicy, PolicyError> {
    let wrong = |reason: String| PolicyError {
        file: clients.ca.clone(),
        reason,
    };
    let (roots, bytes) = issuers::read(&clients.ca).map_err(wrong)?;
    Ok(ClientPolicy {
        roots: Arc::new(roots),
        optional: clients.optional,
        id: policy_id(clients),
        digest: digest(&[&[u8::from(clients.optional)], &bytes]),
    })
}

/// Names a policy, whatever its file says by now.
pub fn policy_id(clients: &ClientsConfig) -> PolicyId {
    let path = clients.ca.as_os_str().as_encoded_bytes();
    PolicyId(digest(&[&[u8::from(clients.optional)], path]))
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; digest::SHA256_OUTPUT_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// A file that says nothing of clients.
#[derive(Debug)]
pub struct PolicyError {
    file: PathBuf,
    reason: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cannot be used for certificates of clients: {}",
            self.file.display(),
            self.reason
        )
    }
}

impl std::error::Error for PolicyError {}
