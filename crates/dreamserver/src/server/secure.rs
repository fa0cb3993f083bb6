//! What the main thread keeps of TLS: where certificates come from, and what handshakes go by.

use super::open;
use super::permit::{Permit, exact_names};
use crate::acme::Office;
use crate::authority::{CurrentCa, Places};
use crate::certificates::local::Leaves;
use crate::certificates::{
    Files, KeptKeys, Kind, Named, Register, Row, TermsError, Trouble, build, local, public,
};
use crate::challenges::Challenges;
use crate::cli::Plan;
use crate::config::{ClientsConfig, Config, Pair, Site};
use crate::router::HostPattern;
use crate::state;
use crate::tls::{Store, Terms, Wanted};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// The certificates, and the keys of tickets.
pub(super) struct Secure {
    files: Files,
    keys: KeptKeys,
    maker: Maker,
    register: Arc<Register>,
}

/// What makes certificates for names that have none in files.
enum Maker {
    /// In development, a CA of this machine; without a store as long as there is none.
    Local {
        ca: Arc<CurrentCa>,
        store: Option<Arc<Store>>,
        leaves: Arc<Leaves>,
    },
    /// For good, a public authority.
    Public(Public),
}

/// Certificates of a public authority.
struct Public {
    store: Arc<Store>,
    challenges: Challenges,
    folder: PathBuf,
    /// Keeps others out of the folder where no announcements do.
    _lock: Option<state::Folder>,
    permit: Permit,
    /// Until the office opens.
    asked: Option<mpsc::Receiver<Wanted>>,
    office: Door,
}

/// Where names are told of that are served from now on; nobody is there before the office opens.
pub(super) type Door = Arc<OnceLock<Office>>;

impl Secure {
    /// The keys of tickets, and certificates that were ordered, are in the folder of the state, if this server has one.
    ///
    /// # Errors
    /// The system gives no thread, or a folder cannot be used.
    pub(super) fn new(plan: &Plan, folder: Option<&Path>, permit: Permit) -> io::Result<Secure> {
        // Where nobody listens for TLS, nobody would see them.
        let listens = !open::tls_entries(&plan.config, true).is_empty();
        let (maker, register) = match listens && plan.orders_certificates() {
            true => {
                let public = Public::new(plan, folder, permit)?;
                let register = Register::public(public.office.clone());
                (Maker::Public(public), register)
            }
            false => {
                let places = Places::of_environment(plan.overrides.authority.as_deref());
                let ca = Arc::new(CurrentCa::new(places));
                let leaves = Arc::<Leaves>::default();
                let register = Register::local(ca.clone(), leaves.clone());
                let store = None;
                (Maker::Local { ca, store, leaves }, register)
            }
        };
        let mut secure = Secure {
            files: Files::default(),
            keys: KeptKeys::open(folder, SystemTime::now()),
            maker,
            register: Arc::new(register),
        };
        secure.find_ca()?;
        Ok(secure)
    }

    /// What handshakes go by; nothing if there are no certificates.
    pub(super) fn terms(&mut self, config: &Config) -> Result<Option<Arc<Terms>>, TermsError> {
        let store = match &self.maker {
            Maker::Local { store, .. } => store.as_ref(),
            Maker::Public(public) => Some(&public.store),
        };
        let built = build(config, &mut self.files, self.keys.keys(), store)?;
        self.register.settle(Named {
            files: self.rows(config),
            hosts: exact_names(config),
            is_secure: !open::tls_entries(config, built.is_some()).is_empty(),
        });
        Ok(built.map(|mut terms| {
            if let Maker::Public(public) = &self.maker {
                terms.set_challenges(public.challenges.clone());
                if let Some(port) = redirect_port(config) {
                    terms.set_redirect(port);
                }
            }
            Arc::new(terms)
        }))
    }

    /// Where to tell of names that are served from now on.
    pub(super) fn door(&self) -> Door {
        match &self.maker {
            Maker::Local { .. } => Door::default(),
            Maker::Public(public) => public.office.clone(),
        }
    }

    /// What is known of all certificates.
    pub(super) fn register(&self) -> Arc<Register> {
        self.register.clone()
    }

    /// Of each host with certificates in files, those.
    fn rows(&self, config: &Config) -> Vec<Row> {
        let with = |site: &'_ Site| site.tls.as_ref().map(|tls| tls.pairs.clone());
        let sites = config.sites.iter();
        let sites = sites.filter_map(|site| Some((&site.hosts, with(site)?)));
        let pairs = sites.flat_map(|(hosts, pairs)| {
            let each = move |pair: Pair| hosts.iter().map(move |host| (host, pair.clone()));
            pairs.into_iter().flat_map(each)
        });
        let rows = pairs.filter_map(|(host, pair)| self.row(host, pair));
        rows.collect()
    }

    fn row(&self, host: &HostPattern, pair: Pair) -> Option<Row> {
        let (credential, trouble) = self.files.look(&pair)?;
        let name = match host {
            HostPattern::Exact(name) => name.to_string(),
            HostPattern::Wildcard(suffix) => format!("*.{suffix}"),
            // For every host: what it proves to be is a name that people know.
            HostPattern::Any => credential.names().first()?.clone(),
        };
        Some(Row {
            name,
            kind: Kind::File,
            issuer: Some(credential.issuer().to_owned()),
            not_after: Some(credential.not_after()),
            renewal: None,
            is_ordered: false,
            trouble: trouble.map(|error| Trouble {
                error: error.to_owned(),
                advice: Some("what was read before is in use; put a pair there that fits".into()),
                failures: None,
                next: None,
            }),
            file: Some(pair.cert),
        })
    }

    /// Begins to order certificates: the folder is this server's alone from now on.
    ///
    /// # Errors
    /// What the office says.
    pub(super) fn begin(&mut self, config: &Config) -> io::Result<()> {
        match &mut self.maker {
            Maker::Local { .. } => Ok(()),
            Maker::Public(public) => public.begin(config),
        }
    }

    /// Orders nothing any more: another process may have the folder.
    pub(super) fn stop(&self) {
        if let Maker::Public(public) = &self.maker
            && let Some(office) = public.office.get()
        {
            office.stop();
        }
    }

    /// Goes by a configuration that was read again: forgets files that it no longer names, and orders for names that are new.
    pub(super) fn settle(&mut self, config: &Config) {
        let tls = || config.sites.iter().filter_map(|site| site.tls.as_ref());
        let pairs: Vec<&Pair> = tls().flat_map(|tls| &tls.pairs).collect();
        let clients: Vec<&ClientsConfig> = tls().filter_map(|tls| tls.clients.as_ref()).collect();
        self.files.forget_others(&pairs, &clients);
        if let Maker::Public(public) = &self.maker {
            public.permit.configure(config);
            public.order(config);
        }
    }

    /// The configuration for which certificates were read last is refused: what they say is looked at again.
    pub(super) fn leave_unused(&mut self) {
        self.files.leave_unused();
    }

    /// A regular look: changes the keys of tickets if it is time, and tells whether there are other certificates now.
    pub(super) fn look(&mut self) -> bool {
        self.keys.rotate(SystemTime::now());
        self.find_ca().unwrap_or(false) || self.files.have_changed()
    }

    /// Begins to make certificates once there is a CA that this user's browsers trust; tells whether that is so from now on.
    fn find_ca(&mut self) -> io::Result<bool> {
        let Maker::Local {
            ca,
            store: store @ None,
            leaves,
        } = &mut self.maker
        else {
            return Ok(false);
        };
        let found = ca.get().unwrap_or_else(|error| {
            tracing::warn!("no certificates can be made: {error}");
            None
        });
        let Some(found) = found else {
            return Ok(false);
        };
        tracing::info!("HTTPS with certificates of {found}");
        *store = Some(local::start(ca.clone(), leaves.clone())?);
        Ok(true)
    }
}

/// Where clients are sent to HTTPS: to the first listener for that.
fn redirect_port(config: &Config) -> Option<u16> {
    let entries = open::tls_entries(config, true);
    let port = entries.first()?.address.port();
    // The system's choice is not known yet.
    (port != 0).then_some(port)
}

impl Public {
    fn new(plan: &Plan, folder: Option<&Path>, permit: Permit) -> io::Result<Public> {
        let (store, asked) = Store::new();
        let (folder, lock) = match folder {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let path = state::folder(plan.overrides.state.as_deref());
                let path = path.map_err(io::Error::other)?;
                let lock = state::Folder::open(&path).map_err(io::Error::other)?;
                (path, Some(lock))
            }
        };
        Ok(Public {
            store,
            challenges: Challenges::default(),
            folder: folder.join("acme"),
            _lock: lock,
            permit,
            asked: Some(asked),
            office: Door::default(),
        })
    }

    fn begin(&mut self, config: &Config) -> io::Result<()> {
        let Some(asked) = self.asked.take() else {
            return Ok(());
        };
        let permit = self.permit.clone();
        let beginning = public::Beginning {
            options: config.acme.clone(),
            folder: self.folder.clone(),
            challenges: self.challenges.clone(),
            permit: Arc::new(move |name: &str| permit.permission(name)),
        };
        let office = public::start(beginning, &self.store, asked)?;
        // Nobody else opens it.
        let _ = self.office.set(office);
        self.order(config);
        Ok(())
    }

    /// Names of the configuration need no first visitor.
    fn order(&self, config: &Config) {
        if let Some(office) = self.office.get() {
            exact_names(config)
                .iter()
                .for_each(|name| office.added(name));
        }
    }
}
