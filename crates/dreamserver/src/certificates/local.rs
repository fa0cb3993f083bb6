//! Certificates in development: made by a CA of this machine when a browser first asks for them, and made anew in good time.

use crate::authority::{AuthorityError, CurrentCa, LocalCa};
use crate::tls::{Store, Wanted};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// How often it is seen whether the CA is still the same.
const LOOK: Duration = Duration::from_secs(2);

/// A certificate that ends within this time is made anew: a third of its 90 days.
const RENEWED: Duration = Duration::from_secs(30 * 24 * 3600);

/// So many names are remembered that no certificate could be made for, so that each is reported once.
const REPORTED: usize = 1000;

/// Begins to make certificates, on a thread of its own that ends with the store.
///
/// # Errors
/// The system gives no thread.
pub fn start(ca: Arc<CurrentCa>) -> io::Result<Arc<Store>> {
    let (store, asked) = Store::new();
    let maker = Maker {
        signer: current(&ca),
        ca,
        store: Arc::downgrade(&store),
        ends: HashMap::new(),
        reported: HashSet::new(),
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
    /// When what is in the store ends.
    ends: HashMap<String, SystemTime>,
    reported: HashSet<String>,
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
        self.ends.insert(name.into(), made.not_after());
        if let Some(store) = self.store.upgrade() {
            store.put(name, made.certified().clone());
        }
        Ok(())
    }

    fn report(&mut self, name: String, error: &AuthorityError) {
        if self.reported.len() < REPORTED && !self.reported.contains(&name) {
            tracing::warn!("there is no certificate for {name}: {error}");
            self.reported.insert(name);
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
            self.reported.clear();
            for (name, _) in self.ends.drain() {
                store.remove(&name);
            }
        }
        let ends_soon = |(_, end): &(&String, &SystemTime)| **end < now + RENEWED;
        let soon: Vec<String> = (self.ends.iter())
            .filter(ends_soon)
            .map(|(name, _)| name.clone())
            .collect();
        for name in soon {
            self.ends.remove(&name);
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
            ends: HashMap::new(),
            reported: HashSet::new(),
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
