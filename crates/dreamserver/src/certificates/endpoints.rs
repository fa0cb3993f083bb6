//! What handshakes with endpoints go by: made of what routes say and of the files that they name, and made again when those change.

use super::files::{Kept, keep, load_pair};
use super::{IssuersError, PairError, load_issuers, system_issuers};
use crate::address::EndpointAddress;
use crate::config::{Config, EndpointTls, HandlerConfig, IssuersConfig};
use crate::credential::Credential;
use crate::exchange::Scheme;
use crate::upstream::{Issuers, Reach, Trust, TrustId, TrustOptions};
use aws_lc_rs::digest;
use rustls::client::VerifierBuilderError;
use rustls::pki_types::ServerName;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What was made for each endpoint, and how the files were then.
#[derive(Default)]
pub struct Trusts {
    made: HashMap<(EndpointAddress, EndpointTls), Kept<Arc<Trust>>>,
    /// Something may have been made that nobody goes by.
    unused: bool,
}

impl Trusts {
    /// How an endpoint is reached. If what is in the files now does not do, what was read before stays in use, and that is reported.
    ///
    /// # Errors
    /// [`TrustError`] if there never was anything that did.
    pub fn reach(
        &mut self,
        address: &EndpointAddress,
        tls: &EndpointTls,
    ) -> Result<Reach, TrustError> {
        let trust = match address.scheme() {
            Scheme::Http => None,
            Scheme::Https => Some(self.trust(address, tls)?),
        };
        Ok(Reach {
            address: address.clone(),
            trust,
        })
    }

    fn trust(
        &mut self,
        address: &EndpointAddress,
        tls: &EndpointTls,
    ) -> Result<Arc<Trust>, TrustError> {
        let key = (address.clone(), tls.clone());
        let before = self.made.get(&key).map(|kept| kept.value().clone());
        keep(&mut self.made, &key, &files(tls), || {
            make(address, tls, before)
        })
    }

    /// Has any of the files changed since what is in use was read? Whoever asks takes what there is now.
    pub fn have_changed(&mut self) -> bool {
        let unused = std::mem::take(&mut self.unused);
        unused && !self.made.is_empty() || self.made.values().any(Kept::has_changed)
    }

    /// What was made last is not used, for another reason.
    pub fn leave_unused(&mut self) {
        self.unused = true;
    }

    /// Forgets what the configuration no longer names.
    pub fn settle(&mut self, config: &Config) {
        let routes = config.sites.iter().flat_map(|site| &site.routes);
        let proxies = routes.filter_map(|route| match &route.handler {
            HandlerConfig::Proxy(proxy) => Some(proxy),
            _ => None,
        });
        let named: HashSet<_> = proxies
            .flat_map(|proxy| proxy.endpoints.iter().map(|address| (address, &proxy.tls)))
            .filter(|(address, _)| address.scheme() == Scheme::Https)
            .collect();
        self.made
            .retain(|(address, tls), _| named.contains(&(address, tls)));
    }
}

/// The files that are named.
fn files(tls: &EndpointTls) -> Vec<&PathBuf> {
    let ca = match &tls.issuers {
        IssuersConfig::File(file) => Some(file),
        IssuersConfig::System | IssuersConfig::Anybody => None,
    };
    let pair = tls.pair.iter().flat_map(|pair| [&pair.cert, &pair.key]);
    ca.into_iter().chain(pair).collect()
}

fn make(
    address: &EndpointAddress,
    tls: &EndpointTls,
    before: Option<Arc<Trust>>,
) -> Result<Arc<Trust>, TrustError> {
    let options = options(address, tls)?;
    match before {
        // With the same the sessions stay, too.
        Some(before) if before.id() == options.id => return Ok(before),
        None if tls.issuers == IssuersConfig::Anybody => tracing::warn!(
            endpoint = %address,
            "`insecure`: whoever answers is taken for this endpoint, and anybody on the way can read and change everything"
        ),
        _ => {}
    }
    Trust::new(options)
        .map(Arc::new)
        .map_err(TrustError::Verifier)
}

/// Reads what an endpoint's options name.
fn options(address: &EndpointAddress, tls: &EndpointTls) -> Result<TrustOptions, TrustError> {
    let name = proven_name(address, tls)?;
    let (issuers, said) = match &tls.issuers {
        IssuersConfig::System => (Issuers::These(system_issuers()?), Vec::new()),
        IssuersConfig::File(file) => {
            let (roots, bytes) = load_issuers(file)?;
            (Issuers::These(roots), bytes)
        }
        IssuersConfig::Anybody => (Issuers::Anybody, Vec::new()),
    };
    let own = tls.pair.as_ref().map(load_pair).transpose()?;
    Ok(TrustOptions {
        id: id(tls, &said, own.as_ref(), &name),
        issuers,
        own: own.map(|own| own.certified().clone()),
        name,
    })
}

/// Whom the endpoint's certificate must name.
///
/// # Errors
/// [`TrustError::Name`] if no certificate could.
pub fn proven_name(
    address: &EndpointAddress,
    tls: &EndpointTls,
) -> Result<ServerName<'static>, TrustError> {
    let name = match (&tls.server_name, address) {
        (Some(name), _) => name.clone(),
        (None, EndpointAddress::Tcp { host, .. }) => host.clone(),
        (None, EndpointAddress::Unix(_)) => "localhost".into(),
    };
    ServerName::try_from(name.clone()).map_err(|_| TrustError::Name(name))
}

/// A digest of all that the handshake goes by. A certificate stands for its key; those of the system do not change.
fn id(
    tls: &EndpointTls,
    issuers: &[u8],
    own: Option<&Credential>,
    name: &ServerName<'_>,
) -> TrustId {
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut add = |part: &[u8]| {
        // With its length, so that no two lists of parts are the same bytes.
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    add(match &tls.issuers {
        IssuersConfig::System => b"system",
        IssuersConfig::File(_) => b"file",
        IssuersConfig::Anybody => b"anybody",
    });
    add(issuers);
    add(name.to_str().as_bytes());
    for certificate in own.into_iter().flat_map(|own| &own.certified().cert) {
        add(certificate);
    }
    let mut id = [0; digest::SHA256_OUTPUT_LEN];
    id.copy_from_slice(digest.finish().as_ref());
    TrustId(id)
}

/// Why an endpoint cannot be spoken to over TLS.
#[derive(Debug)]
pub enum TrustError {
    /// Nobody vouches for it.
    Issuers(IssuersError),
    /// What it would be shown cannot be used.
    Pair(PairError),
    /// No certificate can name it.
    Name(String),
    /// What the library says of the issuers.
    Verifier(VerifierBuilderError),
}

impl From<IssuersError> for TrustError {
    fn from(error: IssuersError) -> TrustError {
        TrustError::Issuers(error)
    }
}

impl From<PairError> for TrustError {
    fn from(error: PairError) -> TrustError {
        TrustError::Pair(error)
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::Issuers(error) => error.fmt(f),
            TrustError::Pair(error) => error.fmt(f),
            TrustError::Name(name) => {
                write!(
                    f,
                    "`{name}` is not a name that a certificate can have: say which with `server_name`"
                )
            }
            TrustError::Verifier(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrustError {}
