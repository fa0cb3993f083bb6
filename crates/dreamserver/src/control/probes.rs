//! Many names often lead to few targets: each is asked once for all who want to know at the same time whether it answers.

use super::probe;
use crate::state::Target;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// So many targets are asked at once whether they answer: each takes a descriptor.
const SEATS: usize = 64;
/// What was seen holds for this moment: no longer than the shortest pause between two questions of one who waits.
const FRESH: Duration = Duration::from_millis(10);
/// With so many questions, those whose answers are old are forgotten.
const MANY: usize = 64;

/// The questions, and what was seen.
pub(super) struct Probes {
    seats: Semaphore,
    asked: RefCell<HashMap<Question, Rc<OnceCell<Seen>>>>,
    /// With so many, old ones are looked for: twice those that were left, so that a look costs each of them little.
    full: Cell<usize>,
}

/// A target, and the path of its check.
type Question = (Target, Option<Box<str>>);

struct Seen {
    at: Instant,
    answers: bool,
}

impl Default for Probes {
    fn default() -> Probes {
        Probes {
            seats: Semaphore::new(SEATS),
            asked: RefCell::default(),
            full: Cell::new(MANY),
        }
    }
}

impl Probes {
    /// Does the target accept a connection, and answer its check with a status of success?
    pub(super) async fn answers(&self, target: &Target, check: Option<&str>) -> bool {
        let asked = self.asked(target, check);
        // Whoever asks first may leave; then the next one does it.
        let seen = asked.get_or_init(|| async {
            let _seat = self.seats.acquire().await;
            let answers = probe::answers(target, check).await;
            let at = Instant::now();
            Seen { at, answers }
        });
        seen.await.answers
    }

    fn asked(&self, target: &Target, check: Option<&str>) -> Rc<OnceCell<Seen>> {
        let mut asked = self.asked.borrow_mut();
        if asked.len() >= self.full.get() {
            asked.retain(|_, asked| is_wanted(asked));
            self.full.set(MANY.max(2 * asked.len()));
        }
        let question = (target.clone(), check.map(Box::from));
        let asked = asked.entry(question).or_default();
        if !is_wanted(asked) {
            *asked = Rc::default();
        }
        asked.clone()
    }
}

/// Is somebody about to see, or was it seen a moment ago?
fn is_wanted(asked: &Rc<OnceCell<Seen>>) -> bool {
    match asked.get() {
        Some(seen) => seen.at.elapsed() < FRESH,
        None => Rc::strong_count(asked) > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    fn target(listener: &TcpListener) -> Target {
        Target {
            port: listener.local_addr().unwrap().port(),
            host: Some(Ipv4Addr::LOCALHOST.into()),
        }
    }

    #[tokio::test]
    async fn those_who_ask_together_share_a_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (probes, target) = (Probes::default(), target(&listener));
        let ask = || probes.answers(&target, None);
        let both = tokio::join!(ask(), ask());
        assert_eq!(both, (true, true));
        assert!(listener.accept().is_ok());
        assert!(listener.accept().is_err(), "one connection is enough");
    }

    #[tokio::test]
    async fn what_was_seen_does_not_hold_for_long() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (probes, target) = (Probes::default(), target(&listener));
        assert!(probes.answers(&target, None).await);
        drop(listener);
        let begun = Instant::now();
        while probes.answers(&target, None).await {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn another_sees_what_the_first_does_not_wait_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (probes, target) = (Probes::default(), target(&listener));
        let (gone, seen) = tokio::join!(
            async {
                tokio::select! {
                    biased;
                    answers = probes.answers(&target, None) => Some(answers),
                    () = tokio::task::yield_now() => None,
                }
            },
            probes.answers(&target, None),
        );
        assert!(gone.is_none_or(|answers| answers));
        assert!(seen);
    }

    #[test]
    fn old_questions_are_forgotten() {
        let probes = Probes::default();
        for port in 1..10_000 {
            drop(probes.asked(&Target { port, host: None }, None));
        }
        assert!(probes.asked.borrow().len() <= MANY);
    }
}
