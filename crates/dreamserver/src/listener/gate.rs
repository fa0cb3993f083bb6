//! How many connections there may be, in all and for one client.
//!
//! The counters are shared by the cores, and touched once when a connection begins and once when it ends,
//! never on a request.

use foldhash::fast::RandomState;
use ipnet::IpNet;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Few cores meet in one of so many.
const SHARDS: usize = 64;

/// Counts connections.
#[derive(Debug)]
pub struct Gate {
    most: AtomicUsize,
    most_per_address: AtomicUsize,
    all: AtomicUsize,
    addresses: [Mutex<HashMap<IpAddr, usize, RandomState>>; SHARDS],
    hasher: RandomState,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Gate {
    /// A gate for `most` connections, `most_per_address` of them of one client.
    pub fn new(most: usize, most_per_address: usize) -> Arc<Gate> {
        Arc::new(Gate {
            most: most.into(),
            most_per_address: most_per_address.into(),
            all: AtomicUsize::new(0),
            addresses: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::default(),
        })
    }

    /// Goes by other numbers from now on; nobody is sent away.
    pub fn configure(&self, most: usize, most_per_address: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.most_per_address
            .store(most_per_address, Ordering::Relaxed);
    }

    /// Does the process have all the connections that it may have?
    pub fn is_full(&self) -> bool {
        self.all.load(Ordering::Relaxed) >= self.most()
    }

    /// So many connections may there be.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Connections there are.
    pub fn connections(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Counts a connection of `ip`; none if that client has as many as it may have. Loopback and
    /// trusted peers speak for many clients and have no limit of their own.
    pub fn enter(self: &Arc<Gate>, ip: IpAddr, trusted: &[IpNet]) -> Option<Permit> {
        let free = ip.is_loopback() || trusted.iter().any(|network| network.contains(&ip));
        let address = (!free).then(|| client(ip));
        if let Some(address) = address {
            let mut counts = self.shard(address);
            let count = counts.entry(address).or_insert(0);
            if *count >= self.most_per_address.load(Ordering::Relaxed) {
                return None;
            }
            *count += 1;
        }
        self.all.fetch_add(1, Ordering::Relaxed);
        Some(Permit {
            gate: self.clone(),
            address,
        })
    }

    fn shard(
        &self,
        address: IpAddr,
    ) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize, RandomState>> {
        let shard = self.hasher.hash_one(address) as usize % SHARDS;
        // Nothing can panic while a shard is held.
        self.addresses[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut counts = self.gate.shard(address);
            if let Some(count) = counts.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&address);
                }
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that one IPv6 customer has.
fn client(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_64_is_one_client_and_loopback_is_free() {
        let gate = Gate::new(10, 1);
        let first = gate.enter("2001:db8::1".parse().unwrap(), &[]);
        assert!(first.is_some());
        assert!(gate.enter("2001:db8::2".parse().unwrap(), &[]).is_none());
        assert!(
            gate.enter("2001:db8:0:1::2".parse().unwrap(), &[])
                .is_some()
        );
        let loopback: Vec<_> = (0..3)
            .map(|_| gate.enter("::1".parse().unwrap(), &[]))
            .collect();
        assert!(loopback.iter().all(Option::is_some));
        drop(first);
        assert!(gate.enter("2001:db8::2".parse().unwrap(), &[]).is_some());
    }

    #[test]
    fn the_process_is_full_at_its_limit() {
        let gate = Gate::new(1, 5);
        let permit = gate.enter("::1".parse().unwrap(), &[]);
        assert!(gate.is_full());
        drop(permit);
        assert!(!gate.is_full());
    }
}
