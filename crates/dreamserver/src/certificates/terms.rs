//! From the configuration to what secure listeners go by.

use super::{Files, PairError, PolicyError};
use crate::config::{Config, TlsConfig};
use crate::tls::{Certificates, Site, SiteOptions, Store, Terms, TicketKeys};
use rustls::server::VerifierBuilderError;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What secure listeners go by; nothing if no site has a certificate or can get one.
///
/// # Errors
/// [`TermsError`], most of which the configuration should have found before.
pub fn build(
    config: &Config,
    files: &mut Files,
    keys: &Arc<TicketKeys>,
    store: Option<&Arc<Store>>,
) -> Result<Option<Terms>, TermsError> {
    let general = TlsConfig::default();
    let mut builder = Builder {
        files,
        keys,
        store,
        built: HashMap::new(),
    };
    let mut terms = Terms::new();
    let mut first = None;
    for site in &config.sites {
        let options = site.tls.as_ref().unwrap_or(&general);
        if let Some(built) = builder.site(options)? {
            terms.add(&site.hosts, &built);
            first = first.or(Some(built).filter(|_| !options.pairs.is_empty()));
        }
    }
    let announced = builder.site(&general)?;
    if let Some(site) = &announced {
        terms.set_announced(site.clone());
    }
    let nameless = first.or(announced);
    if let Some(site) = &nameless {
        terms.set_nameless(site.clone());
    }
    Ok(nameless.map(|_| terms))
}

/// Builds sites. Those that say the same are one.
struct Builder<'a> {
    files: &'a mut Files,
    keys: &'a Arc<TicketKeys>,
    store: Option<&'a Arc<Store>>,
    built: HashMap<&'a TlsConfig, Arc<Site>>,
}

impl<'a> Builder<'a> {
    /// Nothing where there is no certificate.
    fn site(&mut self, options: &'a TlsConfig) -> Result<Option<Arc<Site>>, TermsError> {
        if let Some(built) = self.built.get(options) {
            return Ok(Some(built.clone()));
        }
        let Some(certificates) = self.certificates(options)? else {
            return Ok(None);
        };
        let clients = options.clients.as_ref();
        let clients = clients
            .map(|clients| self.files.policy(clients))
            .transpose()
            .map_err(TermsError::Policy)?;
        let site = Site::new(SiteOptions {
            certificates,
            clients: clients.as_ref(),
            keys: self.keys,
        });
        let site = Arc::new(site.map_err(TermsError::Verifier)?);
        self.built.insert(options, site.clone());
        Ok(Some(site))
    }

    fn certificates(&mut self, options: &TlsConfig) -> Result<Option<Certificates>, TermsError> {
        if options.pairs.is_empty() {
            return Ok(self.store.cloned().map(Certificates::Store));
        }
        let pairs = options.pairs.iter().map(|pair| {
            let credential = self.files.pair(pair).map_err(TermsError::Pair)?;
            Ok(credential.certified().clone())
        });
        let pairs: Result<_, TermsError> = pairs.collect();
        Ok(Some(Certificates::Given(pairs?)))
    }
}

/// Why there can be no secure listeners.
#[derive(Debug)]
pub enum TermsError {
    /// A certificate cannot be used.
    Pair(PairError),
    /// The certificates of clients cannot be judged.
    Policy(PolicyError),
    /// The same, as the library says.
    Verifier(VerifierBuilderError),
}

impl fmt::Display for TermsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TermsError::Pair(error) => error.fmt(f),
            TermsError::Policy(error) => error.fmt(f),
            TermsError::Verifier(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TermsError {}
