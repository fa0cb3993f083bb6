//! What is in a folder, as far as clients may see it.
//!
//! All names stand behind each other in one piece of memory, because a folder may hold very many. How many at once is bounded, for one
//! listing and for all that are being sent together.

use rustix::fs::{AtFlags, Dir, FileType, statat};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::identity::{Identity, Kind};
use super::super::root::Root;
use super::order::{Order, compare_names};

/// The entries of a folder, sorted.
pub(super) struct Entries {
    /// The names, one behind the other.
    names: Vec<u8>,
    list: Vec<Entry>,
    /// There are more in the folder.
    pub(super) is_cut: bool,
    room: Room,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    start: u32,
    len: u16,
    pub(super) is_folder: bool,
    /// Bytes; of a file.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// Why there are none.
#[derive(Debug)]
pub(super) enum NoEntries {
    /// The folder cannot be read.
    Folder(io::Error),
    /// Other listings hold too much memory.
    Crowded,
}

impl Entries {
    /// Looks at what is in `folder`, below `root`; may wait for the disk.
    pub(super) fn gather(
        root: &Arc<Root>,
        folder: &[u8],
        hidden: bool,
        order: Order,
    ) -> Result<Entries, NoEntries> {
        let path = folder.strip_suffix(b"/").unwrap_or(folder);
        let failed = |error: rustix::io::Errno| NoEntries::Folder(error.into());
        let open = root.open_folder_waiting(path).map_err(failed)?;
        let mut entries = Entries {
            names: Vec::new(),
            list: Vec::new(),
            is_cut: false,
            room: Room::default(),
        };
        let mut dir = Dir::read_from(&open).map_err(failed)?;
        entries.reserve(&mut dir)?;
        dir.rewind();
        for entry in dir {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || (!hidden && is_hidden(path, name)) {
                continue;
            }
            // What is gone meanwhile, or may not be looked at, is not there.
            let Ok(stat) = statat(&open, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let seen = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Some((Kind::File, Identity::of_stat(&stat))),
                FileType::Directory => Some((Kind::Folder, Identity::of_stat(&stat))),
                FileType::Symlink => root
                    .open_below_waiting(&[folder, name].concat())
                    .map(|opened| (opened.kind, opened.identity))
                    .ok(),
                _ => None,
            };
            if let Some((kind, identity)) = seen.filter(|(kind, _)| *kind != Kind::Other)
                && !entries.add(name, kind == Kind::Folder, &identity)?
            {
                entries.is_cut = true;
                break;
            }
        }
        entries.sort(order);
        // It may be a while until the client has read it all.
        entries.names.shrink_to_fit();
        entries.list.shrink_to_fit();
        Ok(entries)
    }

    /// Makes room for what is in the folder: what grows leaves several times its size behind.
    fn reserve(&mut self, dir: &mut Dir) -> Result<(), NoEntries> {
        let (mut bytes, mut count) = (0, 0);
        for entry in dir.flatten() {
            let len = entry.file_name().to_bytes().len();
            if bytes + len + (count + 1) * size_of::<Entry>() > LARGEST {
                break;
            }
            (bytes, count) = (bytes + len, count + 1);
        }
        self.room.fit(bytes + count * size_of::<Entry>())?;
        self.names.reserve_exact(bytes);
        self.list.reserve_exact(count);
        Ok(())
    }

    /// Adds an entry, if there is room for it.
    fn add(
        &mut self,
        name: &[u8],
        is_folder: bool,
        identity: &Identity,
    ) -> Result<bool, NoEntries> {
        let (Ok(start), Ok(len)) = (u32::try_from(self.names.len()), u16::try_from(name.len()))
        else {
            return Ok(true);
        };
        let taken = self.names.len() + name.len() + (self.list.len() + 1) * size_of::<Entry>();
        if taken > LARGEST {
            return Ok(false);
        }
        self.room.fit(taken)?;
        self.names.extend_from_slice(name);
        self.list.push(Entry {
            start,
            len,
            is_folder,
            size: if is_folder { 0 } else { identity.size },
            modified: identity.modified_seconds(),
        });
        Ok(true)
    }

    fn sort(&mut self, order: Order) {
        let names = &self.names;
        self.list.sort_unstable_by(|a, b| {
            let by_name = || compare_names(name_in(names, a), name_in(names, b));
            // Folders first, whatever the order is.
            let folders = b.is_folder.cmp(&a.is_folder);
            folders.then_with(|| order.compare(a, b, by_name))
        });
    }

    /// From the one with this number on, each with its number and name.
    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = (usize, &[u8], &Entry)> {
        let rest = self.list.iter().enumerate().skip(start);
        rest.map(|(number, entry)| (number, name_in(&self.names, entry), entry))
    }

    /// How many folders and files there are, and the bytes of the files.
    pub(super) fn sums(&self) -> (usize, usize, u64) {
        let folders = self.list.iter().filter(|entry| entry.is_folder).count();
        let bytes = self
            .list
            .iter()
            .map(|entry| entry.size)
            .fold(0, u64::saturating_add);
        (folders, self.list.len() - folders, bytes)
    }
}

fn name_in<'a>(names: &'a [u8], entry: &Entry) -> &'a [u8] {
    let start = entry.start as usize;
    &names[start..start + usize::from(entry.len)]
}

/// As for [`super::super::path::is_hidden`]: the folder is none, or nobody would get here.
fn is_hidden(folder: &[u8], name: &[u8]) -> bool {
    name.starts_with(b".") && !(folder.is_empty() && name == b".well-known")
}

/// The memory of one listing, out of what all may have together.
#[derive(Default)]
struct Room {
    bytes: usize,
}

/// What all listings have together.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Room {
    /// Takes as much as `bytes` need; it is given back when this is dropped.
    fn fit(&mut self, bytes: usize) -> Result<(), NoEntries> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = (bytes - self.bytes).max(STEP);
        self.bytes += more;
        match TAKEN.fetch_add(more, Ordering::Relaxed) + more <= ALL {
            true => Ok(()),
            false => Err(NoEntries::Crowded),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of the entries of one listing: some 340,000 with names of 25 letters.
const LARGEST: usize = 16 * 1024 * 1024;

/// Bytes of the entries of all listings that are being made or sent: slow readers of the largest folders hold no more.
const ALL: usize = 128 * 1024 * 1024;

/// Room is taken in steps of so many bytes.
const STEP: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Entries {
        Entries {
            names: Vec::new(),
            list: Vec::new(),
            is_cut: false,
            room: Room::default(),
        }
    }

    /// Adds names until there is no room for more.
    fn fill(entries: &mut Entries) -> Result<(), NoEntries> {
        let identity = Identity::of(&std::fs::metadata(".").unwrap());
        while entries.add(b"a name of twenty-five let", false, &identity)? {}
        Ok(())
    }

    #[test]
    fn one_listing_is_bounded_and_so_are_all_together() {
        let mut full = Vec::new();
        let mut crowded = empty();
        while fill(&mut crowded).is_ok() {
            assert!((330_000..350_000).contains(&crowded.list.len()));
            full.push(std::mem::replace(&mut crowded, empty()));
        }
        assert!((ALL / LARGEST - 1..=ALL / LARGEST).contains(&full.len()));
        drop((crowded, full.pop()));
        fill(&mut empty()).unwrap();
    }
}
