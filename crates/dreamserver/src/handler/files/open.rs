//! Large files of one core that were asked for a moment ago: they stay open, so that the next request need not walk to them.
//!
//! What a name leads to is believed no longer than in the [`super::store`]; what the open file holds is compared with the disk on
//! every request, so that no answer carries the head of another state of it.

use crate::exchange::SharedFile;
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::describe::Description;
use super::identity::Identity;
use super::store::is_fresh;

/// So many files are open at most beside those that are being sent: descriptors are for connections.
const MOST: usize = 64;

/// An open file.
pub(super) struct OpenFile {
    pub(super) shared: Rc<SharedFile>,
    pub(super) identity: Identity,
    pub(super) description: Description,
    /// When its root was looked up.
    pub(super) checked: Instant,
}

impl OpenFile {
    /// The same, with a tag that became known.
    pub(super) fn with_tag(&self, tag: Option<&str>) -> OpenFile {
        OpenFile {
            shared: Rc::clone(&self.shared),
            identity: self.identity,
            description: self.description.with_tag(tag),
            checked: self.checked,
        }
    }
}

/// The files that are open.
#[derive(Default)]
pub(super) struct OpenFiles {
    // Only names of existing files get in; see the store.
    by_key: RefCell<HashMap<Box<[u8]>, Rc<OpenFile>, RandomState>>,
}

impl OpenFiles {
    /// The file under `key`, if it was looked up lately and is still what it was then.
    pub(super) fn fresh(&self, key: &[u8], now: Instant) -> Option<Rc<OpenFile>> {
        let files = self.by_key.borrow();
        let open = files.get(key)?;
        let unchanged = |metadata| Identity::of(&metadata) == open.identity;
        let fresh = is_fresh(open.checked, now) && open.shared.file.metadata().is_ok_and(unchanged);
        fresh.then(|| Rc::clone(open))
    }

    /// Keeps a file open for a moment, if there is room for another one.
    pub(super) fn put(&self, key: &[u8], open: &Rc<OpenFile>) {
        let mut files = self.by_key.borrow_mut();
        if files.len() < MOST || files.contains_key(key) {
            files.insert(key.into(), Rc::clone(open));
        }
    }

    /// Closes the files that nobody would believe any more: a deleted one must not hold its place on the disk.
    pub(super) fn sweep(&self, now: Instant) {
        let mut files = self.by_key.borrow_mut();
        files.retain(|_, open| is_fresh(open.checked, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Ends;
    use std::fs::File;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    fn open(folder: &dream_testkit::Folder, now: Instant) -> Rc<OpenFile> {
        let file = File::open(folder.join("a.bin")).unwrap();
        let identity = Identity::of(&file.metadata().unwrap());
        Rc::new(OpenFile {
            shared: SharedFile::new(file, identity.state(), Ends::default()),
            identity,
            description: Description::new(
                "application/octet-stream",
                &identity,
                SystemTime::now(),
                None,
            ),
            checked: now,
        })
    }

    #[test]
    fn a_changed_file_is_not_believed() {
        let folder = dream_testkit::Folder::new("open");
        folder.write("a.bin", "one");
        let now = Instant::now();
        let files = OpenFiles::default();
        files.put(b"a", &open(&folder, now));
        assert!(files.fresh(b"a", now).is_some());
        let mut appending = File::options()
            .append(true)
            .open(folder.join("a.bin"))
            .unwrap();
        appending.write_all(b"more").unwrap();
        assert!(files.fresh(b"a", now).is_none());
    }

    #[test]
    fn nothing_stays_open_for_long_and_never_too_much() {
        let folder = dream_testkit::Folder::new("open");
        folder.write("a.bin", "one");
        let now = Instant::now();
        let files = OpenFiles::default();
        for number in 0..1000u32 {
            files.put(&number.to_be_bytes(), &open(&folder, now));
        }
        assert_eq!(files.by_key.borrow().len(), MOST);
        files.sweep(now + Duration::from_secs(1));
        assert!(files.by_key.borrow().is_empty());
    }
}
