//! The servers behind us: groups of endpoints, and on each core the connections to them.

mod connect;
mod connection;
mod pool;

pub use connection::{Connection, Failure, Sent};
pub use pool::Pools;

use crate::address::EndpointAddress;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One address of a group. Its number outlives the configuration it came from, so that the
/// connections to it do too.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// The address as text, for logs and fields.
    pub label: Arc<str>,
    /// Its number in every core's tables.
    pub number: usize,
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
            .map(|first| (&first.address, &first.label))
        {
            Some((EndpointAddress::Tcp { .. }, label)) => label,
            Some((EndpointAddress::Unix(_), _)) | None => "localhost",
        }
    }
}

/// Numbers groups and endpoints, the same ones alike in every configuration and announcement.
///
/// The back office's threads share it by its clones: a number is given once. The hallway sees only the numbers.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
struct Numbers {
    endpoints: HashMap<EndpointAddress, usize>,
    groups: HashMap<Vec<EndpointAddress>, usize>,
}

impl Registry {
    /// The group of `addresses`.
    pub fn upstream(&self, addresses: &[EndpointAddress]) -> Upstream {
        // Each number is given in one step, so that a panic elsewhere leaves none half given.
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoints = addresses.iter().map(|a| numbers.endpoint(a)).collect();
        let next = numbers.groups.len();
        let number = *numbers.groups.entry(addresses.to_vec()).or_insert(next);
        Upstream { endpoints, number }
    }
}

impl Numbers {
    fn endpoint(&mut self, address: &EndpointAddress) -> Endpoint {
        let next = self.endpoints.len();
        let number = *self.endpoints.entry(address.clone()).or_insert(next);
        Endpoint {
            address: address.clone(),
            label: address.to_string().into(),
            number,
        }
    }
}
