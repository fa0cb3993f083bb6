//! Static files: the handler that answers with what lies below a folder.
//!
//! What is asked for a second time comes from the memory of its core ([`Store`]); what is large goes from the disk to the
//! socket without passing through us; and no spelling, symlink or race makes anything outside the folder readable.

mod conditional;
mod describe;
mod find;
mod identity;
mod mime;
mod open;
pub mod path;
mod range;
mod read;
mod root;
mod store;
#[cfg(test)]
mod tests;
mod walk;

use dream_http::{Method, Name};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::error::page;
use crate::exchange::{Body, Request, Response};
use crate::spare;
use conditional::{Verdict, evaluate, single};
use describe::put;
use find::{Content, Found, KEY_PREFIX, Missing, remembered};
use path::{PathError, decode_path, is_hidden};
use range::{Part, parse_range};
use root::Way;
pub use store::Store;

/// What is served, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; relative to the working directory, and free to be a symlink that is switched to another folder.
    pub root: PathBuf,
    /// File names that stand for their folder; the first that is there wins.
    pub index: Vec<String>,
    /// Serve names that begin with a dot too.
    pub hidden: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            root: PathBuf::from("staticfiles"),
            index: vec![String::from("index.html")],
            hidden: false,
        }
    }
}

/// The handler for one folder, made once per configuration and shared by all cores.
#[derive(Debug)]
pub struct Files {
    /// Tells this handler's files from those of others in a core's store.
    id: u64,
    root: Arc<Path>,
    index: Vec<String>,
    hidden: bool,
    way: Way,
}

impl Files {
    /// A handler for `options`. The folder need not be there yet.
    pub fn new(options: Options) -> Files {
        Files::with_way(options, Way::detect())
    }

    fn with_way(options: Options, way: Way) -> Files {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Files {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            root: options.root.into(),
            index: options.index,
            hidden: options.hidden,
            way,
        }
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
            Method::Options => with_allow(Response::new(204)),
            _ => with_allow(page(405, request, "Files can only be read here.")),
        };
        match request.head.method {
            Method::Head => without_body(response),
            _ => response,
        }
    }

    async fn read(&self, store: &Store, request: &Request, path: &[u8], now: Instant) -> Response {
        let mut key = spare::buffer();
        let named = self.write_key(path, &mut key);
        let known = match &named {
            Ok(()) if !lacks_slash(request, path) => remembered(store, &key, now),
            _ => None,
        };
        let response = match known {
            Some(content) => send(request, &content),
            // Boxed, as it is rare and large: the memory of a connection is that of its largest wait.
            None => Box::pin(self.look_up(store, request, path, named.map(|()| &*key), now)).await,
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
            Ok(key) => match self.find(store, key, now).await {
                Ok(Found::Content(_)) if lacks_slash(request, path) => redirect_to_folder(request),
                Ok(Found::Content(content)) => send(request, &content),
                Ok(Found::Folder) => redirect_to_folder(request),
                Err(missing) => self.miss(store, request, missing, now).await,
            },
            Err(PathError::Nameless(_)) => self.miss(store, request, Missing::File, now).await,
            Err(PathError::Malformed(why)) => {
                let custom = self.error_file(store, "bad_request.html", 400, now).await;
                custom.unwrap_or_else(|| page(400, request, why))
            }
        }
    }

    fn write_key(&self, path: &[u8], key: &mut Vec<u8>) -> Result<(), PathError> {
        key.extend_from_slice(&self.id.to_le_bytes());
        decode_path(path, key)?;
        if !self.hidden && is_hidden(&key[KEY_PREFIX..]) {
            return Err(PathError::Nameless("hidden files are not served"));
        }
        Ok(())
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
        name: &str,
        status: u16,
        now: Instant,
    ) -> Option<Response> {
        let key = [&self.id.to_le_bytes(), name.as_bytes()].concat();
        let Ok(Found::Content(content)) = self.find(store, &key, now).await else {
            return None;
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

/// Is a folder's page asked for without the slash, because the route strips all of the path and looks `/` up?
fn lacks_slash(request: &Request, path: &[u8]) -> bool {
    path.ends_with(b"/") && !request.head.path().ends_with(b"/")
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

/// RFC 9110 §10.2.1
fn with_allow(mut response: Response) -> Response {
    put(
        &mut response.head.fields,
        Name::Allow,
        b"GET, HEAD, OPTIONS",
    );
    response
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
