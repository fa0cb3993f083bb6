//! Reading a small file whole, and the ends of a large one: from the kernel's memory if they are there, else beside the core.
//!
//! A file that is written to meanwhile is read again: no bytes get the description of others.

use std::fs::File;
use std::io;

use super::identity::Identity;
use super::root::blocking;
use crate::exchange::{Ends, read_cached, read_waiting};

/// What was read of a file, and what the file was then.
pub(super) enum Loaded {
    /// All of it.
    Small(Identity, Vec<u8>),
    /// Its ends, and the file to read the rest from.
    Large(Identity, Ends, File),
}

/// Reads `file`, which was opened as `identity`: whole if `keeps` says so of its size.
///
/// # Errors
/// What the disk says, or that the file does not hold still.
pub(super) async fn load(
    mut file: File,
    mut identity: Identity,
    keeps: impl Fn(u64) -> bool,
) -> io::Result<Loaded> {
    for _ in 0..TRIES {
        if keeps(identity.size) {
            let size = identity.size as usize;
            let bytes;
            (file, bytes) = read(file, size).await?;
            let now = Identity::of(&file.metadata()?);
            if now == identity && bytes.len() == size {
                return Ok(Loaded::Small(identity, bytes));
            }
            identity = now;
        } else {
            let ends;
            (file, ends) = read_ends(file, identity.size).await?;
            if let Some(ends) = ends {
                return Ok(Loaded::Large(identity, ends, file));
            }
            identity = Identity::of(&file.metadata()?);
        }
    }
    Err(io::Error::other("it is written to while it is read"))
}

/// To read takes microseconds: who writes that often is not done.
const TRIES: u32 = 5;

/// Reads the first `size` bytes of `file`, fewer if it has become shorter.
async fn read(file: File, size: usize) -> io::Result<(File, Vec<u8>)> {
    let mut bytes = vec![0; size];
    let have = read_cached(&file, &mut bytes, 0);
    if have == size {
        return Ok((file, bytes));
    }
    blocking(move || {
        let got = read_waiting(&file, &mut bytes, 0, have)?;
        bytes.truncate(got);
        Ok((file, bytes))
    })
    .await
}

/// Reads the ends of `file`; nothing if it has become shorter.
async fn read_ends(file: File, size: u64) -> io::Result<(File, Option<Ends>)> {
    let cached = Ends::read_by(size, |bytes, at| {
        match read_cached(&file, bytes, at) == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    });
    if let Ok(ends) = cached {
        return Ok((file, Some(ends)));
    }
    blocking(move || match Ends::read(&file, size) {
        Ok(ends) => Ok((file, Some(ends))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok((file, None)),
        Err(error) => Err(error),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use dream_testkit::Folder;
    use std::cell::Cell;
    use std::time::{Duration, SystemTime};

    /// Loads a file that `change` writes to as soon as its size was looked at.
    fn load_while(change: impl Fn(&Folder, u32)) -> io::Result<(Identity, String)> {
        let folder = Folder::new("read");
        folder.write("a.txt", "0123456789");
        let mut options = File::options();
        options.read(true).write(true);
        let file = options.open(folder.join("a.txt")).unwrap();
        // So that a change shows, however coarse the clock of the file system is.
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        file.set_modified(old).unwrap();
        let identity = Identity::of(&file.metadata().unwrap());
        let looks = Cell::new(0);
        let loaded = load(file, identity, |_| {
            change(&folder, looks.get());
            looks.set(looks.get() + 1);
            true
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        match runtime.unwrap().block_on(loaded)? {
            Loaded::Small(identity, bytes) => Ok((identity, String::from_utf8(bytes).unwrap())),
            Loaded::Large(..) => panic!("everything is small here"),
        }
    }

    #[test]
    fn what_is_written_to_meanwhile_is_read_again() {
        for text in ["9876543210", "short", "a longer text than before"] {
            let (identity, read) = load_while(|folder, look| {
                if look == 0 {
                    folder.write("a.txt", text);
                }
            })
            .unwrap();
            assert_eq!((read.as_str(), identity.size), (text, text.len() as u64));
        }
    }

    #[test]
    fn what_never_holds_still_is_given_up() {
        let error = load_while(|folder, look| {
            folder.write("a.txt", "x".repeat(look as usize));
        });
        assert!(error.is_err());
    }
}
