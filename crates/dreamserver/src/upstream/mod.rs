//! The servers behind us: groups of endpoints, and on each core the connections to them.

mod connect;
mod connection;
mod pool;
mod tls;

pub use connection::{Connection, Failure, Sent};
pub use pool::Pools;
pub use tls::{Issuers, Trust, TrustId, TrustOptions, is_refusal};

use crate::address::EndpointAddress;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One member of a group. Its number outlives the configuration it came from, so that the
/// connections to it do too.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// The address as text, for logs and fields.
    pub label: Arc<str>,
    /// What it calls itself, with its port: the name that it proves, where it is asked for one.
    pub authority: Arc<str>,
    /// Its number in every core's tables.
    pub number: usize,
    /// What handshakes with it go by; nothing if it is spoken to in the clear.
    pub trust: Option<Arc<Trust>>,
}

impl Endpoint {
    /// The Host that its requests name, where that is not the client's.
    pub fn own_host(&self) -> Option<&[u8]> {
        self.trust.as_ref().map(|_| self.authority.as_bytes())
    }
}

/// Where an endpoint is, and what handshakes with it go by.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The address.
    pub address: EndpointAddress,
    /// Needed where it is spoken to over TLS, and only there.
    pub trust: Option<Arc<Trust>>,
}

/// A group of endpoints that give the same answers.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The endpoints, in the order of the configuration; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Its number in every core's tables.
    pub number: usize,
}

impl Upstream {
    /// What the group is called where a request names no host.
    pub fn host(&self) -> &str {
        match self
            .endpoints
            .first()
            .map(|first| (&first.address, &first.authority))
        {
            Some((EndpointAddress::Tcp { .. }, authority)) => authority,
            Some((EndpointAddress::Unix(_), _)) | None => "localhost",
        }
    }
}

/// Numbers groups and endpoints, the same ones alike in every configuration and announcement.
///
/// The back office's threads share it by its clones: a number is given once. The hallway sees only the numbers.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Numbers>>);

/// Who an endpoint is. With other terms it is another one: no connection that was made under these serves those.
type Identity = (EndpointAddress, Option<TrustId>);

#[derive(Debug, Default)]
struct Numbers {
    endpoints: HashMap<Identity, usize>,
    groups: HashMap<Vec<Identity>, usize>,
}

impl Registry {
    /// The group of `members`.
    pub fn upstream(&self, members: &[Reach]) -> Upstream {
        // Each number is given in one step, so that a panic elsewhere leaves none half given.
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoints = members
            .iter()
            .map(|reach| numbers.endpoint(reach))
            .collect();
        let next = numbers.groups.len();
        let group = members.iter().map(Reach::identity).collect();
        let number = *numbers.groups.entry(group).or_insert(next);
        Upstream { endpoints, number }
    }
}

impl Numbers {
    fn endpoint(&mut self, reach: &Reach) -> Endpoint {
        let next = self.endpoints.len();
        let number = *self.endpoints.entry(reach.identity()).or_insert(next);
        let label: Arc<str> = reach.address.to_string().into();
        Endpoint {
            authority: match &reach.trust {
                Some(trust) => reach.proven_authority(trust).into(),
                None => label.clone(),
            },
            address: reach.address.clone(),
            label,
            number,
            trust: reach.trust.clone(),
        }
    }
}

impl Reach {
    fn identity(&self) -> Identity {
        let trust = self.trust.as_ref().map(|trust| trust.id());
        (self.address.clone(), trust)
    }

    /// The name that the endpoint proves, with its port if that is not the usual one (RFC 9110 §4.2.2).
    fn proven_authority(&self, trust: &Trust) -> String {
        let name = trust.name().to_str();
        let name = match name.contains(':') {
            true => format!("[{name}]"),
            false => name.into_owned(),
        };
        match &self.address {
            EndpointAddress::Tcp { port, .. } if *port != 443 => format!("{name}:{port}"),
            EndpointAddress::Tcp { .. } | EndpointAddress::Unix(_) => name,
        }
    }
}
