//! How much of the processor announcements may take, however many come.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokio::time::Instant;

/// While more wait, this thread takes one part in so many of a core: still thousands of announcements a second, far more than
/// any machine's programs make. The kernel holds more for a while and then drops them.
const SHARE: u32 = 16;
/// The clock is looked at once for so many.
const PIECE: u32 = 16;
/// Longer than this nobody is kept waiting for what this thread did at once.
const LONGEST: Duration = Duration::from_millis(100);

/// Spent by reading announcements, and paid back by waiting.
pub(super) struct Budget {
    /// The beginning of a piece, and what the thread had taken until then.
    began: Instant,
    taken: Duration,
    read: u32,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget {
            began: Instant::now(),
            taken: taken(),
            read: 0,
        }
    }

    /// Waits until one more may be read.
    pub(super) async fn spend(&mut self) {
        if self.read == PIECE {
            let debt = (taken().saturating_sub(self.taken) * SHARE).min(LONGEST);
            tokio::time::sleep_until(self.began + debt).await;
            *self = Budget::new();
        }
        self.read += 1;
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

    #[test]
    fn what_was_taken_is_paid_back() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let mut budget = Budget::new();
        let begun = taken();
        while taken() - begun < Duration::from_millis(2) {}
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..=PIECE {
                budget.spend().await;
            }
        });
        assert!(begun.elapsed() > Duration::from_millis(20));
    }
}
