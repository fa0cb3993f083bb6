//! From a name to what is served under it: memory first, then the disk.

use bytes::Bytes;
use dream_http::Coding;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Files;
use super::candidate::Candidate;
use super::describe::Description;
use super::digest;
use super::identity::{Identity, Kind};
use super::mime::content_type;
use super::open::OpenFile;
use super::read::{self, Loaded};
use super::root::{Opened, Root, blocking};
use super::store::{Store, StoredFile};
use super::versions::KnownVersions;
use crate::exchange::{Body, FileBody, PartsBody, SharedFile};

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

    pub(super) fn identity(&self) -> &Identity {
        match self {
            Content::Memory(file) => &file.identity,
            Content::Disk(open) => &open.identity,
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
            Content::Disk(open) => Body::File(FileBody::new(Rc::clone(&open.shared), part)),
        }
    }

    /// A body of texts, each with the part of the file that follows it.
    pub(super) fn pieces(&self, pieces: Vec<(Bytes, Range<u64>)>) -> Body {
        match self {
            // No more than the file, which is small, and a text for each part.
            Content::Memory(file) => {
                let mut bytes = Vec::new();
                for (text, part) in pieces {
                    bytes.extend_from_slice(&text);
                    bytes.extend_from_slice(&file.bytes[part.start as usize..part.end as usize]);
                }
                bytes.into()
            }
            Content::Disk(open) => {
                Body::Parts(Box::new(PartsBody::new(Rc::clone(&open.shared), pieces)))
            }
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
        if self.is_single {
            return self.find_single(store, key, now).await;
        }
        let root = self.open_root(store, now).await?;
        let name = &key[KEY_PREFIX..];
        let opened = if name.is_empty() || name.ends_with(b"/") {
            self.open_index(&root, name).await?
        } else {
            let opened = root.open_below(name).await.map_err(missing)?;
            Named::plain(opened, name.to_vec())
        };
        match opened.opened.kind {
            Kind::File => {
                let content = self.load(store, key, opened, root.opened).await?;
                Ok(Found::Content(content))
            }
            Kind::Folder => Ok(Found::Folder),
            Kind::Other => Err(Missing::File),
        }
    }

    /// Finds the first of the candidates that is there. A folder is there if it has an index. Without a key no file can have the
    /// name that was asked for.
    pub(super) async fn find_first(
        &self,
        store: &Store,
        key: Option<&[u8]>,
        now: Instant,
    ) -> Result<(Found, &Candidate), Missing> {
        let asked = key.map(|key| &key[KEY_PREFIX..]);
        for candidate in &self.candidates {
            let is_fixed = matches!(candidate, Candidate::Fixed(_));
            let mut tried = self.id().to_le_bytes().to_vec();
            if (asked.is_none() && !is_fixed)
                || !candidate.write(asked.unwrap_or_default(), &mut tried)
            {
                continue;
            }
            let found = match self.find(store, &tried, now).await {
                Ok(Found::Folder) if is_fixed => Err(Missing::File),
                // It is listed if it has no index.
                Ok(Found::Folder) if self.browse => Ok(Found::Folder),
                Ok(Found::Folder) => {
                    tried.push(b'/');
                    self.find(store, &tried, now).await.map(|_| Found::Folder)
                }
                found => found,
            };
            match found {
                Err(Missing::File) => {}
                found => return found.map(|found| (found, candidate)),
            }
        }
        Err(Missing::File)
    }

    /// The file that the root is. Links to it are followed wherever they lead, as for a folder.
    async fn find_single(&self, store: &Store, key: &[u8], now: Instant) -> Result<Found, Missing> {
        let opened = Opened::at(&self.root).await.map_err(missing)?;
        if opened.kind != Kind::File {
            return Err(Missing::File);
        }
        let name = self.root.file_name().unwrap_or_default();
        let name = name.as_bytes().to_vec();
        let named = Named::plain(opened, name);
        let content = self.load(store, key, named, now).await?;
        Ok(Found::Content(content))
    }

    pub(super) async fn open_root(
        &self,
        store: &Store,
        now: Instant,
    ) -> Result<Arc<Root>, Missing> {
        if let Some(root) = store.root(self.id(), now) {
            return Ok(root);
        }
        let opened = Root::open(&self.root, self.way, now).await;
        let root = opened.map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Missing::Root,
            _ => Missing::Failed(error),
        })?;
        store.put_root(self.id(), &root);
        if let Some(uploads) = &self.uploads {
            uploads.tidy(&root);
        }
        Ok(root)
    }

    /// The first of the index files that is in `folder`.
    async fn open_index(&self, root: &Arc<Root>, folder: &[u8]) -> Result<Named, Missing> {
        for index in &self.index {
            let name = [folder, index.as_bytes()].concat();
            match root.open_below(&name).await.map_err(missing) {
                Ok(opened) if opened.kind == Kind::File => return Ok(Named::plain(opened, name)),
                Ok(_) | Err(Missing::File) => {}
                Err(failed) => return Err(failed),
            }
        }
        Err(Missing::File)
    }

    /// Takes a small file into the store, unless it is there and unchanged, and keeps a large one open; `checked` is when its root was
    /// looked up.
    pub(super) async fn load(
        &self,
        store: &Store,
        key: &[u8],
        named: Named,
        checked: Instant,
    ) -> Result<Content, Missing> {
        let Named {
            opened,
            name,
            coding,
        } = named;
        let Opened { file, identity, .. } = opened;
        if store.keeps(identity.size)
            && let Some(file) = store.confirm(key, &identity, checked)
        {
            return Ok(Content::Memory(file));
        }
        let wall = SystemTime::now();
        let loaded = read::load(file, identity, |size| store.keeps(size)).await;
        let describe = |identity: &_| self.describe(&name, coding, identity, wall);
        Ok(match loaded.map_err(Missing::Failed)? {
            Loaded::Small(identity, bytes) => {
                let (description, bytes) = self.tag_small(describe(&identity), bytes).await?;
                let stored = Rc::new(StoredFile {
                    settled: identity.is_settled(wall),
                    identity,
                    description,
                    bytes: bytes.into(),
                });
                store.put(key, &stored, checked);
                Content::Memory(stored)
            }
            Loaded::Large(identity, ends, file) => {
                let open = Rc::new(OpenFile {
                    description: self.tag_large(describe(&identity), &identity, &file),
                    shared: SharedFile::new(file, identity.state(), ends),
                    identity,
                    checked,
                });
                store.open.put(key, &open);
                Content::Disk(open)
            }
        })
    }

    /// What is said of a file with this name, or of a coding of it.
    fn describe(
        &self,
        name: &[u8],
        coding: Option<Coding>,
        identity: &Identity,
        wall: SystemTime,
    ) -> Description {
        let media_type = match &self.content_type {
            Some(chosen) => chosen.into(),
            None => content_type(name),
        };
        let plain = Description::new(&media_type, identity, wall, self.cache.find(name));
        let varying = match &self.versions {
            Some(versions) if versions.fit(&media_type) => {
                plain.with_versions(KnownVersions::of(name))
            }
            _ => plain,
        };
        match coding {
            Some(coding) => varying.coded(coding),
            None => varying,
        }
    }

    /// A small file with the tag of its content, if that is what tags are made of.
    async fn tag_small(
        &self,
        description: Description,
        bytes: Vec<u8>,
    ) -> Result<(Description, Vec<u8>), Missing> {
        if self.digests.is_none() {
            return Ok((description, bytes));
        }
        let made = blocking(move || Ok((digest::tag(&bytes), bytes))).await;
        let (tag, bytes) = made.map_err(Missing::Failed)?;
        Ok((description.with_tag(Some(&tag)), bytes))
    }

    /// A large one, likewise, as soon as that is known.
    fn tag_large(&self, description: Description, identity: &Identity, file: &File) -> Description {
        match &self.digests {
            Some(digests) => description.with_tag(digests.find(identity, file).as_deref()),
            None => description,
        }
    }
}

/// An open file and the name under which it was found.
pub(super) struct Named {
    pub(super) opened: Opened,
    pub(super) name: Vec<u8>,
    /// What it holds is a coding of what its name says.
    pub(super) coding: Option<Coding>,
}

impl Named {
    fn plain(opened: Opened, name: Vec<u8>) -> Named {
        let coding = None;
        Named {
            opened,
            name,
            coding,
        }
    }
}

/// A file that may not be read looks like one that is not there: whoever asks learns nothing.
pub(super) fn missing(error: io::Error) -> Missing {
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
