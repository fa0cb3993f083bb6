//! A list of the names for people, `forward_targets.txt`, that follows the table.

use super::answer::Control;
use crate::state;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// It is written no more often than this …
const PAUSE: Duration = Duration::from_secs(1);
/// … and a long list takes no more than one part in so many of the time.
const SHARE: u32 = 20;

/// Writes the list when something has changed.
pub(super) async fn follow(control: Rc<Control>) {
    loop {
        let writing = control.mirroring.lock().await;
        let begun = Instant::now();
        let (entries, folder) = (control.copy(), control.folder.clone());
        let written = spawn_blocking(move || state::mirror(&folder, entries.iter()));
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "the list of names cannot be written");
        }
        drop(writing);
        sleep(PAUSE.max(begun.elapsed() * SHARE)).await;
        control.changed.notified().await;
    }
}
