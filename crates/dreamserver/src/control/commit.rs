//! Making announcements durable: those that come while the disk is busy share the next turn of it.

use super::answer::Control;
use super::table::Change;
use crate::state::{self, Compacted, Compaction, Entry, Folder, Store};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};

/// So many announcements wait for the disk at most; more are refused.
const MOST: usize = 10_000;

/// Announcements that wait for the disk.
#[derive(Default)]
pub(super) struct Queue {
    waiting: RefCell<Vec<Waiting>>,
    /// What the names are to be by those that wait …
    wanted: RefCell<Names>,
    /// … and by those that are being written.
    written: RefCell<Names>,
    filled: Notify,
}

type Names = HashMap<Arc<str>, Option<Entry>>;

struct Waiting {
    change: Change,
    done: oneshot::Sender<Result<(), Arc<io::Error>>>,
}

impl Queue {
    /// Makes a change durable, and has every core know it.
    ///
    /// # Errors
    /// The disk failed, too many wait, or the server ends; then nothing changed.
    pub(super) async fn commit(&self, change: Change) -> Result<(), Arc<io::Error>> {
        self.push(change)?.await
    }

    /// The same in two steps: the change is in the queue when this returns, and done when what it gives has ended.
    pub(super) fn push(
        &self,
        change: Change,
    ) -> Result<impl Future<Output = Result<(), Arc<io::Error>>> + use<>, Arc<io::Error>> {
        let (done, is_done) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.len() >= MOST {
                return Err(Arc::new(io::Error::other("too many announcements at once")));
            }
            let Change { name, entry } = change.clone();
            self.wanted.borrow_mut().insert(name, entry);
            waiting.push(Waiting { change, done });
        }
        self.filled.notify_one();
        Ok(async move {
            is_done
                .await
                .unwrap_or_else(|_| Err(Arc::new(io::Error::other("the server ends"))))
        })
    }

    /// What is to become of a name by a change that is under way: whoever decides by what there is would be too late
    /// without it.
    pub(super) fn latest(&self, name: &str) -> Option<Option<Entry>> {
        let find = |names: &RefCell<Names>| names.borrow().get(name).cloned();
        find(&self.wanted).or_else(|| find(&self.written))
    }

    async fn next(&self) -> Vec<Waiting> {
        loop {
            let waiting = self.waiting.take();
            if !waiting.is_empty() {
                self.written.replace(self.wanted.take());
                return waiting;
            }
            self.filled.notified().await;
        }
    }
}

/// Commits until it is told to stop; gives the store back then, unless that is lost.
pub(super) async fn run(
    control: Rc<Control>,
    store: Store,
    mut stopped: oneshot::Receiver<()>,
) -> Option<Store> {
    let mut keeper = Keeper {
        control,
        store: Some(store),
        compacting: None,
        compact_from: Instant::now(),
    };
    // Every start leaves a journal, even where nobody announces anything.
    let begins = keeper.store.as_ref().is_some_and(Store::needs_compaction);
    if begins && keeper.commit(Vec::new()).await.is_none() {
        return keeper.lost();
    }
    loop {
        tokio::select! {
            batch = keeper.control.queue.next() => {
                if keeper.commit(batch).await.is_none() {
                    return keeper.lost();
                }
            }
            compacted = finished(&mut keeper.compacting) => keeper.finish(compacted),
            _ = &mut stopped => break,
        }
    }
    if keeper.compacting.is_some() {
        let compacted = finished(&mut keeper.compacting).await;
        keeper.finish(compacted);
    }
    keeper.store
}

/// A journal is written anew no sooner than this after that failed: a full disk has not more room at once.
const PAUSE: Duration = Duration::from_secs(60);

/// Who writes.
struct Keeper {
    control: Rc<Control>,
    /// Gone only while it is on the thread that waits for the disk.
    store: Option<Store>,
    compacting: Option<JoinHandle<io::Result<Compacted>>>,
    compact_from: Instant,
}

/// What a turn of the disk gave.
struct Turn {
    store: Store,
    changes: Vec<Change>,
    result: io::Result<()>,
    compaction: Option<Compaction<Folder>>,
}

impl Keeper {
    /// Commits what has come together; nothing if the store is lost.
    async fn commit(&mut self, batch: Vec<Waiting>) -> Option<()> {
        let (mut changes, done): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.change, waiting.done))
            .unzip();
        self.control.table.borrow().drop_known(&mut changes);
        let store = self.store.take()?;
        let may_compact = Instant::now() >= self.compact_from;
        // The disk may take its time; the thread goes on receiving.
        let turn = move || turn(store, changes, may_compact);
        let turn = self.control.budget.elsewhere(turn).await.ok()?;
        self.store = Some(turn.store);
        let published = match turn.result {
            Ok(()) => Ok(self.control.apply(turn.changes)),
            Err(error) => {
                tracing::error!(%error, "announcements were refused: they cannot be kept");
                Err(Arc::new(error))
            }
        };
        // It is the table's now, or refused.
        self.control.queue.written.take();
        if let Some(compaction) = turn.compaction {
            let entries = self.control.copy();
            self.compacting = Some(spawn_blocking(move || compaction.write(entries.iter())));
        }
        // The disk's next turn need not wait for the cores.
        spawn_local(async move {
            let result = match published {
                Ok(published) => {
                    published.await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            for done in done {
                // Whoever waited may be gone.
                let _ = done.send(result.clone());
            }
        });
        Some(())
    }

    fn lost(self) -> Option<Store> {
        tracing::error!("announcements can no longer be kept: a fault of our own");
        None
    }

    fn finish(&mut self, compacted: io::Result<Compacted>) {
        self.compacting = None;
        match (compacted, &mut self.store) {
            (Ok(compacted), Some(store)) => store.finish_compaction(compacted),
            (Err(error), _) => {
                self.compact_from = Instant::now() + PAUSE;
                tracing::warn!(%error, "the journal cannot be written anew; it grows meanwhile");
            }
            (Ok(_), None) => {}
        }
    }
}

/// The end of a compaction, if there is one.
async fn finished(
    compacting: &mut Option<JoinHandle<io::Result<Compacted>>>,
) -> io::Result<Compacted> {
    match compacting {
        Some(compacting) => compacting.await.map_err(io::Error::other)?,
        None => std::future::pending().await,
    }
}

/// On a thread that may wait for the disk.
fn turn(mut store: Store, changes: Vec<Change>, may_compact: bool) -> Turn {
    let written: Vec<state::Change<'_>> = changes.iter().map(Change::as_kept).collect();
    let result = store.commit(&written);
    // It begins with what is in the table after this turn, and not later.
    let begins = may_compact && result.is_ok() && store.needs_compaction();
    let compaction = match begins.then(|| store.begin_compaction()).transpose() {
        Ok(compaction) => compaction,
        Err(error) => {
            tracing::warn!(%error, "the journal cannot be written anew");
            None
        }
    };
    Turn {
        store,
        changes,
        result,
        compaction,
    }
}
