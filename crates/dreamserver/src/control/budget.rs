//! How much of the processor announcements may take, however many come.

use std::time::Duration;
use tokio::time::Instant;

/// In each slice of this length …
const SLICE: Duration = Duration::from_millis(10);
/// … so many are read: 20,000 a second, far more than any machine's programs announce. The kernel holds more for a while
/// and then drops them.
const IN_SLICE: u32 = 200;

/// Spent by reading announcements.
pub(super) struct Budget {
    began: Instant,
    spent: u32,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget {
            began: Instant::now(),
            spent: 0,
        }
    }

    /// Waits until one more may be read.
    pub(super) async fn spend(&mut self) {
        if self.spent == IN_SLICE {
            tokio::time::sleep_until(self.began + SLICE).await;
        }
        if self.spent == IN_SLICE || self.began.elapsed() >= SLICE {
            *self = Budget::new();
        }
        self.spent += 1;
    }
}
