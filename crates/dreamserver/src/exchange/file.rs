//! Bodies that come from files: one part or several, sent without passing through our memory.
//!
//! A file may be written to while it is sent, and nobody tells us. What was opened is compared with what is there before each
//! piece but the first: an answer of two halves that never belonged together breaks off instead of looking whole.

use bytes::Bytes;
use std::cell::Cell;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::rc::Rc;
use std::vec;

/// A file that several exchanges may send from, as it is read by position.
pub struct SharedFile {
    /// The file.
    pub file: File,
    /// Up to this byte it was in memory when it was sent last. It was opened a moment ago, so it still is.
    pub in_memory: Cell<u64>,
    state: FileState,
    ends: Ends,
}

/// What a file was when it was opened. Not its time of change (`ctime`): a file that is replaced by another one gets a new one,
/// and what was opened is still all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Bytes.
    pub size: u64,
    /// When it was last written to: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

impl FileState {
    /// What the file system tells.
    pub fn of(metadata: &Metadata) -> FileState {
        FileState {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The first and the last bytes of a file. Where they stay as they are and the file grows, it was appended to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends(Box<[u8]>);

impl Ends {
    /// Reads them of a file of `size` bytes; may wait for the disk.
    ///
    /// # Errors
    /// What the disk says, or that the file is shorter.
    pub fn read(file: &File, size: u64) -> io::Result<Ends> {
        Ends::read_by(size, |bytes, at| file.read_exact_at(bytes, at))
    }

    /// Reads them of a file of `size` bytes by `read`, which fills a piece from a place.
    ///
    /// # Errors
    /// What `read` says.
    pub fn read_by(
        size: u64,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<Ends> {
        let length = size.min(END) as usize;
        let mut ends = vec![0; 2 * length].into_boxed_slice();
        let (first, last) = ends.split_at_mut(length);
        read(first, 0)?;
        read(last, size - length as u64)?;
        Ok(Ends(ends))
    }
}

/// As long as the places at which formats say how long they are, or how often they were written to (SQLite: the first 100 bytes).
const END: u64 = 128;

/// Why a file can no longer be sent as it was announced.
#[derive(Debug)]
pub enum FileBroke {
    /// Bytes that were announced are gone.
    Shorter,
    /// Bytes that are there may be others.
    Rewritten,
    /// The system cannot read it.
    Unreadable(io::Error),
}

impl fmt::Display for FileBroke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileBroke::Shorter => f.write_str("the file became shorter while it was sent"),
            FileBroke::Rewritten => f.write_str("the file was written to while it was sent"),
            FileBroke::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
        }
    }
}

impl std::error::Error for FileBroke {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileBroke::Shorter | FileBroke::Rewritten => None,
            FileBroke::Unreadable(error) => Some(error),
        }
    }
}

impl SharedFile {
    /// A file that was opened as `state`. Nobody knows yet whether it is in memory.
    pub fn new(file: File, state: FileState, ends: Ends) -> Rc<SharedFile> {
        Rc::new(SharedFile {
            file,
            in_memory: Cell::new(0),
            state,
            ends,
        })
    }

    /// Is what was opened still there? A file that others append to is: what was announced of it is sent.
    ///
    /// # Errors
    /// [`FileBroke`] if bytes of it are gone, or may be others.
    pub fn check(&self) -> Result<(), FileBroke> {
        let metadata = self.file.metadata().map_err(FileBroke::Unreadable)?;
        let state = FileState::of(&metadata);
        if state == self.state {
            return Ok(());
        }
        if state.size < self.state.size {
            return Err(FileBroke::Shorter);
        }
        let ends = Ends::read(&self.file, self.state.size).map_err(FileBroke::Unreadable)?;
        match state.size > self.state.size && ends == self.ends {
            true => Ok(()),
            false => Err(FileBroke::Rewritten),
        }
    }
}

/// A part of an open file.
pub struct FileBody {
    /// The file.
    pub shared: Rc<SharedFile>,
    /// The first byte to send.
    pub offset: u64,
    /// How many bytes to send.
    pub len: u64,
    /// Some of it may have been sent: the file is checked before there is more.
    begun: bool,
}

impl FileBody {
    /// These bytes of a file that was looked at just now.
    pub fn new(shared: Rc<SharedFile>, part: Range<u64>) -> FileBody {
        FileBody {
            shared,
            offset: part.start,
            len: part.end - part.start,
            begun: false,
        }
    }

    /// To be called before each piece is sent. The first follows at once on the look that announced the file.
    ///
    /// # Errors
    /// [`FileBroke`]
    pub fn check(&mut self) -> Result<(), FileBroke> {
        match std::mem::replace(&mut self.begun, true) {
            false => Ok(()),
            true => self.shared.check(),
        }
    }
}

/// Texts, and a part of a file behind each of them.
pub struct PartsBody {
    /// What stands before the part that is sent now.
    pub text: Bytes,
    /// That part.
    pub file: FileBody,
    rest: vec::IntoIter<(Bytes, Range<u64>)>,
}

impl PartsBody {
    /// The pieces in their order.
    pub fn new(shared: Rc<SharedFile>, pieces: Vec<(Bytes, Range<u64>)>) -> PartsBody {
        PartsBody {
            text: Bytes::new(),
            file: FileBody::new(shared, 0..0),
            rest: pieces.into_iter(),
        }
    }

    /// A single part, without a text.
    pub fn one(file: FileBody) -> PartsBody {
        PartsBody {
            text: Bytes::new(),
            file,
            rest: Vec::new().into_iter(),
        }
    }

    /// Goes on to the next piece, if there is one.
    pub fn advance(&mut self) -> bool {
        let Some((text, part)) = self.rest.next() else {
            return false;
        };
        self.text = text;
        self.file.offset = part.start;
        self.file.len = part.end - part.start;
        true
    }

    /// Bytes that are still to be sent.
    pub fn len(&self) -> u64 {
        let rest = self.rest.as_slice().iter();
        let rest = rest.map(|(text, part)| text.len() as u64 + (part.end - part.start));
        self.text.len() as u64 + self.file.len + rest.sum::<u64>()
    }

    /// Is there nothing left to send?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads what needs no disk, from the byte `at` on; tells how much that was. An error is for [`read_waiting`] to meet again.
#[cfg(target_os = "linux")]
pub fn read_cached(file: &File, bytes: &mut [u8], at: u64) -> usize {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut have = 0;
    while have < bytes.len() {
        let mut rest = [io::IoSliceMut::new(&mut bytes[have..])];
        match preadv2(file, &mut rest, at + have as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(_) => break,
            Ok(count) => have += count,
        }
    }
    have
}

/// Other systems cannot be asked for this.
#[cfg(not(target_os = "linux"))]
pub fn read_cached(_file: &File, _bytes: &mut [u8], _at: u64) -> usize {
    0
}

/// Reads from the byte `at` on, `have` bytes of which are there already; tells how much is there in the end.
///
/// # Errors
/// What the disk says.
pub fn read_waiting(file: &File, bytes: &mut [u8], at: u64, mut have: usize) -> io::Result<usize> {
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], at + have as u64) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dream_testkit::Folder;
    use std::fs;
    use std::io::{Seek, SeekFrom, Write};

    fn opened(folder: &Folder, text: &str) -> Rc<SharedFile> {
        let file = File::open(folder.write("a.bin", text)).unwrap();
        age(folder);
        let state = FileState::of(&file.metadata().unwrap());
        let ends = Ends::read(&file, state.size).unwrap();
        SharedFile::new(file, state, ends)
    }

    /// So that the next change shows, however coarse the clock of the file system is.
    fn age(folder: &Folder) {
        let file = File::options().write(true).open(folder.join("a.bin"));
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        file.unwrap().set_modified(old).unwrap();
    }

    fn writing(folder: &Folder) -> File {
        let mut options = File::options();
        options.write(true).open(folder.join("a.bin")).unwrap()
    }

    #[test]
    fn what_nobody_touches_stays() {
        let folder = Folder::new("file");
        let shared = opened(&folder, "0123456789");
        assert!(shared.check().is_ok());
        let new = folder.write("b.bin", "abcdefghij");
        fs::rename(new, folder.join("a.bin")).unwrap();
        assert!(shared.check().is_ok(), "replaced");
        fs::remove_file(folder.join("a.bin")).unwrap();
        assert!(shared.check().is_ok(), "removed");
    }

    #[test]
    fn what_grows_stays_if_it_was_appended_to() {
        let folder = Folder::new("file");
        let shared = opened(&folder, "0123456789");
        writing(&folder).write_all_at(b"more", 10).unwrap();
        assert!(shared.check().is_ok());
        folder.write("a.bin", "another and a longer one");
        assert!(matches!(shared.check(), Err(FileBroke::Rewritten)));
    }

    #[test]
    fn what_shrinks_or_is_rewritten_is_not_what_was_opened() {
        let folder = Folder::new("file");
        let shared = opened(&folder, "0123456789");
        let mut file = writing(&folder);
        file.seek(SeekFrom::Start(5)).unwrap();
        file.write_all(b"x").unwrap();
        assert!(matches!(shared.check(), Err(FileBroke::Rewritten)));
        file.set_len(9).unwrap();
        assert!(matches!(shared.check(), Err(FileBroke::Shorter)));
    }

    #[test]
    fn parts_know_what_is_left() {
        let folder = Folder::new("file");
        let shared = opened(&folder, "0123456789");
        let text = Bytes::from_static(b"text");
        let pieces = vec![(text.clone(), 7..9), (text.clone(), 0..3), (text, 0..0)];
        let mut parts = PartsBody::new(shared, pieces);
        assert_eq!(parts.len(), 17);
        assert!(parts.advance());
        assert_eq!((parts.file.offset, parts.file.len, parts.len()), (7, 2, 17));
        parts.text.clear();
        parts.file.len = 0;
        assert!(parts.advance());
        assert_eq!((parts.file.offset, parts.file.len, parts.len()), (0, 3, 11));
        parts.text.clear();
        parts.file.len = 0;
        assert!(parts.advance());
        parts.text.clear();
        assert!(parts.is_empty() && !parts.advance());
    }
}
