//! Compressed versions of files that were made here: each is made once, beside the cores, and kept in memory and on the disk within
//! bounds.
//!
//! They are known by what tells one state of a file from another, so a file that was changed has none, and those of its
//! former state are forgotten with time. All cores share them: they are asked when a core's own memory has nothing.

use bytes::Bytes;
use dream_http::Coding;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use super::super::find::Content;
use super::super::identity::Identity;
use super::shelf::Shelf;
use crate::coding::{Effort, encode};

/// Larger files are compressed on their way only: at the highest level, one would keep a processor busy for half a minute.
const LARGEST: u64 = 4 * 1024 * 1024;

/// So many wait to be made, each of which may hold a descriptor; what is wanted then is asked for again by the next request.
const MOST_WANTED: usize = 64;

/// The making of versions takes the time that nobody else wants (nice(2)).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

type Key = (Identity, Coding);

/// The versions, and what is to be made.
#[derive(Debug)]
pub struct Kept {
    max_bytes: usize,
    shelf: OnceLock<Shelf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing for what does not become smaller.
    made: HashMap<Key, Slot>,
    /// The same keys, the next to be judged in front.
    queue: VecDeque<Key>,
    bytes: usize,
    wanted: VecDeque<Job>,
    /// Wanted, or being made.
    asked: HashSet<Key>,
    is_working: bool,
}

#[derive(Debug)]
struct Slot {
    bytes: Option<Bytes>,
    /// Asked for since it last stood in front of the queue.
    used: bool,
}

/// Something to be made.
#[derive(Debug)]
pub(super) struct Job {
    key: Key,
    from: From,
}

#[derive(Debug)]
enum From {
    Memory(Bytes),
    Disk(File),
}

impl Job {
    /// What is to be made of a file, if it can be: not if it was changed so lately that its state is not certain.
    pub(super) fn of(content: &Content, coding: Coding) -> Option<Job> {
        let identity = *content.identity();
        if !identity.is_settled(SystemTime::now()) {
            return None;
        }
        let from = match content {
            Content::Memory(file) if file.settled => From::Memory(file.bytes.clone()),
            Content::Memory(_) => return None,
            Content::Disk(open) => From::Disk(open.shared.file.try_clone().ok()?),
        };
        let key = (identity, coding);
        Some(Job { key, from })
    }

    /// The file in that state, whole.
    fn read(&self) -> io::Result<Bytes> {
        let (identity, _) = self.key;
        match &self.from {
            From::Memory(bytes) => Ok(bytes.clone()),
            From::Disk(file) => {
                let mut bytes = vec![0; identity.size as usize];
                file.read_exact_at(&mut bytes, 0)?;
                match Identity::of(&file.metadata()?) == identity {
                    true => Ok(bytes.into()),
                    false => Err(io::Error::other("the file was changed meanwhile")),
                }
            }
        }
    }
}

impl Kept {
    /// Keeps at most `max_bytes` in memory, and nothing on the disk.
    pub fn new(max_bytes: usize) -> Arc<Kept> {
        Arc::new(Kept {
            max_bytes,
            shelf: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// Keeps at most `max_bytes` in this folder too, from now on. It is made when there is something for it, and is for this
    /// process alone.
    pub fn keep_in(&self, folder: PathBuf, max_bytes: u64) {
        if max_bytes > 0 {
            self.shelf.get_or_init(|| Shelf::new(folder, max_bytes));
        }
    }

    /// The version of the file in this state, if it was made. If not, it is to be made now, unless it is of no use or cannot be.
    pub(super) fn find(self: &Arc<Kept>, content: &Content, coding: Coding) -> Option<Bytes> {
        let key = (*content.identity(), coding);
        if key.0.size > LARGEST {
            return None;
        }
        let mut state = self.state();
        if let Some(slot) = state.look_up(&key) {
            return slot.bytes.clone();
        }
        let has_room = state.wanted.len() < MOST_WANTED && self.max_bytes > 0;
        if has_room && !state.asked.contains(&key) {
            self.ask(&mut state, Job::of(content, coding)?);
        }
        None
    }

    fn ask(self: &Arc<Kept>, state: &mut State, job: Job) {
        state.asked.insert(job.key);
        state.wanted.push_back(job);
        if !state.is_working {
            // One thread for all: the other processors are for the cores.
            let kept = Arc::clone(self);
            let work = move || kept.work();
            let thread = std::thread::Builder::new().name("compress".to_owned());
            state.is_working = thread.spawn(work).is_ok();
        }
    }

    fn work(&self) {
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICENESS);
        while let Some(job) = self.next() {
            let made = catch_unwind(AssertUnwindSafe(|| self.find_or_make(&job)));
            // An encoder that fails at a file is not asked again.
            let made = made.unwrap_or(Ok(None));
            if let Err(error) = &made {
                tracing::debug!(%error, "a compressed version was not made");
            }
            self.put(job.key, made);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let job = state.wanted.pop_front();
        state.is_working = job.is_some();
        job
    }

    /// From the disk, if it is there; else it is made. None if it is of no use.
    fn find_or_make(&self, job: &Job) -> io::Result<Option<Bytes>> {
        let (identity, coding) = job.key;
        let label = identity.label();
        if let Some(found) = self
            .shelf
            .get()
            .and_then(|shelf| shelf.find(&label, coding))
        {
            return Ok(Some(found));
        }
        let content = job.read()?;
        let coded = encode(coding, Effort::Best, &content)?;
        if coded.len() >= content.len() {
            return Ok(None);
        }
        if let Some(shelf) = self.shelf.get()
            && let Err(error) = shelf.put(&label, coding, &coded)
        {
            tracing::debug!(%error, "a compressed version could not be kept on the disk");
        }
        Ok(Some(coded))
    }

    /// Keeps what was made; nothing of what failed, so that it may be tried again.
    fn put(&self, key: Key, made: io::Result<Option<Bytes>>) {
        let mut state = self.state();
        state.asked.remove(&key);
        let Ok(bytes) = made else {
            return;
        };
        // What is too large for all of the memory is of no use.
        let bytes = bytes.filter(|bytes| cost(Some(bytes)) <= self.max_bytes);
        state.bytes += cost(bytes.as_ref());
        state.made.insert(key, Slot { bytes, used: false });
        state.queue.push_back(key);
        state.evict(self.max_bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look_up(&mut self, key: &Key) -> Option<&Slot> {
        let slot = self.made.get_mut(key)?;
        slot.used = true;
        Some(slot)
    }

    /// Ends, because what goes to the back is no longer `used`.
    fn evict(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes {
            let Some(key) = self.queue.pop_front() else {
                return;
            };
            let slot = self.made.get_mut(&key);
            if slot.is_some_and(|slot| std::mem::take(&mut slot.used)) {
                self.queue.push_back(key);
            } else if let Some(slot) = self.made.remove(&key) {
                self.bytes -= cost(slot.bytes.as_ref());
            }
        }
    }
}

fn cost(bytes: Option<&Bytes>) -> usize {
    bytes.map_or(0, Bytes::len) + OVERHEAD
}

/// What a version costs besides its bytes: slot, table and queue.
const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use dream_testkit::Folder;
    use std::fs::Metadata;

    fn key(size: u64) -> Key {
        let folder = Folder::new("kept");
        folder.write("a", vec![0; size as usize]);
        let metadata: Metadata = std::fs::metadata(folder.join("a")).unwrap();
        (Identity::of(&metadata), Coding::Gzip)
    }

    fn job(key: Key, content: &[u8]) -> Job {
        let from = From::Memory(Bytes::copy_from_slice(content));
        Job { key, from }
    }

    #[test]
    fn memory_is_bounded_and_who_is_asked_for_stays() {
        let kept = Kept::new(10 * (1000 + OVERHEAD));
        let first = key(0);
        kept.put(first, Ok(Some(vec![0; 1000].into())));
        for size in 1..100 {
            assert!(kept.state().look_up(&first).is_some(), "after {size}");
            kept.put(key(size), Ok(Some(vec![0; 1000].into())));
            let state = kept.state();
            assert!(state.bytes <= kept.max_bytes);
            assert_eq!(state.made.len(), state.queue.len());
        }
        assert_eq!(kept.state().made.len(), 10);
    }

    #[test]
    fn what_is_of_no_use_is_not_tried_again() {
        let kept = Kept::new(10_000);
        let (packed, huge, failed) = (key(1), key(2), key(3));
        kept.put(packed, Ok(None));
        kept.put(huge, Ok(Some(vec![0; 20_000].into())));
        kept.put(failed, Err(io::ErrorKind::UnexpectedEof.into()));
        for (key, is_known) in [(packed, true), (huge, true), (failed, false)] {
            let slot = kept.state().look_up(&key).map(|slot| slot.bytes.clone());
            assert_eq!(slot, is_known.then_some(None));
        }
        assert_eq!(kept.state().bytes, 2 * OVERHEAD);
    }

    #[test]
    fn what_does_not_become_smaller_is_of_no_use() {
        let kept = Kept::new(10_000);
        let made = kept.find_or_make(&job(key(1), b"short")).unwrap();
        assert_eq!(made, None);
        let made = kept.find_or_make(&job(key(2), &[b'a'; 2000])).unwrap();
        assert!(made.is_some_and(|made| made.len() < 100));
    }

    #[test]
    fn a_file_that_is_changed_while_it_waits_is_not_compressed() {
        let folder = Folder::new("kept");
        let path = folder.write("a", vec![b'a'; 2000]);
        let file = File::open(&path).unwrap();
        let identity = Identity::of(&file.metadata().unwrap());
        folder.write("a", vec![b'b'; 2001]);
        let (key, from) = ((identity, Coding::Gzip), From::Disk(file));
        assert!(Kept::new(10_000).find_or_make(&Job { key, from }).is_err());
    }
}
