//! How much of the processor announcements may take, however many come.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::time::Duration;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep_until};

/// While more wait, announcements take one part in so many of a core: still thousands a second, far more than any machine's
/// programs make. The kernel holds more for a while and then drops them, which costs us nothing.
const SHARE: u32 = 25;
/// The clock is looked at once for so many. Each time that we wait and come back, what a core had in its caches is lost: so not for few.
const PIECE: u32 = 64;
/// Longer than this nobody is kept waiting for what was done at once.
const LONGEST: Duration = Duration::from_secs(1);
/// What was not taken for so long may be taken later: programs that start together announce together.
const SAVED: Duration = Duration::from_secs(1);

/// Spent by all that announcements cost, wherever they come in and on whatever thread, and paid back by not reading more.
pub(super) struct Budget {
    /// What this thread had taken when it was looked at last.
    seen: Cell<Duration>,
    /// What other threads have taken since.
    elsewhere: Cell<Duration>,
    /// When all of it will be paid back; more was saved the longer ago that is.
    paid: Cell<Instant>,
    read: Cell<u32>,
}

impl Budget {
    /// Of the calling thread.
    pub(super) fn new() -> Budget {
        Budget {
            seen: Cell::new(taken()),
            elsewhere: Cell::default(),
            paid: Cell::new(Instant::now()),
            read: Cell::new(0),
        }
    }

    /// What was done until now was not for announcements.
    pub(super) fn begin(&self) {
        self.seen.set(taken());
        self.elsewhere.take();
    }

    /// Waits until one more may be read.
    pub(super) async fn spend(&self) {
        if self.read.get() >= PIECE {
            sleep_until(self.settle()).await;
            self.read.set(0);
        }
        self.read.set(self.read.get() + 1);
    }

    /// Does something on a thread that may wait, at the expense of this.
    pub(super) async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let measured = spawn_blocking(move || {
            let begun = taken();
            let done = work();
            (done, taken().saturating_sub(begun))
        });
        let (done, took) = measured.await?;
        self.elsewhere.set(self.elsewhere.get() + took);
        Ok(done)
    }

    /// Notes what was taken since the last look; gives the time when it will be paid back.
    fn settle(&self) -> Instant {
        let (now, taken) = (Instant::now(), taken());
        let spent = taken.saturating_sub(self.seen.replace(taken)) + self.elsewhere.take();
        let saved = now.checked_sub(SAVED).unwrap_or(now);
        let paid = self.paid.get().max(saved) + spent * SHARE;
        self.paid.set(paid.min(now + LONGEST));
        self.paid.get()
    }
}

/// The processor's time that this thread has had.
fn taken() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(time: Duration) {
        let begun = taken();
        while taken() - begun < time {}
    }

    /// How long it takes until so many more may be read.
    fn spend(budget: &Budget, pieces: u32, work: impl Fn()) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..pieces {
                for _ in 0..PIECE {
                    budget.spend().await;
                }
                work();
            }
            budget.spend().await;
        });
        begun.elapsed()
    }

    const WORK: Duration = Duration::from_millis(2);

    #[test]
    fn what_was_taken_is_paid_back() {
        let budget = Budget::new();
        let took = spend(&budget, 3, || take(WORK));
        assert!(took >= 3 * WORK * SHARE, "{took:?}");
    }

    #[test]
    fn what_is_done_while_it_waits_counts_too() {
        let budget = Budget::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..2 * PIECE + 1 {
                budget.spend().await;
                // It runs when this task waits.
                tokio::task::spawn_local(async { take(WORK / PIECE) });
            }
        });
        assert!(begun.elapsed() >= WORK * SHARE);
    }

    #[test]
    fn what_other_threads_take_counts_too() {
        let budget = Budget::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime
            .block_on(budget.elsewhere(|| take(WORK)))
            .expect("it ends");
        assert!(spend(&budget, 1, || {}) >= WORK * (SHARE - 1));
    }

    #[test]
    fn nobody_waits_too_long() {
        let budget = Budget::new();
        budget.elsewhere.set(Duration::from_secs(60));
        let paid = budget.settle();
        assert!(paid <= Instant::now() + LONGEST);
    }
}
