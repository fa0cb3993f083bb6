//! A file in the making, beside the place that it will take.
//!
//! It has a hidden name, which is never served, and a lock as long as somebody writes it: one without is what a crash has left,
//! and is removed by whoever finds it. Everything here may wait for a disk.

use dream_http::Fields;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, fstatvfs, fsync, linkat,
    openat, renameat, statat, unlinkat,
};
#[cfg(target_os = "linux")]
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::conditional::{Validators, allows_change};
use super::super::identity::Identity;
use super::super::root::Root;
use super::quota::Quota;
use super::refusal::Refusal;
use super::target::Target;

/// A name in an open folder below the root.
pub(super) struct Place {
    folder: Arc<OwnedFd>,
    name: Vec<u8>,
}

/// What stands at a place.
struct Standing {
    identity: Identity,
    mode: u32,
}

impl Place {
    /// Opens the folder of `target`; no symlink leads out of the root.
    pub(super) fn open(root: &Arc<Root>, target: &Target) -> Result<Place, Refusal> {
        Ok(Place {
            folder: root.open_folder_waiting(&target.folder)?.into(),
            name: target.name.clone(),
        })
    }

    /// Is there what the client says that it changes?
    pub(super) fn check(&self, conditions: &Fields) -> Result<(), Refusal> {
        self.look(conditions).map(|_| ())
    }

    /// Does the file system have so much room?
    pub(super) fn has_room(&self, size: u64) -> Result<(), Refusal> {
        match fstatvfs(&self.folder) {
            // Some file systems tell nothing of their size.
            Ok(disk) if disk.f_blocks == 0 => Ok(()),
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < size => {
                Err(Errno::NOSPC.into())
            }
            // What cannot be told shows when it is written.
            _ => Ok(()),
        }
    }

    fn look(&self, conditions: &Fields) -> Result<Option<Standing>, Refusal> {
        let standing = self.standing()?;
        let wall = SystemTime::now();
        let etag = standing.as_ref().map(|standing| standing.identity.etag());
        let current = standing.as_ref().zip(etag.as_deref());
        let current = current.map(|(standing, etag)| Validators {
            etag: Some(etag.as_bytes()),
            modified: standing.identity.last_modified(wall),
        });
        match allows_change(conditions, current) {
            true => Ok(standing),
            false => Err(Refusal::Answer(
                412,
                "The file is not in the state that the request asks for.",
            )),
        }
    }

    /// A symlink is not followed: what it leads to has a name of its own.
    fn standing(&self) -> Result<Option<Standing>, Refusal> {
        let stat = match statat(&self.folder, &*self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => {
                return Err(Refusal::Answer(409, "This is a folder, and no file."));
            }
            _ => return Err(Refusal::Answer(409, "This is no plain file.")),
        }
        Ok(Some(Standing {
            identity: Identity::of_stat(&stat),
            mode: stat.st_mode,
        }))
    }
}

/// A file that is being written.
pub(super) struct Beside {
    place: Place,
    unfinished: Unfinished,
    size: u64,
    /// Bytes that may not be on the disk yet.
    unsynced: u64,
}

/// A file that was put into its place.
pub(super) struct Done {
    pub(super) size: u64,
    pub(super) etag: String,
    /// Bytes of the file that stood there before.
    pub(super) replaced: Option<u64>,
}

impl Beside {
    /// An empty file beside `place`.
    pub(super) fn create(place: Place) -> Result<Beside, Refusal> {
        Ok(Beside {
            unfinished: Unfinished::create(&place.folder)?,
            place,
            size: 0,
            unsynced: 0,
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.unfinished.file.write_all(piece)?;
        self.size += piece.len() as u64;
        self.unsynced += piece.len() as u64;
        if self.unsynced >= SYNC {
            self.unfinished.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Puts the file into its place, if that is still in the state that `conditions` ask for, and makes sure that it stays there.
    pub(super) fn take_place(
        mut self,
        conditions: &Fields,
        quota: &Quota,
    ) -> Result<Done, Refusal> {
        self.unfinished.file.sync_all()?;
        let replaced = self.rename(conditions, quota)?;
        sync_folder(&self.place.folder)?;
        let identity = Identity::of(&self.unfinished.file.metadata()?);
        Ok(Done {
            size: self.size,
            etag: identity.etag(),
            replaced,
        })
    }

    /// Gives the file its name; tells the size of the one that it replaces.
    fn rename(&mut self, conditions: &Fields, quota: &Quota) -> Result<Option<u64>, Refusal> {
        // Between the look and the step no other upload takes a step.
        let _alone = quota.alone();
        for _ in 0..TRIES {
            let standing = self.place.look(conditions)?;
            if let Some(standing) = &standing {
                // Who might not read the file before may not read it now.
                fchmod(
                    &self.unfinished.file,
                    Mode::from_raw_mode(standing.mode & 0o777),
                )?;
            }
            match self.unfinished.rename(&self.place, standing.is_some()) {
                // Another program was quicker, and what it made is to be looked at.
                Err(Errno::EXIST) => {}
                renamed => {
                    renamed?;
                    return Ok(standing.map(|standing| standing.identity.size));
                }
            }
        }
        Err(Errno::EXIST.into())
    }
}

/// Removes the file at `place`, if that is in the state that `conditions` ask for.
pub(super) fn remove(place: &Place, conditions: &Fields, quota: &Quota) -> Result<(), Refusal> {
    let size = {
        let _alone = quota.alone();
        let standing = place.look(conditions)?;
        let standing = standing.ok_or(Refusal::Answer(404, "There is nothing at this address."))?;
        unlinkat(&place.folder, &*place.name, AtFlags::empty())?;
        standing.identity.size
    };
    quota.removed(size);
    sync_folder(&place.folder)
}

/// Has the disk keep which files a folder has.
fn sync_folder(folder: &OwnedFd) -> Result<(), Refusal> {
    match fsync(folder) {
        // Some file systems keep that by themselves, and cannot be asked.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A file under a hidden name, which is gone when this is.
struct Unfinished {
    folder: Arc<OwnedFd>,
    /// Nothing once it has its place.
    name: Option<String>,
    file: File,
}

impl Unfinished {
    fn create(folder: &Arc<OwnedFd>) -> Result<Unfinished, Refusal> {
        for _ in 1..TRIES {
            match Unfinished::try_create(folder) {
                // Another file has this name, or somebody took this one for a left-over before it was locked.
                Err(Errno::EXIST | Errno::WOULDBLOCK) => {}
                created => return Ok(created?),
            }
        }
        Ok(Unfinished::try_create(folder)?)
    }

    fn try_create(folder: &Arc<OwnedFd>) -> Result<Unfinished, Errno> {
        let name = hidden_name();
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(folder, &*name, flags, Mode::from_raw_mode(0o644))?;
        let unfinished = Unfinished {
            folder: Arc::clone(folder),
            name: Some(name),
            file: file.into(),
        };
        // Where the file system knows no locks, what a crash leaves is not told from what is being written, and stays.
        if flock(&unfinished.file, FlockOperation::NonBlockingLockExclusive)
            == Err(Errno::WOULDBLOCK)
        {
            return Err(Errno::WOULDBLOCK);
        }
        match fstat(&unfinished.file)?.st_nlink {
            0 => Err(Errno::WOULDBLOCK),
            _ => Ok(unfinished),
        }
    }

    /// Gives the file the name of `place`; unless it `replaces` something, nothing that stands there is touched.
    fn rename(&mut self, place: &Place, replaces: bool) -> Result<(), Errno> {
        let Some(name) = self.name.as_deref() else {
            return Ok(());
        };
        match replaces {
            true => renameat(&self.folder, name, &place.folder, &*place.name)?,
            false => rename_new(&self.folder, name, &place.name)?,
        }
        self.name = None;
        Ok(())
    }
}

/// Renames a file in `folder`, unless the new name is taken.
fn rename_new(folder: &OwnedFd, from: &str, to: &[u8]) -> Result<(), Errno> {
    #[cfg(target_os = "linux")]
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // Not every file system can do it.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        renamed => return renamed,
    }
    linkat(folder, from, folder, to, AtFlags::empty())?;
    unlinkat(folder, from, AtFlags::empty())
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What cannot be removed now is removed as a left-over.
            let _ = unlinkat(&self.folder, &**name, AtFlags::empty());
        }
    }
}

fn hidden_name() -> String {
    // Random enough that two hardly ever meet; if they do, the second tries another one.
    let random = RandomState::new().build_hasher().finish();
    format!(".{random:016x}{UNFINISHED}")
}

/// Is a file with this name one in the making, or what a crash has left of one?
fn is_unfinished(name: &[u8]) -> bool {
    let stem = name.strip_suffix(UNFINISHED.as_bytes());
    let digits = stem.and_then(|stem| stem.strip_prefix(b"."));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Removes the file `name` from `folder` if it is what a crash has left; `true` if it is in the making, or was.
pub(super) fn sweep(folder: &OwnedFd, name: &[u8]) -> bool {
    if !is_unfinished(name) {
        return false;
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = openat(folder, name, flags, Mode::empty())
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && unlinkat(folder, name, AtFlags::empty()).is_ok()
    {
        tracing::info!("a half-written upload of a server that did not end in peace was removed");
    }
    true
}

const UNFINISHED: &str = ".upload";

/// The disk is asked to follow after so many bytes: it is slow then and not at the end, when the client waits for the answer.
const SYNC: u64 = 32 * 1024 * 1024;

/// More than one is rare, and as many mean that somebody wants it so.
const TRIES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_written_is_not_swept_and_what_is_left_is() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Arc::new(OwnedFd::from(File::open(folder.path()).unwrap()));
        let unfinished = Unfinished::create(&open()).unwrap();
        let name = unfinished.name.clone().unwrap();
        assert!(sweep(&open(), name.as_bytes()));
        assert!(folder.path().join(&name).exists());
        drop(unfinished);
        assert!(!folder.path().join(&name).exists());
        fs::write(folder.path().join(&name), "half").unwrap();
        assert!(sweep(&open(), name.as_bytes()));
        assert!(!folder.path().join(&name).exists());
        for other in [
            "a.upload",
            ".a.upload",
            ".0123456789abcdeg.upload",
            "0123456789abcdef.upload",
        ] {
            fs::write(folder.path().join(other), "kept").unwrap();
            assert!(!sweep(&open(), other.as_bytes()), "{other}");
            assert!(folder.path().join(other).exists());
        }
    }

    #[test]
    fn a_new_name_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "old").unwrap();
        let fd = Arc::new(OwnedFd::from(File::open(folder.path()).unwrap()));
        let mut unfinished = Unfinished::create(&fd).unwrap();
        let place = Place {
            folder: fd,
            name: b"a".to_vec(),
        };
        assert_eq!(unfinished.rename(&place, false), Err(Errno::EXIST));
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"old");
        unfinished.rename(&place, true).unwrap();
        drop(unfinished);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
