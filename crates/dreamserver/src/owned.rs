//! What is made in a folder belongs to whom the folder belongs.
//!
//! For root that is not so by itself, and root may run a server on the state of another user's, or leave a certificate there:
//! that user's server is to go on with all of it. The folder is held open meanwhile, and no link is followed from it, so that
//! its owner cannot have root make something elsewhere, or give it away there.

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

/// Creates a file in an open folder, and opens it for writing. It has these rights from its first byte on.
///
/// # Errors
/// There is such a file already, or what the system says.
pub fn create_file(folder: &File, name: impl AsRef<OsStr>, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode as _);
    let file = File::from(openat(folder, name.as_ref(), flags, mode)?);
    give(&file, folder)?;
    Ok(file)
}

/// Makes sure that there is a folder, and those above it. One that is new is for its owner only.
///
/// # Errors
/// What the system says.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    create_folder(above)?;
    let above = File::open(above)?;
    let name = path.file_name().unwrap_or_default();
    match mkdirat(&above, name, Mode::RWXU) {
        // Somebody was faster, or it is not a folder, which whoever uses it will see.
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&above, name, flags, Mode::empty())?;
    give(&File::from(made), &above)
}

/// The folder that `path` is in; for a name alone, where we are.
pub fn folder_of(path: &Path) -> &Path {
    let above = path.parent().unwrap_or(Path::new("/"));
    match above.as_os_str().is_empty() {
        true => Path::new("."),
        false => above,
    }
}

fn give(made: &File, folder: &File) -> io::Result<()> {
    let Some((user, group)) = other_owner(&folder.metadata()?) else {
        return Ok(());
    };
    match fchown(made, Some(user), Some(group)) {
        // A root without that right, as there is in containers, keeps what it made.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

/// The user and the group to whom things are given here: only root can.
fn other_owner(folder: &Metadata) -> Option<(u32, u32)> {
    let is_other = geteuid().is_root() && folder.uid() != geteuid().as_raw();
    is_other.then(|| (folder.uid(), folder.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    const STRANGER: u32 = 54_321;

    /// Who owns it, and with which rights.
    fn of(path: &Path) -> (u32, u32) {
        let metadata = fs::symlink_metadata(path).unwrap();
        (metadata.uid(), metadata.permissions().mode() & 0o777)
    }

    #[test]
    fn what_root_makes_in_anothers_folder_is_the_others() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        // Who is not root can only make something in a folder of their own.
        let owner = match geteuid().is_root() {
            true => STRANGER,
            false => geteuid().as_raw(),
        };
        chown(folder, Some(owner), None).unwrap();
        create_folder(&folder.join("a/b")).unwrap();
        create_folder(&folder.join("a/b")).unwrap();
        let open = File::open(folder.join("a/b")).unwrap();
        create_file(&open, "file", 0o640).unwrap();
        assert_eq!(of(&folder.join("a")), (owner, 0o700));
        assert_eq!(of(&folder.join("a/b")), (owner, 0o700));
        assert_eq!(of(&folder.join("a/b/file")), (owner, 0o640));
        let again = create_file(&open, "file", 0o640).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn nothing_is_made_where_a_link_leads() {
        let (temporary, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let before = of(elsewhere.path());
        symlink(elsewhere.path().join("new"), temporary.path().join("link")).unwrap();
        let open = File::open(temporary.path()).unwrap();
        assert!(create_file(&open, "link", 0o600).is_err());
        create_folder(&temporary.path().join("link")).unwrap();
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(of(elsewhere.path()), before);
    }

    #[test]
    fn a_name_alone_is_where_we_are() {
        assert_eq!(folder_of(Path::new("name")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/name")), Path::new("a"));
        assert_eq!(folder_of(Path::new("/")), Path::new("/"));
    }
}
