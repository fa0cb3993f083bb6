//! Certificates in development: made by a CA of this machine when a browser first asks for them, and made anew in good time.

use super::register::{Listed, Row, Trouble, leaf};
use crate::acme::Which;
use crate::authority::{AuthorityError, CurrentCa, LocalCa};
use crate::tls::{Store, Wanted};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// How often it is seen whether the CA is still the same.
const LOOK: Duration = Duration::from_secs(2);

/// A certificate that ends within this time is made anew: a third of its 90 days.
pub(super) const RENEWED: Duration = Duration::from_secs(30 * 24 * 3600);

/// So many names are remembered that no certificate could be made for, so that each is reported once.
const REPORTED: usize = 1000;

/// Begins to make certificates, on a thread of its own that ends with the store.
///
/// # Errors
/// The system gives no thread.
pub fn start(ca: Arc<CurrentCa>, leaves: Arc<Leaves>) -> io::Result<Arc<Store>> {
    let (store, asked) = Store::new();
    let maker = Maker {
        signer: current(&ca),
        ca,
        store: Arc::downgrade(&store),
        leaves,
    };
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let thread = thread::Builder::new().name("certificates".into());
    thread.spawn(move || runtime.block_on(maker.run(asked)))?;
    Ok(store)
}

/// Makes certificates.
struct Maker {
    ca: Arc<CurrentCa>,
    signer: Option<Arc<LocalCa>>,
    store: Weak<Store>,
    leaves: Arc<Leaves>,
}

/// What was made, and what could not be.
#[derive(Default)]
pub struct Leaves(Mutex<Made>);

#[derive(Default)]
struct Made {
    /// What is in the store.
    leaves: BTreeMap<String, Leaf>,
    /// Why there is no certificate for a name: of a bounded number of names, so that each is reported once.
    refused: BTreeMap<String, String>,
}

struct Leaf {
    issuer: Arc<str>,
    not_after: SystemTime,
}

impl Leaves {
    /// Some of them, and of those that could not be made: no more than so many.
    pub(super) fn find(&self, wanted: &Which, most: usize) -> Listed {
        let made = self.lock();
        let total = made.leaves.len() + made.refused.len();
        let row = |(name, of): (&String, &Leaf)| leaf(name, &of.issuer, of.not_after);
        let mut rows: Vec<Row> = some(&made.leaves, wanted).take(most).map(row).collect();
        let refused = some(&made.refused, wanted).take(most);
        rows.extend(refused.map(|(name, why)| refused_row(name, why)));
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        rows.truncate(most);
        Listed {
            total,
            rows,
            is_part: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of a map that are asked for, in their order.
fn some<'a, T>(
    map: &'a BTreeMap<String, T>,
    wanted: &'a Which,
) -> impl Iterator<Item = (&'a String, &'a T)> {
    let after = match wanted {
        Which::After(after) => after.as_str(),
        Which::Matching(_) | Which::Only(_) => "",
    };
    let behind = map.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
    behind.filter(move |(name, _)| match wanted {
        Which::After(_) => true,
        Which::Matching(part) => name.contains(part.as_str()),
        Which::Only(only) => *name == only,
    })
}

fn refused_row(name: &str, why: &str) -> Row {
    Row {
        issuer: None,
        not_after: None,
        renewal: None,
        trouble: Some(Trouble {
            error: why.to_owned(),
            advice: None,
            failures: None,
            next: None,
        }),
        ..leaf(name, "", SystemTime::UNIX_EPOCH)
    }
}

impl Maker {
    async fn run(mut self, mut asked: mpsc::Receiver<Wanted>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                wanted = asked.recv() => match wanted {
                    Some(wanted) => self.answer(wanted),
                    None => return,
                },
                _ = look.tick() => self.look(SystemTime::now()),
            }
        }
    }

    /// Whoever waits is told by the end of `done` if there is nothing.
    fn answer(&mut self, wanted: Wanted) {
        let Wanted { name, done } = wanted;
        match self.make(&name, SystemTime::now()) {
            // The client may be gone.
            Ok(()) => drop(done.send(())),
            Err(error) => self.report(name, &error),
        }
    }

    fn make(&mut self, name: &str, now: SystemTime) -> Result<(), AuthorityError> {
        let not_covered = || AuthorityError::NotCovered { name: name.into() };
        let signer = self.signer.as_ref().ok_or_else(not_covered)?;
        let made = signer.issue(name, now)?;
        let of = Leaf {
            issuer: made.issuer().into(),
            not_after: made.not_after(),
        };
        let mut known = self.leaves.lock();
        known.refused.remove(name);
        known.leaves.insert(name.into(), of);
        drop(known);
        if let Some(store) = self.store.upgrade() {
            store.put(name, made.certified().clone());
        }
        Ok(())
    }

    fn report(&mut self, name: String, error: &AuthorityError) {
        let mut known = self.leaves.lock();
        if known.refused.len() < REPORTED && !known.refused.contains_key(&name) {
            tracing::warn!("there is no certificate for {name}: {error}");
            known.refused.insert(name, error.to_string());
        }
    }

    /// Another CA signs everything anew, when it is asked for; what ends soon is made anew now.
    fn look(&mut self, now: SystemTime) {
        let Some(store) = self.store.upgrade() else {
            return;
        };
        let signer = current(&self.ca);
        if !is_same(signer.as_ref(), self.signer.as_ref()) {
            self.signer = signer;
            let made = std::mem::take(&mut *self.leaves.lock());
            made.leaves.keys().for_each(|name| store.remove(name));
        }
        for name in self.ending_soon(now) {
            self.leaves.lock().leaves.remove(&name);
            match store.find(&name) {
                // The store may have forgotten it: then nobody has asked for a long time.
                None => {}
                Some(_) => {
                    if let Err(error) = self.make(&name, now) {
                        self.report(name, &error);
                    }
                }
            }
        }
    }
}

impl Maker {
    fn ending_soon(&self, now: SystemTime) -> Vec<String> {
        let known = self.leaves.lock();
        let leaves = known.leaves.iter();
        let soon = leaves.filter(|(_, leaf)| leaf.not_after < now + RENEWED);
        soon.map(|(name, _)| name.clone()).collect()
    }
}

fn current(ca: &CurrentCa) -> Option<Arc<LocalCa>> {
    ca.get().unwrap_or_else(|error| {
        tracing::warn!("no certificates can be made: {error}");
        None
    })
}

fn is_same(one: Option<&Arc<LocalCa>>, other: Option<&Arc<LocalCa>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Places;
    use crate::authority::tests::make_mkcert;

    fn places(folder: &tempfile::TempDir) -> Places {
        Places {
            mkcert: Some(folder.path().to_owned()),
            ..Places::default()
        }
    }

    fn maker(places: Places) -> (Maker, Arc<Store>) {
        let (store, _) = Store::new();
        let ca = Arc::new(CurrentCa::new(places));
        let maker = Maker {
            signer: current(&ca),
            ca,
            store: Arc::downgrade(&store),
            leaves: Arc::default(),
        };
        (maker, store)
    }

    #[test]
    fn what_ends_soon_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        make_mkcert(&places(&folder));
        let (mut maker, store) = maker(places(&folder));
        let now = SystemTime::now();
        maker.make("a.example", now).unwrap();
        let first = store.find("a.example").unwrap();
        maker.look(now + RENEWED);
        assert!(Arc::ptr_eq(&first, &store.find("a.example").unwrap()));
        maker.look(now + 2 * RENEWED);
        assert!(!Arc::ptr_eq(&first, &store.find("a.example").unwrap()));
    }

    #[test]
    fn another_ca_signs_anew() {
        let folder = tempfile::tempdir().unwrap();
        make_mkcert(&places(&folder));
        let (mut maker, store) = maker(places(&folder));
        let now = SystemTime::now();
        maker.make("a.example", now).unwrap();
        make_mkcert(&places(&folder));
        maker.look(now);
        assert!(store.find("a.example").is_none());
        maker.make("a.example", now).unwrap();
        std::fs::remove_file(folder.path().join("rootCA.pem")).unwrap();
        maker.look(now);
        assert!(maker.make("a.example", now).is_err());
    }
}
