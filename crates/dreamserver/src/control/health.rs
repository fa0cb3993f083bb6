//! Does anything answer where the names lead? Asked only for names that somebody looks at, and not again for a few seconds.

use super::answer::Control;
use super::probe;
use crate::state::Target;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

/// What was seen is told for so long before it is looked at again.
const FRESH: Duration = Duration::from_secs(5);
/// So many targets are asked at once: each takes a descriptor.
const SEATS: usize = 32;
/// So many wait to be asked; of more is not known how they are.
const MOST: usize = 256;
/// With so many targets known, those that nobody looked at for a while are forgotten.
const FULL: usize = 4096;
/// A list waits no longer than this for targets that take their time.
const PATIENCE: Duration = Duration::from_millis(250);

pub(super) struct Health {
    seen: RefCell<HashMap<Target, Seen>>,
    seats: Semaphore,
    /// Told when a target was asked.
    news: Notify,
}

/// What is known of a target.
struct Seen {
    asked: Instant,
    /// Nothing until it was asked for the first time.
    answers: Option<bool>,
    is_asked: bool,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            seen: RefCell::default(),
            seats: Semaphore::new(SEATS),
            news: Notify::new(),
        }
    }
}

impl Control {
    /// Whether a connection to the target was accepted when it was asked last, which is begun anew if that is long ago.
    pub(super) fn look(self: &Rc<Self>, target: &Target) -> Option<bool> {
        let mut seen = self.health.seen.borrow_mut();
        let known = seen.get(target);
        let answers = known.and_then(|known| known.answers);
        let is_known = known.is_some_and(|known| known.is_asked || known.asked.elapsed() < FRESH);
        let under_way = || seen.values().filter(|seen| seen.is_asked).count();
        if is_known || under_way() >= MOST {
            return answers;
        }
        if seen.len() >= FULL {
            seen.retain(|_, seen| seen.is_asked || seen.asked.elapsed() < 2 * FRESH);
        }
        let asked = Seen {
            asked: Instant::now(),
            answers,
            is_asked: true,
        };
        seen.insert(target.clone(), asked);
        let (control, target) = (self.clone(), target.clone());
        tokio::task::spawn_local(async move { control.ask(target).await });
        answers
    }

    /// Waits until it is known how these targets are, for a moment.
    pub(super) async fn until_seen(self: &Rc<Self>, targets: &[Target]) {
        let all = async {
            loop {
                let news = self.health.news.notified();
                let mut news = std::pin::pin!(news);
                // From here on, nothing is missed.
                news.as_mut().enable();
                if targets.iter().all(|target| self.look(target).is_some()) {
                    return;
                }
                news.await;
            }
        };
        let _ = timeout(PATIENCE, all).await;
    }

    async fn ask(&self, target: Target) {
        let seat = self.health.seats.acquire().await;
        let answers = probe::answers(&target, None).await;
        drop(seat);
        let seen = Seen {
            asked: Instant::now(),
            answers: Some(answers),
            is_asked: false,
        };
        self.health.seen.borrow_mut().insert(target, seen);
        self.health.news.notify_waiters();
    }
}
