//! From a name to what is served under it: memory first, then the disk.

use rustix::io::Errno;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Files;
use super::describe::Description;
use super::identity::Kind;
use super::open::OpenFile;
use super::read::read;
use super::root::{Opened, Root};
use super::store::{Store, StoredFile};
use crate::exchange::{Body, FileBody, SharedFile};

/// What stands under a name.
pub(super) enum Found {
    /// Something to send.
    Content(Content),
    /// A folder, asked for without its trailing slash.
    Folder,
}

/// Why nothing stands under a name.
#[derive(Debug)]
pub(super) enum Missing {
    /// There is no root folder.
    Root,
    /// There is no such file, or none that may be seen.
    File,
    /// The system failed.
    Failed(io::Error),
}

/// A file ready to be sent.
pub(super) enum Content {
    /// From memory.
    Memory(Rc<StoredFile>),
    /// From the disk.
    Disk(Rc<OpenFile>),
}

impl Content {
    pub(super) fn description(&self) -> &Description {
        match self {
            Content::Memory(file) => &file.description,
            Content::Disk(open) => &open.description,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Content::Memory(file) => file.bytes.len() as u64,
            Content::Disk(open) => open.identity.size,
        }
    }

    /// A body with these bytes, which lie within the file.
    pub(super) fn body(&self, part: Range<u64>) -> Body {
        match self {
            _ if part.is_empty() => Body::Empty,
            Content::Memory(file) => {
                Body::Bytes(file.bytes.slice(part.start as usize..part.end as usize))
            }
            Content::Disk(open) => Body::File(FileBody {
                shared: Rc::clone(&open.shared),
                offset: part.start,
                len: part.end - part.start,
            }),
        }
    }
}

/// A name below one handler's root as the store knows it: the handler's number, then the name.
pub(super) const KEY_PREFIX: usize = size_of::<u64>();

/// What stands under `key`, if it was asked for a moment ago.
pub(super) fn remembered(store: &Store, key: &[u8], now: Instant) -> Option<Content> {
    match store.fresh(key, now) {
        Some(file) => Some(Content::Memory(file)),
        None => store.open.fresh(key, now).map(Content::Disk),
    }
}

impl Files {
    /// Finds what stands under `key`. A name that is empty or ends with a slash stands for the index file of that folder.
    pub(super) async fn find(
        &self,
        store: &Store,
        key: &[u8],
        now: Instant,
    ) -> Result<Found, Missing> {
        if let Some(content) = remembered(store, key, now) {
            return Ok(Found::Content(content));
        }
        let root = self.open_root(store, now).await?;
        let name = &key[KEY_PREFIX..];
        let opened = if name.is_empty() || name.ends_with(b"/") {
            self.open_index(&root, name).await?
        } else {
            let opened = root.open_below(name).await.map_err(missing)?;
            Named {
                opened,
                name: name.to_vec(),
            }
        };
        match opened.opened.kind {
            Kind::File => Ok(Found::Content(load(store, key, opened, root.opened).await?)),
            Kind::Folder => Ok(Found::Folder),
            Kind::Other => Err(Missing::File),
        }
    }

    async fn open_root(&self, store: &Store, now: Instant) -> Result<Arc<Root>, Missing> {
        if let Some(root) = store.root(self.id, now) {
            return Ok(root);
        }
        let opened = Root::open(&self.root, self.way, now).await;
        let root = opened.map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Missing::Root,
            _ => Missing::Failed(error),
        })?;
        store.put_root(self.id, &root);
        Ok(root)
    }

    /// The first of the index files that is in `folder`.
    async fn open_index(&self, root: &Arc<Root>, folder: &[u8]) -> Result<Named, Missing> {
        for index in &self.index {
            let name = [folder, index.as_bytes()].concat();
            match root.open_below(&name).await.map_err(missing) {
                Ok(opened) if opened.kind == Kind::File => return Ok(Named { opened, name }),
                Ok(_) | Err(Missing::File) => {}
                Err(failed) => return Err(failed),
            }
        }
        Err(Missing::File)
    }
}

/// An open file and the name under which it was found.
struct Named {
    opened: Opened,
    name: Vec<u8>,
}

/// Takes a small file into the store, unless it is there and unchanged, and keeps a large one open; `checked` is when its root was
/// looked up.
async fn load(
    store: &Store,
    key: &[u8],
    named: Named,
    checked: Instant,
) -> Result<Content, Missing> {
    let Opened { file, identity, .. } = named.opened;
    if store.keeps(identity.size)
        && let Some(file) = store.confirm(key, &identity, checked)
    {
        return Ok(Content::Memory(file));
    }
    let wall = SystemTime::now();
    let description = Description::new(&named.name, &identity, wall);
    if !store.keeps(identity.size) {
        let open = Rc::new(OpenFile {
            shared: SharedFile::new(file),
            identity,
            description,
            checked,
        });
        store.open.put(key, &open);
        return Ok(Content::Disk(open));
    }
    let size = identity.size as usize;
    let bytes = read(file, size).await.map_err(Missing::Failed)?;
    let stored = Rc::new(StoredFile {
        settled: identity.is_settled(wall) && bytes.len() == size,
        identity,
        description,
        bytes: bytes.into(),
    });
    store.put(key, &stored, checked);
    Ok(Content::Memory(stored))
}

/// A file that may not be read looks like one that is not there: whoever asks learns nothing.
fn missing(error: io::Error) -> Missing {
    match Errno::from_io_error(&error) {
        Some(Errno::ACCESS | Errno::PERM) => {
            tracing::debug!(%error, "a file may not be read");
            Missing::File
        }
        Some(
            // No such name, or one that no file system has.
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ
            // Symlinks that lead out or in circles.
            | Errno::XDEV | Errno::LOOP
            // A socket, or a device without a driver.
            | Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP,
        ) => Missing::File,
        _ => Missing::Failed(error),
    }
}
