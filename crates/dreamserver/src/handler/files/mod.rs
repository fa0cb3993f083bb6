//! Static files: the handler that answers with what lies below a folder.
//!
//! What is asked for a second time comes from the memory of its core ([`Store`]); what is large goes from the disk to the
//! socket without passing through us; and no spelling, symlink or race makes anything outside the folder readable.

mod browse;
mod cache;
mod candidate;
mod conditional;
mod describe;
mod digest;
mod find;
mod identity;
mod mime;
mod multipart;
mod open;
pub mod path;
mod range;
mod read;
mod root;
mod store;
#[cfg(test)]
mod tests;
mod upload;
mod versions;
mod walk;

use dream_http::{Method, Name};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::error::page;
use crate::exchange::put;
use crate::exchange::{Body, Request, Response};
use crate::spare;
pub use cache::{CacheControl, CacheRules, InvalidRule, NamePattern};
pub use candidate::{Candidate, InvalidCandidate};
use conditional::{Verdict, evaluate, single};
use digest::Digests;
pub use digest::TagOf;
use find::{Content, Found, KEY_PREFIX, Missing, remembered};
pub use mime::content_type;
use multipart::Boundary;
use path::{PathError, decode_path, is_hidden};
use range::{Part, parse_range};
use root::Way;
pub use store::Store;
pub use upload::Options as UploadOptions;
use upload::Uploads;
pub use versions::{Kept, Versions};

/// What is served, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; relative to the working directory, and free to be a symlink that is switched to another folder. A path that
    /// leads to a file when the handler is made stands for that file, whatever is asked for.
    pub root: PathBuf,
    /// File names that stand for their folder; the first that is there wins.
    pub index: Vec<String>,
    /// Serve names that begin with a dot too.
    pub hidden: bool,
    /// What stands for a request, the first that is there; without any, just what was asked for.
    pub candidates: Vec<Candidate>,
    /// What caches are told.
    pub cache: CacheRules,
    /// What entity tags are made of.
    pub tag_of: TagOf,
    /// The media type of all files; that of their names if it is none.
    pub content_type: Option<String>,
    /// List folders that have no index.
    pub browse: bool,
    /// What clients may change, if they may change anything; not together with `hidden`.
    pub upload: Option<UploadOptions>,
    /// Which compressed versions the files may have; none if there are not to be any.
    pub versions: Option<Versions>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            root: PathBuf::from("staticfiles"),
            index: vec![String::from("index.html")],
            hidden: false,
            candidates: Vec::new(),
            cache: CacheRules::default(),
            tag_of: TagOf::default(),
            content_type: None,
            browse: false,
            upload: None,
            versions: None,
        }
    }
}

/// The handler for one folder, made once per configuration and shared by all cores.
#[derive(Debug)]
pub struct Files {
    /// Tells this handler's files from those of others in a core's store, and what they are from what they were before an upload.
    id: AtomicU64,
    root: Arc<Path>,
    index: Vec<String>,
    hidden: bool,
    candidates: Vec<Candidate>,
    cache: CacheRules,
    /// The tags of large files, where they are made of the content.
    digests: Option<Digests>,
    versions: Option<Versions>,
    /// The root is a file: then that is all there is.
    is_single: bool,
    way: Way,
    content_type: Option<String>,
    browse: bool,
    uploads: Option<Uploads>,
}

impl Files {
    /// A handler for `options`. The folder need not be there yet.
    pub fn new(options: Options) -> Files {
        Files::with_way(options, Way::detect())
    }

    fn with_way(options: Options, way: Way) -> Files {
        let is_single = options.root.is_file();
        let uploads = options.upload.clone();
        Files {
            uploads: uploads.map(|uploads| Uploads::new(uploads, &options.root)),
            id: next_id().into(),
            candidates: match is_single {
                true => Vec::new(),
                false => options.candidates,
            },
            is_single,
            root: options.root.into(),
            index: options.index,
            hidden: options.hidden,
            browse: options.browse && !is_single,
            cache: options.cache,
            content_type: options.content_type,
            digests: match options.tag_of {
                TagOf::Time => None,
                TagOf::Content => Some(Digests::default()),
            },
            versions: options.versions,
            way,
        }
    }

    /// What distinguishes the names of this handler in the store.
    fn id(&self) -> u64 {
        self.id.load(Ordering::Acquire)
    }

    /// Has every core look at the disk again, as a file has changed: whoever changed it sees that at once.
    fn forget(&self) {
        self.id.store(next_id(), Ordering::Release);
    }

    /// Answers `request` with what stands under `path`: cleaned (`dream_http::target::clean_path`), beginning with `/`, without
    /// what the route strips.
    ///
    /// 1. the method: GET and HEAD go on
    /// 2. the path becomes a name ([`path`])
    /// 3. the name is found in memory or on the disk (`find`)
    /// 4. preconditions are judged (`conditional`)
    /// 5. the part that is asked for is sent (`range`)
    pub async fn answer(&self, store: &Store, request: &Request, path: &[u8]) -> Response {
        // Not `request.received`: a head may take its time, and old trust must not be measured by an old clock.
        self.answer_at(store, request, path, Instant::now()).await
    }

    /// The operator's own page for a request that is not valid: `bad_request.html` of the root, if there is one.
    pub async fn bad_request(&self, store: &Store) -> Option<Response> {
        self.error_file(store, "bad_request.html", 400, Instant::now())
            .await
    }

    async fn answer_at(
        &self,
        store: &Store,
        request: &Request,
        path: &[u8],
        now: Instant,
    ) -> Response {
        let response = match request.head.method {
            Method::Get | Method::Head => self.read(store, request, path, now).await,
            Method::Options => self.with_allow(Response::new(204)),
            _ => self.with_allow(page(405, request, "Files cannot be changed so here.")),
        };
        match request.head.method {
            Method::Head => without_body(response),
            _ => response,
        }
    }

    /// RFC 9110 §10.2.1
    fn with_allow(&self, mut response: Response) -> Response {
        let methods = self.uploads.as_ref().map(Uploads::methods);
        let methods = methods.unwrap_or(b"GET, HEAD, OPTIONS");
        put(&mut response.head.fields, Name::Allow, methods);
        response
    }

    async fn read(&self, store: &Store, request: &Request, path: &[u8], now: Instant) -> Response {
        let mut key = spare::buffer();
        let named = self.write_key(path, &mut key);
        let known = match &named {
            Ok(()) if self.begins_as_asked() && !self.lacks_slash(request, path) => {
                remembered(store, &key, now)
            }
            _ => None,
        };
        let ready = match known {
            Some(content) if !lacks_tag(request, &content) => {
                self.ready_version(store, request, content, now)
            }
            _ => None,
        };
        let response = match ready {
            Some(content) => send(request, &content),
            // Boxed, as it is rare and large: the memory of a connection is that of its largest wait.
            _ => Box::pin(self.look_up(store, request, path, named.map(|()| &*key), now)).await,
        };
        spare::keep_buffer(key);
        response
    }

    /// Answers with what the disk has under `key`.
    async fn look_up(
        &self,
        store: &Store,
        request: &Request,
        path: &[u8],
        key: Result<&[u8], PathError>,
        now: Instant,
    ) -> Response {
        match key {
            Ok(_) | Err(PathError::Nameless(_)) if !self.candidates.is_empty() => {
                self.look_each_up(store, request, path, key.ok(), now).await
            }
            Ok(key) => match self.find(store, key, now).await {
                Ok(Found::Content(_)) if self.lacks_slash(request, path) => {
                    redirect_to_folder(request)
                }
                Ok(Found::Content(content)) => {
                    let version = self.version(store, request, content, now).await;
                    self.send_tagged(request, version).await
                }
                Ok(Found::Folder) => redirect_to_folder(request),
                Err(Missing::File) if self.lists(path) => {
                    self.list(store, request, path, &key[KEY_PREFIX..], now)
                        .await
                }
                Err(missing) => self.miss(store, request, missing, now).await,
            },
            Err(PathError::Nameless(_) | PathError::Hidden) => {
                self.miss(store, request, Missing::File, now).await
            }
            Err(PathError::Malformed(why)) => {
                let custom = self.error_file(store, "bad_request.html", 400, now).await;
                custom.unwrap_or_else(|| page(400, request, why))
            }
        }
    }

    /// Answers with the first of the candidates that the disk has; there is no key if no file can have the name that was asked for.
    async fn look_each_up(
        &self,
        store: &Store,
        request: &Request,
        path: &[u8],
        key: Option<&[u8]>,
        now: Instant,
    ) -> Response {
        match self.find_first(store, key, now).await {
            Ok((Found::Folder, _)) => redirect_to_folder(request),
            Ok((Found::Content(_), Candidate::Asked { .. })) if self.lacks_slash(request, path) => {
                redirect_to_folder(request)
            }
            Ok((Found::Content(content), _)) => {
                let version = self.version(store, request, content, now).await;
                self.send_tagged(request, version).await
            }
            Err(missing) => match key.filter(|_| self.lists(path)) {
                Some(key) if matches!(missing, Missing::File) => {
                    self.list(store, request, path, &key[KEY_PREFIX..], now)
                        .await
                }
                _ => self.miss(store, request, missing, now).await,
            },
        }
    }

    /// The answer, which waits for the tag of the file if the request asks by one.
    async fn send_tagged(&self, request: &Request, content: Content) -> Response {
        match (&self.digests, &content) {
            (Some(digests), Content::Disk(open)) if lacks_tag(request, &content) => {
                let tag = digests.wait(&open.identity).await;
                send(
                    request,
                    &Content::Disk(Rc::new(open.with_tag(tag.as_deref()))),
                )
            }
            _ => send(request, &content),
        }
    }

    fn write_key(&self, path: &[u8], key: &mut Vec<u8>) -> Result<(), PathError> {
        key.extend_from_slice(&self.id().to_le_bytes());
        if self.is_single {
            // One name for all: clients must not be able to fill the memory with names of their choice.
            return Ok(());
        }
        decode_path(path, key)?;
        if !self.hidden && is_hidden(&key[KEY_PREFIX..]) {
            return Err(PathError::Hidden);
        }
        Ok(())
    }

    /// Is what was asked for the first that is looked at?
    fn begins_as_asked(&self) -> bool {
        self.candidates.first().is_none_or(Candidate::is_as_asked)
    }

    /// Is a folder's page asked for without the slash, because the route strips all of the path and looks `/` up?
    fn lacks_slash(&self, request: &Request, path: &[u8]) -> bool {
        path.ends_with(b"/") && !request.head.path().ends_with(b"/") && !self.is_single
    }

    async fn miss(
        &self,
        store: &Store,
        request: &Request,
        missing: Missing,
        now: Instant,
    ) -> Response {
        match missing {
            Missing::Root => page(404, request, &self.first_steps()),
            Missing::File => {
                let custom = self.error_file(store, "not_found.html", 404, now).await;
                custom.unwrap_or_else(|| page(404, request, "There is nothing at this address."))
            }
            Missing::Failed(error) => {
                tracing::warn!(%error, root = %self.root.display(), "a file could not be read");
                page(500, request, "The file could not be read.")
            }
        }
    }

    /// The operator's own page for an error, if there is one in the root.
    async fn error_file(
        &self,
        store: &Store,
        name: &'static str,
        status: u16,
        now: Instant,
    ) -> Option<Response> {
        let id = self.id();
        if self.is_single || store.misses_page(id, name, now) {
            return None;
        }
        let key = [&id.to_le_bytes(), name.as_bytes()].concat();
        let content = match self.find(store, &key, now).await {
            Ok(Found::Content(content)) => content,
            Err(Missing::File) => {
                let root = store.root(id, now)?;
                store.note_missing_page(id, name, root.opened);
                return None;
            }
            Ok(Found::Folder) | Err(_) => return None,
        };
        let mut response = Response::with_head(content.description().stand_in(status));
        response.body = content.body(0..content.size());
        Some(response)
    }

    /// What to do where there is no root. An absolute path is nobody's business but the operator's.
    fn first_steps(&self) -> String {
        let folder = match self.root.is_relative() {
            true => format!("the folder {}/", self.root.display()),
            false => String::from("this site's folder"),
        };
        format!(
            "DreamServer is running, and {folder} does not exist yet. Create it and put an index.html into it, or serve \
             another folder with: dreamserver files DIR"
        )
    }
}

/// The file, or as much of it as the client asks for and has not got.
fn send(request: &Request, content: &Content) -> Response {
    let description = content.description();
    match evaluate(&request.head, description.validators()) {
        Verdict::Proceed => match asked_part(request, content.size()) {
            Part::Whole => whole(content),
            Part::Bytes(part) => {
                let head = description.part(part.start, part.end - 1, content.size());
                let mut response = Response::with_head(head);
                response.body = content.body(part);
                response
            }
            Part::Several(parts) => several(content, &parts),
            Part::Unsatisfiable => unsatisfiable(request, content.size()),
        },
        Verdict::ProceedWhole => whole(content),
        Verdict::NotModified => Response::with_head(description.not_modified()),
        Verdict::Failed => page(
            412,
            request,
            "The file is not in the state that the request asks for.",
        ),
    }
}

/// Does the request ask by a tag that is not known yet?
fn lacks_tag(request: &Request, content: &Content) -> bool {
    let fields = &request.head.fields;
    content.description().lacks_tag()
        && [Name::IfMatch, Name::IfNoneMatch, Name::IfRange]
            .into_iter()
            .any(|name| fields.has(name))
}

/// RFC 9110 §14.2: a range means something for GET only.
fn asked_part(request: &Request, size: u64) -> Part {
    let range = match request.head.method {
        Method::Get => single(&request.head.fields, Name::Range),
        _ => None,
    };
    range.map_or(Part::Whole, |value| parse_range(value, size))
}

fn whole(content: &Content) -> Response {
    let mut response = Response::with_head(content.description().whole());
    response.body = content.body(0..content.size());
    response
}

/// RFC 9110 §15.3.7.2
fn several(content: &Content, parts: &[Range<u64>]) -> Response {
    let (description, boundary) = (content.description(), Boundary::new());
    let pieces = boundary.pieces(parts, content.size(), &description.content_type());
    let mut response = Response::with_head(description.several(&boundary.content_type()));
    response.body = content.pieces(pieces);
    response
}

/// RFC 9110 §15.5.17
fn unsatisfiable(request: &Request, size: u64) -> Response {
    let mut response = page(416, request, "The file ends before the range begins.");
    let range = format!("bytes */{size}");
    put(
        &mut response.head.fields,
        Name::ContentRange,
        range.as_bytes(),
    );
    response
}

/// Relative links in a folder's page only work below a trailing slash. The client's own path is kept, as a route may have
/// stripped a part of it; but neither `//host` nor `/\host` may begin it, which browsers take for another site.
fn redirect_to_folder(request: &Request) -> Response {
    let mut location = vec![b'/'];
    for &byte in request.head.path() {
        match byte {
            b'/' if location == b"/" => {}
            b'\\' => location.extend_from_slice(b"%5C"),
            _ => location.push(byte),
        }
    }
    if location != b"/" {
        location.push(b'/');
    }
    if let Some(query) = request.head.query() {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let mut response = Response::new(301);
    match response.head.fields.append(Name::Location, &location) {
        Ok(()) => response,
        Err(error) => page(400, request, &error.to_string()),
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// RFC 9110 §9.3.2: the head of the answer to a GET, and nothing behind it.
fn without_body(mut response: Response) -> Response {
    let len = response.body.len();
    if response.head.status != 304 && response.head.content_length.is_none() {
        response.head.content_length = len;
    }
    response.body = Body::Empty;
    response
}
