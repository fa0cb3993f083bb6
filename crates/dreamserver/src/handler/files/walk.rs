//! The checked walk: opening a file below a folder without the kernel's help.
//!
//! Each component is opened by itself, below the folder that is open already, and never through a symlink.
//! A symlink is read and walked in our own steps, so that every one of its components is checked as well. `..` goes back to the
//! folder that we came from, which is open, and not to what the kernel calls its parent now: renaming folders under our feet
//! leads nowhere.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::root::folder_flags;

/// Opens `name` with `flags`, following symlinks only as far as they stay below `root`.
///
/// # Errors
/// `EXDEV` for what leads out of `root` (absolute symlinks always do), `ELOOP` for too many symlinks, or what the system says.
pub(super) fn open(root: &OwnedFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut walk = Walk {
        root: root.as_fd(),
        folders: Vec::new(),
        ahead: Vec::new(),
        links: 0,
    };
    walk.push_path(name);
    while let Some(component) = walk.ahead.pop() {
        match component.as_slice() {
            b"" | b"." => {}
            b".." => {
                walk.folders.pop().ok_or(Errno::XDEV)?;
            }
            component if walk.is_last() => match walk.step(component, flags)? {
                Some(file) => return Ok(file),
                None => continue,
            },
            component => {
                if let Some(folder) = walk.step(component, folder_flags())? {
                    walk.folders.push(folder);
                }
            }
        }
    }
    // The path ended with `.` or `..`: it names the folder that we stand in.
    openat(walk.here(), ".", flags, Mode::empty())
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The folders entered below the root, the innermost last.
    folders: Vec<OwnedFd>,
    /// The components still to walk, the next one last.
    ahead: Vec<Vec<u8>>,
    /// Symlinks followed so far.
    links: u32,
}

impl Walk<'_> {
    /// Opens one component below the folder we stand in; none if it was a symlink, whose path is ahead of us then.
    fn step(&mut self, component: &[u8], flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
        let opened = openat(
            self.here(),
            component,
            flags | OFlags::NOFOLLOW,
            Mode::empty(),
        );
        let error = match opened {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => error,
        };
        // How a system says "this is a symlink" differs, also by the flags; so it is asked.
        match readlinkat(self.here(), component, Vec::new()) {
            Ok(target) => self.follow(target.to_bytes()).map(|()| None),
            Err(_) => Err(error),
        }
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        if target.starts_with(b"/") {
            return Err(Errno::XDEV);
        }
        self.push_path(target);
        Ok(())
    }

    /// Puts the components of `path` ahead of those that are ahead already.
    fn push_path(&mut self, path: &[u8]) {
        let components = path.split(|&byte| byte == b'/').rev();
        self.ahead.extend(components.map(<[u8]>::to_vec));
    }

    /// Does nothing but the end of the path follow?
    fn is_last(&self) -> bool {
        self.ahead.is_empty()
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or(self.root, AsFd::as_fd)
    }
}

/// As many as Linux follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;
