//! The memory of one core: small files that were asked for, ready to be sent, and the roots they lie in.
//!
//! A hit costs no system call. Nothing in here is believed for longer than [`TRUST`]: each root is looked up anew then, and
//! each file is trusted only as long as the root through which it was last seen, so that the two delays do not add up.
//!
//! Eviction is a queue with a second chance: who was asked for since it last stood in front goes to the back, others go.

use bytes::Bytes;
use foldhash::fast::RandomState;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::describe::Description;
use super::identity::Identity;
use super::open::OpenFiles;
use super::root::Root;

/// Hot small files of one core, bounded in bytes.
pub struct Store {
    max_bytes: usize,
    files: RefCell<StoredFiles>,
    /// Files that are too large to be kept.
    pub(super) open: OpenFiles,
    roots: RefCell<HashMap<u64, Arc<Root>, RandomState>>,
    /// Error pages that roots do not have, and when that was seen: each request for what is missing asks for one.
    missing_pages: RefCell<HashMap<(u64, &'static str), Instant, RandomState>>,
}

#[derive(Default)]
struct StoredFiles {
    // A fast hash with a random seed is enough: only names of existing files get in, so that a client cannot fill it with
    // names of its choice.
    by_key: HashMap<Rc<[u8]>, Rc<Slot>, RandomState>,
    /// The same slots, the next to be judged in front.
    queue: VecDeque<Rc<Slot>>,
    bytes: usize,
}

struct Slot {
    key: Rc<[u8]>,
    file: RefCell<Rc<StoredFile>>,
    /// When it was last known to be what is on the disk.
    checked: Cell<Instant>,
    /// Asked for since it last stood in front of the queue.
    used: Cell<bool>,
}

/// A small file in memory.
pub(super) struct StoredFile {
    pub(super) identity: Identity,
    /// Its last change was long before it was read, so that equal identities mean equal bytes.
    pub(super) settled: bool,
    pub(super) description: Description,
    pub(super) bytes: Bytes,
}

impl Store {
    /// An empty store that keeps at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Store {
        Store {
            max_bytes,
            files: RefCell::default(),
            open: OpenFiles::default(),
            roots: RefCell::default(),
            missing_pages: RefCell::default(),
        }
    }

    /// Closes the files that were not asked for lately.
    pub fn sweep(&self, now: Instant) {
        self.open.sweep(now);
    }

    /// Would a file of `size` bytes be kept?
    pub(super) fn keeps(&self, size: u64) -> bool {
        size <= MAX_FILE && size as usize + OVERHEAD <= self.max_bytes
    }

    /// The file under `key`, if it was checked within [`TRUST`] before `now`.
    pub(super) fn fresh(&self, key: &[u8], now: Instant) -> Option<Rc<StoredFile>> {
        let files = self.files.borrow();
        let slot = files.by_key.get(key)?;
        if !is_fresh(slot.checked.get(), now) {
            return None;
        }
        slot.used.set(true);
        Some(Rc::clone(&slot.file.borrow()))
    }

    /// The file under `key`, if the disk was seen at `checked` to hold the very same.
    pub(super) fn confirm(
        &self,
        key: &[u8],
        identity: &Identity,
        checked: Instant,
    ) -> Option<Rc<StoredFile>> {
        let files = self.files.borrow();
        let slot = files.by_key.get(key)?;
        let file = Rc::clone(&slot.file.borrow());
        if !file.settled || file.identity != *identity {
            return None;
        }
        slot.checked.set(checked.max(slot.checked.get()));
        slot.used.set(true);
        Some(file)
    }

    /// Keeps `file` under `key`, as it was on the disk at `checked`.
    pub(super) fn put(&self, key: &[u8], file: &Rc<StoredFile>, checked: Instant) {
        let mut files = self.files.borrow_mut();
        files.put(key, file, checked);
        files.evict(self.max_bytes);
    }

    /// The root of the handler `id`, if it was looked up within [`TRUST`] before `now`.
    pub(super) fn root(&self, id: u64, now: Instant) -> Option<Arc<Root>> {
        let roots = self.roots.borrow();
        let root = roots.get(&id)?;
        is_fresh(root.opened, now).then(|| Arc::clone(root))
    }

    /// Keeps `root` for the handler `id`. Roots that nobody used lately, such as those of an older configuration, are closed.
    pub(super) fn put_root(&self, id: u64, root: &Arc<Root>) {
        let mut roots = self.roots.borrow_mut();
        if roots.len() == roots.capacity() {
            roots.retain(|_, old| is_fresh(old.opened, root.opened));
        }
        roots.insert(id, Arc::clone(root));
    }

    /// Was the error page `name` of the handler `id` missing within [`TRUST`] before `now`?
    pub(super) fn misses_page(&self, id: u64, name: &'static str, now: Instant) -> bool {
        let pages = self.missing_pages.borrow();
        let checked = pages.get(&(id, name));
        checked.is_some_and(|&checked| is_fresh(checked, now))
    }

    /// Notes that it was missing at `checked`. Notes that nobody needs are dropped, as are roots.
    pub(super) fn note_missing_page(&self, id: u64, name: &'static str, checked: Instant) {
        let mut pages = self.missing_pages.borrow_mut();
        if pages.len() == pages.capacity() {
            pages.retain(|_, old| is_fresh(*old, checked));
        }
        pages.insert((id, name), checked);
    }
}

impl StoredFiles {
    fn put(&mut self, key: &[u8], file: &Rc<StoredFile>, checked: Instant) {
        if let Some(slot) = self.by_key.get(key) {
            self.bytes += cost(key, file);
            let old = slot.file.replace(Rc::clone(file));
            self.bytes -= cost(key, &old);
            slot.checked.set(checked);
            return;
        }
        let key: Rc<[u8]> = key.into();
        let slot = Rc::new(Slot {
            key: Rc::clone(&key),
            file: RefCell::new(Rc::clone(file)),
            checked: Cell::new(checked),
            used: Cell::new(false),
        });
        self.bytes += cost(&key, file);
        self.by_key.insert(key, Rc::clone(&slot));
        self.queue.push_back(slot);
    }

    /// Ends, because a slot that goes to the back is no longer `used`.
    fn evict(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes {
            let Some(slot) = self.queue.pop_front() else {
                return;
            };
            if slot.used.take() {
                self.queue.push_back(slot);
            } else {
                self.bytes -= cost(&slot.key, &slot.file.borrow());
                self.by_key.remove(&slot.key);
            }
        }
    }
}

fn cost(key: &[u8], file: &StoredFile) -> usize {
    key.len() + file.bytes.len() + OVERHEAD
}

pub(super) fn is_fresh(checked: Instant, now: Instant) -> bool {
    now.saturating_duration_since(checked) < TRUST
}

/// How long memory is believed before the disk is asked again.
const TRUST: Duration = Duration::from_secs(1);

/// The largest file that is kept, in bytes: up to here one write of head and body together beats head and sendfile, and a socket
/// buffer takes it whole.
pub(super) const MAX_FILE: u64 = 64 * 1024;

/// What a kept file costs besides its bytes: head, slot, table and queue.
const OVERHEAD: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: usize) -> Rc<StoredFile> {
        let metadata = std::fs::metadata(".").unwrap();
        let identity = Identity::of(&metadata);
        Rc::new(StoredFile {
            identity,
            settled: true,
            description: Description::new(
                "text/plain; charset=utf-8",
                &identity,
                std::time::SystemTime::now(),
                None,
            ),
            bytes: vec![0; size].into(),
        })
    }

    #[test]
    fn memory_is_bounded_and_who_is_asked_for_stays() {
        let now = Instant::now();
        let store = Store::new(10 * (OVERHEAD + 1001));
        let small = file(1000);
        for number in 0..1000u32 {
            store.put(&[0], &small, now);
            store.put(&number.to_be_bytes(), &small, now);
            assert!(store.files.borrow().bytes <= store.max_bytes);
            assert!(store.fresh(&[0], now).is_some(), "after {number}");
        }
        let files = store.files.borrow();
        assert_eq!(files.queue.len(), files.by_key.len());
        assert!((8..=10).contains(&files.queue.len()));
        drop(files);
        assert!(store.fresh(&0u32.to_be_bytes(), now).is_none());
    }

    #[test]
    fn replacing_keeps_the_account() {
        let now = Instant::now();
        let store = Store::new(100_000);
        for size in [10, 20_000, 5] {
            store.put(b"a", &file(size), now);
            assert_eq!(store.files.borrow().bytes, 1 + size + OVERHEAD);
        }
        store.put(b"b", &file(60_000), now);
        store.put(b"a", &file(60_000), now);
        assert!(store.files.borrow().bytes <= 100_000);
    }

    #[test]
    fn nothing_is_believed_for_longer_than_a_second() {
        let now = Instant::now();
        let store = Store::new(100_000);
        let stored = file(10);
        store.put(b"a", &stored, now);
        assert!(
            store
                .fresh(b"a", now + TRUST - Duration::from_nanos(1))
                .is_some()
        );
        assert!(store.fresh(b"a", now + TRUST).is_none());
        assert!(store.confirm(b"a", &stored.identity, now + TRUST).is_some());
        assert!(store.fresh(b"a", now + TRUST).is_some());
    }
}
