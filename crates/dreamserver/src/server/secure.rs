//! What the main thread keeps of TLS: which certificates there are, and what handshakes go by.

use crate::certificates::{Files, KeptKeys, TermsError, build};
use crate::config::{ClientsConfig, Config, Pair};
use crate::tls::{Store, Terms};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The certificates, and the keys of tickets.
pub(super) struct Secure {
    files: Files,
    keys: KeptKeys,
    /// Where certificates come from that nobody named; nothing where none can be made.
    store: Option<Arc<Store>>,
}

impl Secure {
    /// The keys are in the folder of the state, if this server has one.
    pub(super) fn new(folder: Option<&Path>, store: Option<Arc<Store>>) -> Secure {
        Secure {
            files: Files::default(),
            keys: KeptKeys::open(folder, SystemTime::now()),
            store,
        }
    }

    /// What handshakes go by; nothing if there are no certificates.
    pub(super) fn terms(&mut self, config: &Config) -> Result<Option<Arc<Terms>>, TermsError> {
        let built = build(
            config,
            &mut self.files,
            self.keys.keys(),
            self.store.as_ref(),
        )?;
        Ok(built.map(Arc::new))
    }

    /// Forgets files that the configuration no longer names.
    pub(super) fn settle(&mut self, config: &Config) {
        let tls = || config.sites.iter().filter_map(|site| site.tls.as_ref());
        let pairs: Vec<&Pair> = tls().flat_map(|tls| &tls.pairs).collect();
        let clients: Vec<&ClientsConfig> = tls().filter_map(|tls| tls.clients.as_ref()).collect();
        self.files.forget_others(&pairs, &clients);
    }

    /// A regular look: changes the keys of tickets if it is time, and tells whether a file has changed.
    pub(super) fn look(&self) -> bool {
        self.keys.rotate(SystemTime::now());
        self.files.have_changed()
    }
}
