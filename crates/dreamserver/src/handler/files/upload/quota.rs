//! How large the files below a root are together.
//!
//! They are counted once, by walking through all of them, and again when there seems to be no room: others may have removed some.
//! Between that each upload claims its room before it takes it, and what it did is added up. Handlers of one root share one count,
//! also over a reload.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

use super::super::root::Root;
use super::beside::sweep;
use super::refusal::Refusal;

/// What is known of the files below one root.
#[derive(Debug, Default)]
pub(super) struct Quota {
    known: Mutex<Known>,
    /// Held while files are counted.
    counting: Mutex<()>,
    /// Held for the step in which a file appears or goes.
    step: Mutex<()>,
    looked: AtomicBool,
    counted: OnceCell<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Bytes of the files that are there.
    used: u64,
    /// Bytes that uploads on their way have claimed.
    claimed: u64,
    /// When they were counted, and how long that took.
    counted: Option<(Instant, Duration)>,
}

impl Quota {
    /// The count of the files below `root`, which all handlers of that path share.
    pub(super) fn of(root: &Path) -> Arc<Quota> {
        static ALL: Mutex<Option<HashMap<PathBuf, Weak<Quota>>>> = Mutex::new(None);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.get_or_insert_default();
        all.retain(|_, quota| quota.strong_count() > 0);
        let known = all.get(root).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let quota = Arc::default();
            all.insert(root.to_owned(), Arc::downgrade(&quota));
            quota
        })
    }

    /// Is this the first time that somebody asks?
    pub(super) fn is_first_look(&self) -> bool {
        !self.looked.load(Ordering::Relaxed) && !self.looked.swap(true, Ordering::Relaxed)
    }

    /// Waits until the files were counted at least once; `count` counts them.
    pub(super) async fn wait_for_count<F>(&self, count: impl FnOnce() -> F) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>>,
    {
        self.counted.get_or_try_init(count).await.map(|_| ())
    }

    /// Counts the files, unless that was done.
    pub(super) fn count_once(&self, root: &Root) -> io::Result<()> {
        let _counting = lock(&self.counting);
        let is_counted = lock(&self.known).counted.is_some();
        match is_counted {
            true => Ok(()),
            false => self.count_now(root),
        }
    }

    /// Counts the files again, unless that was done a moment ago; somebody else may be at it.
    fn count_again(&self, root: &Root) -> io::Result<()> {
        let _counting = lock(&self.counting);
        let counted = lock(&self.known).counted;
        let is_recent = |(at, took): (Instant, Duration)| at.elapsed() < (took * 10).max(RECENT);
        match counted.is_some_and(is_recent) {
            true => Ok(()),
            false => self.count_now(root),
        }
    }

    fn count_now(&self, root: &Root) -> io::Result<()> {
        let begun = Instant::now();
        let before = lock(&self.known).used;
        let mut found = 0;
        add_up(root.open_folder_waiting(b"")?, &mut found, DEEPEST);
        let mut known = lock(&self.known);
        // What came meanwhile may have been seen or not; too much is the safe side.
        known.used = found + known.used.saturating_sub(before);
        known.counted = Some((Instant::now(), begun.elapsed()));
        Ok(())
    }

    /// As long as the guard lives, nobody else changes which files there are.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        lock(&self.step)
    }

    /// A file of `size` bytes is gone.
    pub(super) fn removed(&self, size: u64) {
        let mut known = lock(&self.known);
        known.used = known.used.saturating_sub(charge(size));
    }

    /// Claims `bytes` more if there is so much room.
    fn claim(&self, bytes: u64, most: u64) -> bool {
        let mut known = lock(&self.known);
        let taken = known.used.saturating_add(known.claimed);
        let fits = taken.saturating_add(bytes) <= most;
        if fits {
            known.claimed += bytes;
        }
        fits
    }
}

/// The room that an upload has claimed; given back when it is dropped.
pub(super) struct Claim {
    quota: Arc<Quota>,
    root: Arc<Root>,
    /// Nothing where there is as much room as the disk has.
    most: Option<u64>,
    claimed: u64,
}

impl Claim {
    /// No room yet, of at most `most` for all files below `root`.
    pub(super) fn new(quota: Arc<Quota>, root: Arc<Root>, most: Option<u64>) -> Claim {
        Claim {
            quota,
            root,
            most,
            claimed: 0,
        }
    }

    pub(super) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Claims room for a file of `size` bytes.
    pub(super) fn grow(&mut self, size: u64) -> Result<(), Refusal> {
        let more = charge(size).saturating_sub(self.claimed);
        let Some(most) = self.most.filter(|_| more > 0) else {
            return Ok(());
        };
        if !self.quota.claim(more, most) {
            self.quota.count_again(&self.root)?;
            if !self.quota.claim(more, most) {
                return Err(Refusal::Full);
            }
        }
        self.claimed += more;
        Ok(())
    }

    /// A file of `size` bytes is there now, in the place of one with `replaced`.
    pub(super) fn settle(self, size: u64, replaced: Option<u64>) {
        let mut known = lock(&self.quota.known);
        known.used = (known.used + charge(size)).saturating_sub(replaced.map_or(0, charge));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.quota.known).claimed -= self.claimed;
    }
}

/// What a file of `size` bytes costs: whole blocks, and never nothing, so that empty files are not free.
fn charge(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(BLOCK).unwrap_or(size)
}

/// Adds up what the files in and below `folder` cost, and removes what a crash has left of uploads.
fn add_up(folder: OwnedFd, found: &mut u64, deeper: u32) {
    let Ok(entries) = Dir::read_from(&folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => kind_of(&folder, name),
            kind => kind,
        };
        match kind {
            FileType::Directory if deeper > 0 => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(below) = openat(&folder, name, flags, Mode::empty()) {
                    add_up(below, found, deeper - 1);
                }
            }
            FileType::RegularFile if !sweep(&folder, name.to_bytes()) => {
                let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
                let size = stat.map_or(0, |stat| stat.st_size.unsigned_abs());
                *found += charge(size);
            }
            _ => {}
        }
    }
}

fn kind_of(folder: &OwnedFd, name: &std::ffi::CStr) -> FileType {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.map_or(FileType::Unknown, |stat| {
        FileType::from_raw_mode(stat.st_mode)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The usual block of a file system.
const BLOCK: u64 = 4096;

/// Folders within folders, of which one descriptor each is open; uploads make none.
const DEEPEST: u32 = 100;

/// Files are not counted again within this time, nor within ten times what it took: many refused uploads cost one count.
const RECENT: Duration = Duration::from_secs(5);
