//! Compressed versions of a file: neighbours that somebody made (`app.js.br`), and those that are made here, once.
//!
//! A neighbour is a file like any other, with a tag of its own. What is made here is made beside the cores, at the highest
//! level; until it is there, the file goes out as it is, and the middleware compresses it on its way.

mod kept;
mod shelf;

use dream_http::{Choice, Coding, Name};
use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::Files;
use super::find::{Content, Named, remembered};
use super::identity::Kind;
use super::root::{Opened, Root};
use super::store::{Store, StoredFile, is_fresh};
use crate::coding::{CompressOptions, accepted};
use crate::exchange::Request;
use crate::spare;
pub use kept::Kept;

/// Which compressed versions a folder's files may have.
#[derive(Clone, Debug)]
pub struct Versions {
    /// What is compressed, and how.
    pub options: CompressOptions,
    /// Those that were made here.
    pub kept: Arc<Kept>,
}

/// What is known of the compressed versions of one file.
#[derive(Clone, Debug)]
pub(super) struct KnownVersions {
    /// The name of the file below the root.
    name: Box<[u8]>,
    neighbours: Cell<Option<Neighbours>>,
}

/// Which neighbours a file has, by their codings, and when the root through which that was seen was looked up.
#[derive(Clone, Copy, Debug)]
struct Neighbours {
    checked: Instant,
    there: [bool; Coding::ALL.len()],
}

/// Where a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Neighbour,
    Here,
}

/// A name in the store, in memory that is used again.
struct Key(Vec<u8>);

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        spare::keep_buffer(std::mem::take(&mut self.0));
    }
}

impl KnownVersions {
    /// Nothing yet, of the file with this name.
    pub(super) fn of(name: &[u8]) -> KnownVersions {
        KnownVersions {
            name: name.into(),
            neighbours: Cell::default(),
        }
    }

    fn fresh(&self, now: Instant) -> Option<Neighbours> {
        let known = self.neighbours.get();
        known.filter(|known| is_fresh(known.checked, now))
    }
}

impl Files {
    /// The version of the file that the client wants most, if memory knows all about it; else the disk is to be asked.
    pub(super) fn ready_version(
        &self,
        store: &Store,
        request: &Request,
        content: Content,
        now: Instant,
    ) -> Option<Content> {
        let Some((versions, known)) = self.may_vary(request, &content) else {
            return Some(content);
        };
        match versions.choose(request, known.fresh(now)?, content.size()) {
            Some((coding, Origin::Neighbour)) => remembered(
                store,
                &self.version_key(known, coding, Origin::Neighbour),
                now,
            ),
            Some((coding, Origin::Here)) => {
                let made = self.made(versions, store, &content, coding, now);
                made.or(Some(content))
            }
            None => Some(content),
        }
    }

    /// The same, where the disk may be asked.
    pub(super) async fn version(
        &self,
        store: &Store,
        request: &Request,
        content: Content,
        now: Instant,
    ) -> Content {
        let Some((versions, known)) = self.may_vary(request, &content) else {
            return content;
        };
        let neighbours = match known.fresh(now) {
            Some(neighbours) => neighbours,
            None => {
                self.look_around(versions, store, known, &content, now)
                    .await
            }
        };
        let version = match versions.choose(request, neighbours, content.size()) {
            Some((coding, Origin::Neighbour)) => {
                self.neighbour(store, known, &content, coding, now).await
            }
            Some((coding, Origin::Here)) => self.made(versions, store, &content, coding, now),
            None => None,
        };
        version.unwrap_or(content)
    }

    /// Can the answer be anything but the file as it is? Parts are of the file as it is, so that they fit together.
    fn may_vary<'a>(
        &'a self,
        request: &Request,
        content: &'a Content,
    ) -> Option<(&'a Versions, &'a KnownVersions)> {
        let fields = &request.head.fields;
        let versions = self.versions.as_ref()?;
        let known = content.description().versions()?;
        let asks = fields.has(Name::AcceptEncoding) && !fields.has(Name::Range);
        asks.then_some((versions, known))
    }

    /// Looks which neighbours there are, once for as long as the file itself is believed.
    async fn look_around(
        &self,
        versions: &Versions,
        store: &Store,
        known: &KnownVersions,
        content: &Content,
        now: Instant,
    ) -> Neighbours {
        let mut neighbours = Neighbours {
            checked: now,
            there: [false; Coding::ALL.len()],
        };
        if let Ok(root) = self.open_root(store, now).await {
            neighbours.checked = root.opened;
            for &coding in &versions.options.codings {
                let found = known.open_neighbour(&root, content, coding).await;
                neighbours.there[coding as usize] = found.is_some();
            }
        }
        known.neighbours.set(Some(neighbours));
        neighbours
    }

    /// The neighbour in this coding, which is there.
    async fn neighbour(
        &self,
        store: &Store,
        known: &KnownVersions,
        content: &Content,
        coding: Coding,
        now: Instant,
    ) -> Option<Content> {
        let key = self.version_key(known, coding, Origin::Neighbour);
        if let Some(neighbour) = remembered(store, &key, now) {
            return Some(neighbour);
        }
        let root = self.open_root(store, now).await.ok()?;
        let named = Named {
            opened: known.open_neighbour(&root, content, coding).await?,
            name: known.name.to_vec(),
            coding: Some(coding),
        };
        self.load(store, &key, named, root.opened).await.ok()
    }

    /// The version that was made here; if there is none, it is asked for, and whoever comes later will find it.
    fn made(
        &self,
        versions: &Versions,
        store: &Store,
        content: &Content,
        coding: Coding,
        now: Instant,
    ) -> Option<Content> {
        let (identity, description) = (content.identity(), content.description());
        let key = self.version_key(description.versions()?, coding, Origin::Here);
        if let Some(file) = store.confirm(&key, identity, now) {
            return Some(Content::Memory(file));
        }
        let bytes = versions.kept.find(content, coding)?;
        let file = Rc::new(StoredFile {
            identity: *identity,
            settled: true,
            description: description.kept(coding),
            bytes,
        });
        // One whose tag is not known yet is made again when it is.
        if !description.lacks_tag() {
            store.put(&key, &file, now);
        }
        Some(Content::Memory(file))
    }

    /// A name that no file has, as it holds a NUL.
    fn version_key(&self, known: &KnownVersions, coding: Coding, origin: Origin) -> Key {
        let mark: &[u8] = match origin {
            Origin::Neighbour => b"\0n",
            Origin::Here => b"\0h",
        };
        let handler = self.id().to_le_bytes();
        let mut key = spare::buffer();
        for part in [&handler, &*known.name, mark, coding.extension().as_bytes()] {
            key.extend_from_slice(part);
        }
        Key(key)
    }
}

impl KnownVersions {
    /// Opens a neighbour of a file. One that is older than the file was made of something else.
    async fn open_neighbour(
        &self,
        root: &Arc<Root>,
        content: &Content,
        coding: Coding,
    ) -> Option<Opened> {
        let path = [&*self.name, b".", coding.extension().as_bytes()].concat();
        let opened = root.open_below(&path).await.ok()?;
        let is_its =
            opened.kind == Kind::File && !opened.identity.is_older_than(content.identity());
        is_its.then_some(opened)
    }
}

impl Versions {
    /// May files of this type have versions?
    pub(super) fn fit(&self, media_type: &str) -> bool {
        self.options.fits(media_type.as_bytes())
    }

    /// What the client wants most; of what it wants as much, what is there already.
    fn choose(
        &self,
        request: &Request,
        neighbours: Neighbours,
        size: u64,
    ) -> Option<(Coding, Origin)> {
        let is_there = |coding: &Coding| neighbours.there[*coding as usize];
        let codings = self.options.codings.iter().copied();
        let made = codings.clone().filter(|_| size >= self.options.min_size);
        let offered = codings.filter(is_there).chain(made);
        match accepted(&request.head).choose(offered) {
            Choice::Coded(coding) if is_there(&coding) => Some((coding, Origin::Neighbour)),
            Choice::Coded(coding) => Some((coding, Origin::Here)),
            Choice::Identity | Choice::Nothing => None,
        }
    }
}
