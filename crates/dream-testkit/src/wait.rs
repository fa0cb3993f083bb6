//! Waiting by condition, so that a slow machine makes a test slow and never wrong.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen. Far above what any step takes, for machines under load.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks `probe` until it gives a value, and gives that; nothing after `deadline`.
pub fn poll_until<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until `condition` holds; panics with `what` if it does not within [`DEADLINE`].
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let held = poll_until(DEADLINE, || condition().then_some(()));
    assert!(held.is_some(), "not within {DEADLINE:?}: {what}");
}

/// Between two looks: short against a test, long against a look.
const PAUSE: Duration = Duration::from_millis(3);
