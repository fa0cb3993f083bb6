//! Opening files below a root, and nothing else.
//!
//! On Linux the kernel walks the path and refuses to leave the root (`openat2` with `RESOLVE_BENEATH`: also absolute symlinks,
//! and links of `/proc`). It is asked first for what it has in memory; only when that is not enough a thread of
//! the blocking pool asks again, so that a slow disk never holds up the core. Elsewhere, and where a sandbox
//! forbids `openat2`, [`super::walk`] does the same step by step.

use rustix::fd::OwnedFd;
#[cfg(target_os = "linux")]
use rustix::fs::CWD;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::identity::{Identity, Kind};
use super::walk;

/// Which way files are opened. Invariant: decided once per configuration, by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `openat2`.
    #[cfg(target_os = "linux")]
    Kernel {
        /// It knows `RESOLVE_CACHED` (Linux 5.12).
        cached: bool,
    },
    /// The checked walk.
    Walk,
}

impl Way {
    /// The best way that this kernel and this sandbox allow.
    pub(super) fn detect() -> Way {
        #[cfg(target_os = "linux")]
        {
            let works = |resolve| {
                let opened = rustix::fs::openat2(CWD, ".", folder_flags(), Mode::empty(), resolve);
                // EAGAIN: it is known, and has nothing in memory right now.
                matches!(opened, Ok(_) | Err(Errno::AGAIN))
            };
            if works(kernel::BENEATH) {
                let cached = works(kernel::BENEATH | kernel::CACHED);
                return Way::Kernel { cached };
            }
        }
        Way::Walk
    }
}

/// An open root folder. It stays what it is while the path that led to it is switched to another folder.
pub(super) struct Root {
    fd: OwnedFd,
    way: Way,
    /// When its path was looked up.
    pub(super) opened: Instant,
}

/// An open file or folder, and what it was when it was opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) identity: Identity,
    pub(super) kind: Kind,
}

impl Root {
    /// Looks up `path` as the operator wrote it: symlinks on the way are followed wherever they lead.
    ///
    /// # Errors
    /// What the system says, for example that there is no such folder.
    pub(super) async fn open(path: &Arc<Path>, way: Way, now: Instant) -> io::Result<Arc<Root>> {
        #[cfg(target_os = "linux")]
        if let Way::Kernel { cached: true } = way {
            match kernel::open(CWD, path.as_ref(), folder_flags(), kernel::CACHED) {
                Ok(fd) => return Ok(Root::new(fd, way, now)),
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let path = Arc::clone(path);
        blocking(move || {
            let fd = rustix::fs::open(path.as_ref(), folder_flags(), Mode::empty())?;
            Ok(Root::new(fd, way, now))
        })
        .await
    }

    fn new(fd: OwnedFd, way: Way, opened: Instant) -> Arc<Root> {
        Arc::new(Root { fd, way, opened })
    }

    /// Opens `name`, which lies below the root or is refused.
    ///
    /// # Errors
    /// What the system says; `EXDEV` for a symlink that leads out.
    pub(super) async fn open_below(self: &Arc<Root>, name: &[u8]) -> io::Result<Opened> {
        #[cfg(target_os = "linux")]
        if let Way::Kernel { cached: true } = self.way {
            let resolve = kernel::BENEATH | kernel::CACHED;
            match kernel::open(&self.fd, name, file_flags(), resolve) {
                Ok(fd) => return Opened::new(fd),
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (root, name) = (Arc::clone(self), name.to_vec());
        blocking(move || Opened::new(root.open_waiting(&name, file_flags())?)).await
    }

    /// As [`Root::open_below`], waiting for the disk if need be.
    ///
    /// # Errors
    /// The same.
    pub(super) fn open_below_waiting(&self, name: &[u8]) -> io::Result<Opened> {
        Opened::new(self.open_waiting(name, file_flags())?)
    }

    /// Opens the folder `name` to be listed or changed, waiting for the disk if need be; nothing is the root itself.
    ///
    /// # Errors
    /// As for [`Root::open_below`].
    pub(super) fn open_folder_waiting(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let name = if name.is_empty() { b"." } else { name };
        self.open_waiting(name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    /// Opens `name`, waiting for the disk if need be.
    fn open_waiting(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.way {
            #[cfg(target_os = "linux")]
            Way::Kernel { .. } => kernel::open_anew(&self.fd, name, flags),
            Way::Walk => walk::open(&self.fd, name, flags),
        }
    }
}

impl Opened {
    /// Opens what `path` leads to, as the operator wrote it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn at(path: &Arc<Path>) -> io::Result<Opened> {
        let path = Arc::clone(path);
        blocking(move || {
            Opened::new(rustix::fs::open(
                path.as_ref(),
                file_flags(),
                Mode::empty(),
            )?)
        })
        .await
    }

    fn new(fd: OwnedFd) -> io::Result<Opened> {
        let file = File::from(fd);
        let metadata = file.metadata()?;
        Ok(Opened {
            identity: Identity::of(&metadata),
            kind: Kind::of(&metadata),
            file,
        })
    }
}

/// Runs `work`, which may wait for a disk, beside the core.
///
/// # Errors
/// What `work` says, or that the runtime is ending.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => Err(io::Error::other(ended)),
    }
}

/// Never waits for the other end of a FIFO, never becomes a terminal's owner, never leaks into a child.
fn file_flags() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

/// A folder to start from; `O_PATH` because a root that may be entered need not be listable.
pub(super) fn folder_flags() -> OFlags {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    let flags = flags | OFlags::PATH;
    flags
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;
    use rustix::path::Arg;

    pub(super) const BENEATH: ResolveFlags =
        ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
    pub(super) const CACHED: ResolveFlags = ResolveFlags::CACHED;

    pub(super) fn open(
        folder: impl AsFd,
        name: impl Arg,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        openat2(folder, name, flags, Mode::empty(), resolve)
    }

    /// Waits for the disk. EAGAIN then means that a folder was renamed while `..` of a symlink was followed
    /// (openat2(2)), which is worth another try, but not for ever.
    pub(super) fn open_anew(
        folder: impl AsFd,
        name: &[u8],
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        for _ in 1..TRIES {
            match open(&folder, name, flags, BENEATH) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        open(&folder, name, flags, BENEATH)
    }

    /// Renames happen, a storm of them is an attack by who may write below the root.
    const TRIES: u32 = 16;
}
