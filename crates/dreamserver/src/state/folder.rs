//! The folder of the state on a real disk: where it is, that it is ours, and that no other server uses it.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, DiskFile};
use crate::owned;

/// Nobody says where the state is.
#[derive(Debug, PartialEq, Eq)]
pub struct NoFolder;

impl fmt::Display for NoFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no folder for the state: none is given, and STATE_DIRECTORY, XDG_STATE_HOME and HOME are not set")
    }
}

impl std::error::Error for NoFolder {}

/// Where the state is: at the given path, or where systemd says (`STATE_DIRECTORY`, the first of several), or where the user
/// keeps such things (`XDG_STATE_HOME`, else `~/.local/state`).
///
/// # Errors
/// None of these is known. A variable that is empty or not an absolute path counts as missing.
pub fn folder(given: Option<&Path>) -> Result<PathBuf, NoFolder> {
    match given {
        Some(path) => Ok(path.to_owned()),
        None => usual_folder(|name| std::env::var_os(name)).ok_or(NoFolder),
    }
}

fn usual_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let path = |name| variable(name).map(PathBuf::from).filter(absolute);
    let by_systemd = || {
        let list = variable("STATE_DIRECTORY")?;
        std::env::split_paths(&list).next().filter(absolute)
    };
    by_systemd()
        .or_else(|| Some(path("XDG_STATE_HOME")?.join("dreamserver")))
        .or_else(|| Some(path("HOME")?.join(".local/state/dreamserver")))
}

/// The folder, locked as long as this or a clone of it lives.
#[derive(Clone, Debug)]
pub struct Folder(Arc<Locked>);

#[derive(Debug)]
struct Locked {
    path: PathBuf,
    folder: File,
    failed_syncs: AtomicU64,
    lock: OwnedFd,
}

/// Why the folder cannot be used.
#[derive(Debug)]
pub enum FolderError {
    /// Another server has it.
    InUse(PathBuf),
    /// Other users may write into it, and so decide where requests go.
    Writable(PathBuf),
    /// What was handed over is not the lock of this folder.
    OtherLock(PathBuf),
    /// What the system says about it.
    System(PathBuf, io::Error),
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FolderError::InUse(path) => write!(
                f,
                "another dreamserver uses the state in {}: stop it, or give this one another folder",
                path.display()
            ),
            FolderError::Writable(path) => {
                let path = path.display();
                write!(
                    f,
                    "other users may write into {path}: try `chmod go-w {path}`"
                )
            }
            FolderError::OtherLock(path) => write!(
                f,
                "the lock that was handed over is not that of {}",
                path.display()
            ),
            FolderError::System(path, error) => write!(
                f,
                "the folder {} for the state cannot be used: {error}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FolderError::System(_, source) => Some(source),
            FolderError::InUse(_) | FolderError::Writable(_) | FolderError::OtherLock(_) => None,
        }
    }
}

impl Folder {
    /// Makes sure that there is a folder at `path`, only for its owner if it is new, and locks it.
    ///
    /// # Errors
    /// [`FolderError`] says what stands in the way.
    pub fn open(path: &Path) -> Result<Folder, FolderError> {
        let system = |error| FolderError::System(path.to_owned(), error);
        let folder = prepare(path)?;
        let lock = open_lock(&folder).map_err(system)?;
        Folder::locked(path, folder, lock)
    }

    /// Opens the folder with the lock of a process that hands over to this one, see [`Folder::lock`]. That one must not write
    /// any more.
    ///
    /// # Errors
    /// [`FolderError`] says what stands in the way.
    pub fn adopt(path: &Path, lock: OwnedFd) -> Result<Folder, FolderError> {
        let system = |error| FolderError::System(path.to_owned(), error);
        let folder = prepare(path)?;
        let expected = open_lock(&folder).and_then(|file| identity(&file));
        if expected.map_err(system)? != identity(&lock).map_err(system)? {
            return Err(FolderError::OtherLock(path.to_owned()));
        }
        Folder::locked(path, folder, lock)
    }

    fn locked(path: &Path, folder: File, lock: OwnedFd) -> Result<Folder, FolderError> {
        let system = |error| FolderError::System(path.to_owned(), error);
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let path = std::path::absolute(path).map_err(system)?;
                Ok(Folder(Arc::new(Locked {
                    path,
                    folder,
                    failed_syncs: AtomicU64::new(0),
                    lock,
                })))
            }
            Err(Errno::WOULDBLOCK) => Err(FolderError::InUse(path.to_owned())),
            Err(error) => Err(system(error.into())),
        }
    }

    /// The file whose lock says that the folder is in use. Whoever has a duplicate of it holds the lock too.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.0.lock.as_fd()
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path.join(name)
    }
}

impl Disk for Folder {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        // What is there under the same name now may be locked by another server.
        still_there(&self.0.folder)?;
        owned::create_file(&self.0.folder, name, 0o600)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match fs::read(self.file(name)) {
            Err(error) if is_of_disk(&error) => read_around(&self.file(name)),
            result => result,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.file(from), self.file(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.file(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.0.path)? {
            // A name that is no text is none of ours.
            names.extend(file?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.folder.sync_all().inspect_err(|_| {
            self.0.failed_syncs.fetch_add(1, Ordering::AcqRel);
        })
    }

    fn failed_syncs(&self) -> u64 {
        self.0.failed_syncs.load(Ordering::Acquire)
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        // The size is synced with the bytes; the times do not matter.
        self.sync_data()?;
        still_there(self)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

fn prepare(path: &Path) -> Result<File, FolderError> {
    let system = |error| FolderError::System(path.to_owned(), error);
    create(path).map_err(system)?;
    let folder = File::open(path).map_err(system)?;
    let mode = folder.metadata().map_err(system)?.mode();
    match mode & WRITABLE_BY_OTHERS {
        0 => Ok(folder),
        _ => Err(FolderError::Writable(path.to_owned())),
    }
}

/// Creates the folder and those above it. The name of a folder must be on the disk before anything in it is safe.
fn create(path: &Path) -> io::Result<()> {
    let above = owned::folder_of(path);
    if path.is_dir() {
        // The run that has created it may have ended before it synced; a folder that we cannot open we did not create.
        let _ = File::open(above).and_then(|above| above.sync_all());
        return Ok(());
    }
    create(above)?;
    owned::create_folder(path)?;
    File::open(above)?.sync_all()
}

fn open_lock(folder: &File) -> io::Result<OwnedFd> {
    match owned::create_file(folder, LOCK, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            Ok(openat(folder, LOCK, flags, Mode::empty())?)
        }
        created => Ok(created?.into()),
    }
}

/// What no two files have in common.
fn identity(file: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = fstat(file)?;
    // Their types differ from system to system.
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

/// Nobody will find what is written to a file, or into a folder, that was removed.
fn still_there(file: &File) -> io::Result<()> {
    match file.metadata()?.nlink() {
        0 => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the folder, or a file in it, was removed",
        )),
        _ => Ok(()),
    }
}

fn is_of_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// Reads what the disk still gives of a file.
fn read_around(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    read_pieces(&mut bytes, |piece, at| file.read_exact_at(piece, at))?;
    Ok(bytes)
}

/// Fills `bytes` piece by piece; where the disk fails, there are zeros.
fn read_pieces(
    bytes: &mut [u8],
    read: impl Fn(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = 0;
    for piece in bytes.chunks_mut(PIECE) {
        match read(piece, at) {
            Err(error) if is_of_disk(&error) => piece.fill(0),
            result => result?,
        }
        at += piece.len() as u64;
    }
    Ok(())
}

/// Permission bits of a folder.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Its lock says that a server uses the folder.
const LOCK: &str = "lock";

/// Bytes that a disk loses at once, usually: one sector, or one page of the system's cache.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn usual(variables: &[(&str, &str)]) -> Option<PathBuf> {
        usual_folder(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_folder_is_found() {
        let home = ("HOME", "/home/ann");
        let xdg = ("XDG_STATE_HOME", "/srv/ann");
        let expect = |variables: &[(&str, &str)], path: &str| {
            assert_eq!(usual(variables), Some(path.into()));
        };
        expect(&[home], "/home/ann/.local/state/dreamserver");
        expect(&[home, xdg], "/srv/ann/dreamserver");
        expect(
            &[home, ("XDG_STATE_HOME", "")],
            "/home/ann/.local/state/dreamserver",
        );
        expect(
            &[home, ("XDG_STATE_HOME", "ann")],
            "/home/ann/.local/state/dreamserver",
        );
        expect(
            &[home, xdg, ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")],
            "/var/lib/a",
        );
        expect(
            &[home, xdg, ("STATE_DIRECTORY", "")],
            "/srv/ann/dreamserver",
        );
        assert_eq!(usual(&[]), None);
        assert_eq!(usual(&[("HOME", "")]), None);
        assert_eq!(folder(Some(Path::new("here"))), Ok("here".into()));
    }

    #[test]
    fn it_is_created_for_its_owner_only() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("one/two");
        let folder = Folder::open(&path).unwrap();
        folder.create("file").unwrap();
        for (path, mode) in [("one", 0o700), ("one/two", 0o700), ("one/two/file", 0o600)] {
            let metadata = fs::metadata(above.path().join(path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
        }
    }

    #[test]
    fn a_folder_that_others_write_into_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        let error = Folder::open(&path).unwrap_err();
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Folder::open(&path).unwrap();
    }

    #[test]
    fn two_servers_do_not_share_it() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path();
        let folder = Folder::open(path).unwrap();
        let clone = folder.clone();
        drop(folder);
        let error = Folder::open(path).unwrap_err();
        assert!(matches!(error, FolderError::InUse(_)));
        let text = error.to_string();
        assert!(text.contains("another dreamserver uses"), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        drop(clone);
        Folder::open(path).unwrap();
    }

    #[test]
    fn the_lock_is_handed_over() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("state");
        let before = Folder::open(&path).unwrap();
        let lock = before.lock().try_clone_to_owned().unwrap();
        let after = Folder::adopt(&path, lock).unwrap();
        drop(before);
        assert!(matches!(Folder::open(&path), Err(FolderError::InUse(_))));
        drop(after);
        let other = Folder::open(&above.path().join("other")).unwrap();
        let lock = other.lock().try_clone_to_owned().unwrap();
        let adopted = Folder::adopt(&path, lock);
        assert!(matches!(adopted, Err(FolderError::OtherLock(_))));
        Folder::open(&path).unwrap();
    }

    #[test]
    fn what_the_disk_cannot_give_is_zeros() {
        let mut bytes = vec![1; 3 * PIECE + 5];
        let read = |piece: &mut [u8], at: u64| match at {
            4096 => Err(Errno::IO.into()),
            _ => {
                piece.fill(2);
                Ok(())
            }
        };
        read_pieces(&mut bytes, read).unwrap();
        let lost = PIECE..2 * PIECE;
        let expected = |at| if lost.contains(&at) { 0 } else { 2 };
        assert!((0..bytes.len()).all(|at| bytes[at] == expected(at)));
        let denied = read_pieces(&mut bytes, |_, _| Err(Errno::ACCESS.into()));
        assert!(denied.is_err());
    }
}
