//! Files that are replaced whole: whoever reads one sees the old one or the new one, whenever the power goes.
//!
//! One process at a time writes a file; who that is, its folder's lock says.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::owned;

/// Puts a file in the place of the one that is there, if any. It has these rights from its first byte on, and is on the disk when
/// this returns. It belongs to whom its folder belongs.
///
/// # Errors
/// What the system says; the file is then as it was.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let fresh = unfinished(path);
    write(&fresh, content, mode)?;
    fs::rename(&fresh, path)?;
    sync_folder(owned::folder_of(path))
}

/// Removes a file; that it is gone already is well.
///
/// # Errors
/// What the system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes from a folder what a crash has left half written.
///
/// # Errors
/// What the system says.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b".") && name.ends_with(UNFINISHED.as_bytes()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Has the disk keep which files a folder has.
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What a file is called until it is whole: short, as names of files may be as long as they can be.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    path.with_file_name(format!(".{:08x}{UNFINISHED}", crc32fast::hash(name)))
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // One that a crash has left may have other rights.
    remove(path)?;
    let folder = File::open(owned::folder_of(path))?;
    let mut file = owned::create_file(&folder, path.file_name().unwrap_or_default(), mode)?;
    file.write_all(content)?;
    file.sync_all()
}

const UNFINISHED: &str = ".new";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_with_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        // As long as a name can be.
        let path = folder.path().join("n".repeat(255));
        fs::write(&path, "before").unwrap();
        // What a crash has left, for everybody to read.
        fs::write(unfinished(&path), "half").unwrap();
        replace(&path, b"after", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fails_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"x", 0o600).is_err());
        assert!(path.is_dir());
        assert!(replace(&folder.path().join("none/a"), b"x", 0o600).is_err());
    }

    #[test]
    fn what_a_crash_left_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.new");
        fs::write(&path, "kept").unwrap();
        fs::write(unfinished(&path), "half").unwrap();
        sweep(folder.path()).unwrap();
        assert!(path.exists() && !unfinished(&path).exists());
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
