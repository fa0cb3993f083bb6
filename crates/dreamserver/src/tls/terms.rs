//! Which site a client's first message is for.

use super::hello::Hello;
use super::site::{Site, challenge_config};
use crate::challenges::{self, Challenges};
use crate::router::{Host, HostPattern, Names};
use crate::serve::Core;
use rustls::ServerConfig;
use std::sync::Arc;

/// What secure listeners go by: immutable, replaced whole.
#[derive(Default)]
pub struct Terms {
    /// The configuration's hosts, exact and wildcards.
    named: Names<Arc<Site>>,
    /// The site for every other host.
    any: Option<Arc<Site>>,
    /// For announced names.
    announced: Option<Arc<Site>>,
    /// For clients that name no host.
    nameless: Option<Arc<Site>>,
    /// What an authority may come to look at.
    challenges: Challenges,
    /// The port to which clients are sent that ask in the clear; nothing where they are not.
    redirect: Option<u16>,
}

impl Terms {
    /// Terms that know nobody.
    pub fn new() -> Terms {
        Terms::default()
    }

    /// Has handshakes for these hosts go by `site`.
    pub fn add(&mut self, hosts: &[HostPattern], site: &Arc<Site>) {
        for host in hosts {
            match host {
                HostPattern::Exact(name) => drop(self.named.insert(name, site.clone())),
                HostPattern::Wildcard(suffix) => {
                    drop(self.named.insert(&format!("*.{suffix}"), site.clone()));
                }
                HostPattern::Any => self.any = Some(site.clone()),
            }
        }
    }

    /// Has handshakes for announced names go by `site`.
    pub fn set_announced(&mut self, site: Arc<Site>) {
        self.announced = Some(site);
    }

    /// Has handshakes without a name go by `site`, where no site is for every host.
    pub fn set_nameless(&mut self, site: Arc<Site>) {
        self.nameless = Some(site);
    }

    /// Shows authorities what is held there.
    pub fn set_challenges(&mut self, challenges: Challenges) {
        self.challenges = challenges;
    }

    /// Sends clients that ask in the clear to this port.
    pub fn set_redirect(&mut self, port: u16) {
        self.redirect = Some(port);
    }

    /// The port at which a client that asks in the clear for this host is to ask instead: where there is a certificate for it. One
    /// that is not at hand is asked for, so that later clients go there.
    pub fn secure_port(&self, core: &Core, host: &[u8]) -> Option<u16> {
        let port = self.redirect?;
        let mut buffer = [0; _];
        let host = str::from_utf8(Host::new(host, &mut buffer).name()).ok()?;
        match self.find_named(core, host)?.store() {
            None => Some(port),
            Some(store) if store.find(host).is_some() => Some(port),
            Some(store) => {
                store.ask(host);
                None
            }
        }
    }

    /// What authorities are shown.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// What the handshake of an authority goes by that looks for the answer to a challenge (tls-alpn-01, RFC 8737); nothing if this
    /// is none, or nobody waits for it.
    pub(super) fn challenge(&self, hello: &Hello) -> Option<Arc<ServerConfig>> {
        if !hello.offers(challenges::ALPN) {
            return None;
        }
        let certificate = self.challenges.certificate(&hello.server_name()?)?;
        Some(challenge_config(certificate))
    }

    /// The site for the host that a client asks for, by the rule of the routes: the configuration's exact hosts, then announced
    /// names, then its wildcards, then the site for every host. A client that connects to an address names no host.
    pub(super) fn find(&self, core: &Core, name: Option<&str>) -> Option<Arc<Site>> {
        match name {
            Some(name) => self.find_named(core, name).cloned(),
            None => self.any.as_ref().or(self.nameless.as_ref()).cloned(),
        }
    }

    fn find_named(&self, core: &Core, name: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.named.get(name) {
            return Some(site);
        }
        let mut buffer = [0; _];
        let host = Host::new(name.as_bytes(), &mut buffer);
        if let Some(site) = &self.announced
            && core.current().is_announced(host)
        {
            return Some(site);
        }
        self.named.find(host).or(self.any.as_ref())
    }
}
