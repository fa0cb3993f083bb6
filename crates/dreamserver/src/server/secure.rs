//! What the main thread keeps of TLS: where certificates come from, and what handshakes go by.

use crate::authority::{CurrentCa, Places};
use crate::certificates::{Files, KeptKeys, TermsError, build, local};
use crate::config::{ClientsConfig, Config, Pair};
use crate::tls::{Store, Terms};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The certificates, and the keys of tickets.
pub(super) struct Secure {
    files: Files,
    keys: KeptKeys,
    /// What makes certificates for names that have none in files.
    ca: Arc<CurrentCa>,
    /// Where it puts them; nothing as long as there is no CA.
    store: Option<Arc<Store>>,
}

impl Secure {
    /// The keys are in the folder of the state, if this server has one.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn new(folder: Option<&Path>) -> io::Result<Secure> {
        let mut secure = Secure {
            files: Files::default(),
            keys: KeptKeys::open(folder, SystemTime::now()),
            ca: Arc::new(CurrentCa::new(Places::of_environment(None))),
            store: None,
        };
        secure.find_ca()?;
        Ok(secure)
    }

    /// What handshakes go by; nothing if there are no certificates.
    pub(super) fn terms(&mut self, config: &Config) -> Result<Option<Arc<Terms>>, TermsError> {
        let (keys, store) = (self.keys.keys(), self.store.as_ref());
        let built = build(config, &mut self.files, keys, store)?;
        Ok(built.map(Arc::new))
    }

    /// Forgets files that the configuration no longer names.
    pub(super) fn settle(&mut self, config: &Config) {
        let tls = || config.sites.iter().filter_map(|site| site.tls.as_ref());
        let pairs: Vec<&Pair> = tls().flat_map(|tls| &tls.pairs).collect();
        let clients: Vec<&ClientsConfig> = tls().filter_map(|tls| tls.clients.as_ref()).collect();
        self.files.forget_others(&pairs, &clients);
    }

    /// A regular look: changes the keys of tickets if it is time, and tells whether there are other certificates now.
    pub(super) fn look(&mut self) -> bool {
        self.keys.rotate(SystemTime::now());
        let found = self.store.is_none() && self.find_ca().unwrap_or(false);
        found || self.files.have_changed()
    }

    /// Begins to make certificates once there is a CA that this user's browsers trust; tells whether that is so now.
    fn find_ca(&mut self) -> io::Result<bool> {
        let found = self.ca.get().unwrap_or_else(|error| {
            tracing::warn!("no certificates can be made: {error}");
            None
        });
        if let Some(found) = found {
            tracing::info!("HTTPS with certificates of {found}");
            self.store = Some(local::start(self.ca.clone())?);
        }
        Ok(self.store.is_some())
    }
}
