//! The time of day, which a test may set.

use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// What says how late it is.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Hand(watch::Receiver<SystemTime>),
}

/// Moves the hand of a clock that stands still otherwise.
pub type Hand = watch::Sender<SystemTime>;

impl Clock {
    /// The machine's.
    pub fn system() -> Clock {
        Clock(Kind::System)
    }

    /// One that says `time` until its hand is moved.
    pub fn by_hand(time: SystemTime) -> (Hand, Clock) {
        let (hand, seen) = watch::channel(time);
        (hand, Clock(Kind::Hand(seen)))
    }

    /// How late it is.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Kind::System => SystemTime::now(),
            Kind::Hand(seen) => *seen.borrow(),
        }
    }

    /// Ends at that time, or earlier: whoever waits looks again. A machine that slept, or whose clock was set, is so noticed.
    pub(super) async fn until(&self, time: SystemTime) {
        let left = time.duration_since(self.now()).unwrap_or_default();
        match &self.0 {
            _ if left.is_zero() => {}
            Kind::System => tokio::time::sleep(left.min(LOOK)).await,
            Kind::Hand(seen) => {
                let mut seen = seen.clone();
                if seen.wait_for(|now| *now >= time).await.is_err() {
                    // Nobody will move it again.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// The longest sleep in one piece.
const LOOK: Duration = Duration::from_secs(60);
