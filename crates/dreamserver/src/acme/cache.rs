//! Certificates in memory: those that were asked for last, and no more than a bound.

use crate::credential::Credential;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A bounded number of certificates; the one that was put in first goes first.
#[derive(Default)]
pub(super) struct Cache {
    by_name: HashMap<Arc<str>, Credential>,
    order: VecDeque<Arc<str>>,
}

/// Whoever serves keeps what it uses; this is for those who ask again before they do.
const MOST: usize = 1024;

impl Cache {
    pub(super) fn find(&self, name: &str) -> Option<&Credential> {
        self.by_name.get(name)
    }

    pub(super) fn put(&mut self, name: &Arc<str>, credential: Credential) {
        if self.by_name.insert(name.clone(), credential).is_some() {
            return;
        }
        self.order.push_back(name.clone());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded() {
        let made = rcgen::generate_simple_self_signed(vec!["a.com".into()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let credential = Credential::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
        let mut cache = Cache::default();
        for round in 0..2 * MOST {
            for name in [format!("{round}.com"), format!("{round}.com")] {
                cache.put(&name.into(), credential.clone());
            }
        }
        assert_eq!((cache.by_name.len(), cache.order.len()), (MOST, MOST));
        assert!(cache.find("0.com").is_none());
        assert!(cache.find(&format!("{}.com", 2 * MOST - 1)).is_some());
    }
}
