//! Which names are served here, for whoever orders certificates: those of the configuration, and those that were announced.

use super::publisher::Latest;
use crate::acme::{Check, Permission, Wildcard};
use crate::config::Config;
use crate::router::{Host, HostPattern, Names};
use std::sync::{Arc, PoisonError, RwLock};

/// The names that may have certificates. A clone is the same.
#[derive(Clone)]
pub(super) struct Permit {
    configured: Arc<RwLock<Names<()>>>,
    announced: Latest,
}

impl Permit {
    pub(super) fn new(config: &Config, announced: Latest) -> Permit {
        Permit {
            configured: Arc::new(RwLock::new(names(config))),
            announced,
        }
    }

    /// Goes by another configuration from now on.
    pub(super) fn configure(&self, config: &Config) {
        let mut configured = self
            .configured
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *configured = names(config);
    }

    /// May this name, in lower case, have a certificate?
    pub(super) fn permission(&self, name: &str) -> Permission {
        let announced = self.announced.get();
        let configured = self
            .configured
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if configured.get(name).is_some() {
            return Permission::Exact;
        }
        let check = |pattern: &str| self.announced.check(pattern);
        if let Some(found) = announced
            .as_ref()
            .and_then(|names| kind(names, name, check))
        {
            return found;
        }
        // The configuration names nobody to ask.
        kind(&configured, name, |_| None).unwrap_or(Permission::No)
    }
}

/// How these names hold for `name`, if they do; `check` says whom to ask about names below a wildcard.
fn kind<T>(
    names: &Names<T>,
    name: &str,
    check: impl Fn(&str) -> Option<Check>,
) -> Option<Permission> {
    if names.get(name).is_some() {
        return Some(Permission::Exact);
    }
    let mut buffer = [0; _];
    names.find(Host::new(name.as_bytes(), &mut buffer))?;
    let pattern = above(name).find(|pattern| names.get(pattern).is_some())?;
    let check = check(&pattern);
    Some(Permission::Wildcard(Wildcard { pattern, check }))
}

/// The wildcards that hold for `name`, the most specific first.
fn above(name: &str) -> impl Iterator<Item = String> {
    let dots = name.match_indices('.');
    dots.map(|(at, _)| format!("*{}", &name[at..]))
}

/// The hosts of the sites that have no certificate of their own.
fn names(config: &Config) -> Names<()> {
    let without = config.sites.iter().filter(|site| {
        let tls = site.tls.as_ref();
        tls.is_none_or(|tls| tls.pairs.is_empty())
    });
    let mut names = Names::new();
    for host in without.flat_map(|site| &site.hosts) {
        match host {
            HostPattern::Exact(name) => names.insert(name, ()),
            HostPattern::Wildcard(suffix) => names.insert(&format!("*.{suffix}"), ()),
            HostPattern::Any => None,
        };
    }
    names
}

/// The names of the configuration that may have a certificate, wildcards aside.
pub(super) fn exact_names(config: &Config) -> Vec<String> {
    let names = names(config);
    let exact = names.iter().map(|(name, ())| name);
    exact.filter(|name| !name.starts_with("*.")).collect()
}
