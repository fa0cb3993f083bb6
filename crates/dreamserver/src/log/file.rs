//! A log file that is rotated, so that all its files together stay under one size.
//!
//! `access.log` is moved to `access.log.1`, that one to `access.log.2`, and so on. Written here, because the
//! library for it (file-rotate 0.8) throws lines away without a word while it cannot open the file, and takes for
//! granted that nobody else moves the file, which is what SIGUSR1 is for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file and those that it was rotated into.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    max_size: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
    /// A pipe or a device is never rotated.
    regular: bool,
}

impl LogFile {
    /// Opens the file, and creates it and its folder where they are missing; `max_size` is for all files together.
    pub(super) fn open(path: &Path, max_size: u64) -> io::Result<LogFile> {
        let mut log = LogFile {
            path: path.to_path_buf(),
            max_size,
            open: None,
        };
        log.opened()?;
        Ok(log)
    }

    /// Lets go of the file, which someone moved away; the next write opens the name anew.
    pub(super) fn reopen(&mut self) {
        self.open = None;
    }

    /// Adds whole lines. On an error none of them is in the file, as far as the disk lets us.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let size = lines.len() as u64;
        let share = self.share();
        if size > share {
            let text = "more lines at once than a log file may hold";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        // After a take-over two processes write for a while, and the other one may have rotated the file.
        if self.is_full_with(size)? && self.was_rotated() {
            self.reopen();
        }
        if self.is_full_with(size)? {
            self.rotate()?;
        }
        self.opened()?.append(lines)
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::create(&self.path)?,
        };
        Ok(self.open.insert(open))
    }

    /// Is there no room for so many bytes more?
    fn is_full_with(&mut self, size: u64) -> io::Result<bool> {
        let share = self.share();
        let open = self.opened()?;
        if open.regular {
            // What another process wrote counts too.
            open.len = open.file.metadata()?.len();
        }
        Ok(open.regular && open.len + size > share)
    }

    /// Does the name belong to another file than the open one?
    fn was_rotated(&self) -> bool {
        let there = fs::metadata(&self.path);
        let open = self.open.as_ref().map(|open| open.file.metadata());
        match (there, open) {
            (Ok(there), Some(Ok(open))) => (there.dev(), there.ino()) != (open.dev(), open.ino()),
            _ => false,
        }
    }

    /// The bytes of one file.
    fn share(&self) -> u64 {
        self.max_size / FILES
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..FILES - 1).rev() {
            rename_if_there(&self.rotated(number), &self.rotated(number + 1))?;
        }
        rename_if_there(&self.path, &self.rotated(1))?;
        self.open = None;
        self.prune()
    }

    /// Removes the oldest files that are too much: after `max_size` was lowered they can be larger than a share.
    fn prune(&self) -> io::Result<()> {
        let mut room = self.max_size - self.share();
        for number in 1..FILES {
            let path = self.rotated(number);
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            match room.checked_sub(metadata.len()) {
                Some(rest) => room = rest,
                None => fs::remove_file(&path)?,
            }
        }
        Ok(())
    }

    fn rotated(&self, number: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Open {
    fn create(path: &Path) -> io::Result<Open> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let metadata = file.metadata()?;
        Ok(Open {
            file,
            len: metadata.len(),
            regular: metadata.is_file(),
        })
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            if self.regular {
                // A full disk may have taken half a line; the first error is the one to tell.
                let _ = self.file.set_len(self.len);
            }
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The current file and nine before it: rotating throws a tenth of the history away, and the numbers keep one digit.
const FILES: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn total(folder: &Path) -> u64 {
        let files = fs::read_dir(folder).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }

    #[test]
    fn all_files_together_stay_under_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/access.log");
        let mut log = LogFile::open(&path, 1000).unwrap();
        for number in 0..200 {
            log.write(format!("line {number:04}\n").as_bytes()).unwrap();
            assert!(total(path.parent().unwrap()) <= 1000);
        }
        let oldest = fs::read_to_string(folder.path().join("logs/access.log.9")).unwrap();
        assert!(oldest.starts_with("line 0100\n"), "{oldest}");
        assert!(fs::read_to_string(&path).unwrap().ends_with("line 0199\n"));
        assert!(log.write(&[b'x'; 101]).is_err());
    }

    #[test]
    fn it_goes_on_behind_an_earlier_run_and_prunes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        fs::write(&path, [b'x'; 3000]).unwrap();
        fs::write(folder.path().join("access.log.1"), [b'x'; 800]).unwrap();
        let mut log = LogFile::open(&path, 1000).unwrap();
        log.write(b"new\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
        assert_eq!(total(folder.path()), 804);
    }

    #[test]
    fn two_processes_may_write_and_rotate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.log");
        let mut old = LogFile::open(&path, 1000).unwrap();
        let mut new = LogFile::open(&path, 1000).unwrap();
        for number in 0..60 {
            let line = format!("line {number:04}\n");
            // The old one writes less and less.
            let log = if number % 7 == 0 { &mut old } else { &mut new };
            log.write(line.as_bytes()).unwrap();
            assert!(total(folder.path()) <= 1000);
        }
        let files = fs::read_dir(folder.path()).unwrap();
        let text: String = files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 60, "none is lost");
    }

    #[test]
    fn only_the_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        LogFile::open(&path, 1000).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn reopening_follows_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (
            folder.path().join("access.log"),
            folder.path().join("moved"),
        );
        let mut log = LogFile::open(&path, 1000).unwrap();
        log.write(b"one\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        log.write(b"two\n").unwrap();
        log.reopen();
        log.write(b"three\n").unwrap();
        assert_eq!(fs::read(&moved).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::read(&path).unwrap(), b"three\n");
    }

    #[test]
    fn a_device_is_never_rotated() {
        let mut log = LogFile::open(Path::new("/dev/null"), 1000).unwrap();
        for _ in 0..50 {
            log.write(&[b'x'; 90]).unwrap();
        }
    }
}
