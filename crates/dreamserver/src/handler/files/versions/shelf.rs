//! Compressed versions on the disk, so that a restart need not make them again.
//!
//! One file each, written beside and renamed. It says what it is of, and has a digest: what is damaged, or of something else, is
//! as good as not there.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use dream_http::Coding;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use crate::{owned, whole_file};

/// The files, bounded in bytes.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    max_bytes: u64,
    /// None until the folder was looked at.
    bytes: Mutex<Option<u64>>,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Shelf {
        Shelf {
            folder,
            max_bytes,
            bytes: Mutex::default(),
        }
    }

    /// The version of what is called `label`.
    pub(super) fn find(&self, label: &str, coding: Coding) -> Option<Bytes> {
        let path = self.path(label, coding);
        let content = Bytes::from(fs::read(&path).ok()?);
        let found = unsealed(&content, label, coding);
        if found.is_none() {
            let _ = whole_file::remove(&path);
        }
        found
    }

    /// Keeps a version, and drops the oldest where there are too many.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn put(&self, label: &str, coding: Coding, coded: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let size = coded.len() as u64 + SEAL as u64;
        if size > self.max_bytes {
            return Ok(());
        }
        let held = match *bytes {
            Some(held) => held,
            None => self.begin()?,
        };
        let path = self.path(label, coding);
        let before = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        whole_file::replace(&path, &sealed(coded, label, coding), 0o600)?;
        let mut held = held.saturating_sub(before) + size;
        if held > self.max_bytes {
            held = self.sweep()?;
        }
        *bytes = Some(held);
        Ok(())
    }

    /// Makes the folder, if it is not there, and tells how much is in it.
    fn begin(&self) -> io::Result<u64> {
        owned::create_folder(&self.folder)?;
        whole_file::sweep(&self.folder)?;
        self.sweep()
    }

    /// Removes the oldest until a quarter is free, if there are too many; tells how much is left.
    fn sweep(&self) -> io::Result<u64> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((modified, metadata.len(), entry.path()));
        }
        files.sort();
        let mut held: u64 = files.iter().map(|(_, size, _)| size).sum();
        if held <= self.max_bytes {
            return Ok(held);
        }
        for (_, size, path) in files {
            if held <= self.max_bytes / 4 * 3 {
                break;
            }
            whole_file::remove(&path)?;
            held -= size;
        }
        Ok(held)
    }

    fn path(&self, label: &str, coding: Coding) -> PathBuf {
        let name = digest(&SHA256, label.as_bytes());
        let name: String = name.as_ref()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Path::new(&self.folder).join(format!("{name}.{}", coding.extension()))
    }
}

/// Bytes of the digest in front.
const SEAL: usize = 32;

fn sealed(coded: &[u8], label: &str, coding: Coding) -> Vec<u8> {
    [seal(coded, label, coding).as_ref(), coded].concat()
}

fn unsealed(content: &Bytes, label: &str, coding: Coding) -> Option<Bytes> {
    let (found, coded) = content.split_at_checked(SEAL)?;
    (seal(coded, label, coding).as_ref() == found).then(|| content.slice(SEAL..))
}

/// The digest of a version and of what it is of.
fn seal(coded: &[u8], label: &str, coding: Coding) -> impl AsRef<[u8]> + use<> {
    let mut context = aws_lc_rs::digest::Context::new(&SHA256);
    context.update(FORMAT);
    context.update(coding.as_str().as_bytes());
    context.update(&[0]);
    context.update(label.as_bytes());
    context.update(&[0]);
    context.update(coded);
    context.finish()
}

/// Another number where what is kept means something else, such as another level.
const FORMAT: &[u8] = b"dreamserver compressed 1\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_and_what_is_damaged_is_not() {
        let folder = dream_testkit::Folder::new("shelf");
        let shelf = Shelf::new(folder.join("compressed"), 10_000);
        assert_eq!(shelf.find("a", Coding::Gzip), None);
        shelf.put("a", Coding::Gzip, b"small").unwrap();
        let again = Shelf::new(folder.join("compressed"), 10_000);
        assert_eq!(
            again.find("a", Coding::Gzip).as_deref(),
            Some(&b"small"[..])
        );
        assert_eq!(again.find("a", Coding::Zstd), None);
        assert_eq!(again.find("b", Coding::Gzip), None);
        let path = shelf.path("a", Coding::Gzip);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(shelf.find("a", Coding::Gzip), None, "byte {at}");
            assert!(!path.exists());
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(shelf.find("a", Coding::Gzip), None, "cut at {at}");
        }
        // One that lies under another's name.
        fs::write(shelf.path("b", Coding::Gzip), &whole).unwrap();
        assert_eq!(shelf.find("b", Coding::Gzip), None);
    }

    #[test]
    fn the_folder_is_bounded() {
        let folder = dream_testkit::Folder::new("shelf");
        let shelf = Shelf::new(folder.join("compressed"), 10_000);
        for number in 0..100 {
            let label = number.to_string();
            shelf.put(&label, Coding::Brotli, &[7; 900]).unwrap();
            let held: u64 = fs::read_dir(folder.join("compressed"))
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .sum();
            assert!(held <= 10_000);
        }
        shelf.put("huge", Coding::Brotli, &[7; 20_000]).unwrap();
        assert_eq!(shelf.find("huge", Coding::Brotli), None);
    }
}
