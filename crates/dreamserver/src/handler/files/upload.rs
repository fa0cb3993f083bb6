//! Uploads: clients create, replace and remove files below the root.
//!
//! Nobody ever reads half a file. What comes is written beside its place, under a hidden name that is never served (`beside`);
//! when all of it is on the disk it takes its place in one step. Whatever breaks off before that leaves nothing.
//!
//! Everything that may wait for a disk is done beside the core, a piece at a time: an upload holds one piece in memory, and while a
//! piece is written nothing more is read from the client.

mod beside;
mod elsewhere;
mod quota;
mod refusal;
mod target;
#[cfg(test)]
mod tests;

use dream_http::{Fields, Method, Name, RequestHead};
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Files;
use super::root::{Root, blocking};
use crate::exchange::put;
use crate::exchange::{Body, BodyError, BodyHandle, Request, Response};
use beside::{Beside, Done, Place, remove};
use elsewhere::Elsewhere;
use quota::{Claim, Quota};
use refusal::Refusal;
use target::Target;

/// What clients may change below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of one upload → 413.
    pub max_body: u64,
    /// Bytes of all files below the root together → 507; each counts as whole blocks of 4 KiB.
    pub max_total: Option<u64>,
    /// Files may be removed too.
    pub delete: bool,
}

/// The uploads of one handler.
#[derive(Debug)]
pub(super) struct Uploads {
    options: Options,
    quota: Arc<Quota>,
}

impl Uploads {
    pub(super) fn new(options: Options, root: &Path) -> Uploads {
        Uploads {
            options,
            quota: Quota::of(root),
        }
    }

    pub(super) fn allow(&self, method: Method) -> bool {
        match method {
            Method::Put | Method::Post => true,
            Method::Delete => self.options.delete,
            _ => false,
        }
    }

    /// The methods that a client may use, for `Allow`.
    pub(super) fn methods(&self) -> &'static [u8] {
        match self.options.delete {
            true => b"GET, HEAD, OPTIONS, PUT, POST, DELETE",
            false => b"GET, HEAD, OPTIONS, PUT, POST",
        }
    }

    /// Has what a crash left looked for, once: whoever asks for anything below `root` begins it.
    pub(super) fn tidy(&self, root: &Arc<Root>) {
        if self.quota.is_first_look() {
            let (quota, root) = (Arc::clone(&self.quota), Arc::clone(root));
            // Nobody waits for it, and what it does not do now is done at the next start.
            drop(tokio::task::spawn_blocking(move || quota.count_once(&root)));
        }
    }
}

impl Files {
    /// Does this method change something here?
    pub fn changes_by(&self, method: Method) -> bool {
        let uploads = self.uploads.as_ref();
        uploads.is_some_and(|uploads| uploads.allow(method))
    }

    /// Creates, replaces or removes what stands under `path`, which is as for [`Files::answer`].
    ///
    /// 1. may it be called so, and may this request change it? (`target`)
    /// 2. is there room? (`quota`)
    /// 3. does the client know what it replaces? (RFC 9110 §13.2)
    /// 4. the body is written beside its place (`beside`)
    /// 5. it takes its place: 201 if that was free or the file was posted, 204 if not
    pub async fn change(&self, request: &mut Request, path: &[u8]) -> Response {
        let changed = match &self.uploads {
            None => Err(Refusal::Answer(405, "Files can only be read here.")),
            Some(uploads) if request.head.method == Method::Delete => {
                self.remove(uploads, request, path).await
            }
            Some(uploads) => self.receive(uploads, request, path).await,
        };
        match changed {
            Ok(response) => response,
            Err(refusal) => refusal.answer(request),
        }
    }

    async fn receive(
        &self,
        uploads: &Uploads,
        request: &mut Request,
        path: &[u8],
    ) -> Result<Response, Refusal> {
        let target = Target::of(path, &self.index)?;
        check_origin(&request.head)?;
        check_content(&request.head)?;
        let size = request.body.len();
        if size.is_some_and(|size| size > uploads.options.max_body) {
            return Err(Refusal::Body(BodyError::TooLarge));
        }
        let root = self.root_to_change(uploads).await?;
        let claim = uploads.claim(&root).await?;
        let conditions = conditions(&request.head);
        let size = size.unwrap_or(0);
        let begun = blocking(move || {
            Ok(Upload::begin(&root, &target, claim, size, conditions).map(Elsewhere::new))
        });
        let upload = fill(begun.await??, request, uploads.options.max_body).await?;
        let done = upload.finish(Upload::take_place).await?;
        self.forget();
        Ok(answer(request, &done))
    }

    async fn remove(
        &self,
        uploads: &Uploads,
        request: &Request,
        path: &[u8],
    ) -> Result<Response, Refusal> {
        let target = Target::of(path, &self.index)?;
        check_origin(&request.head)?;
        let root = self.root_to_change(uploads).await?;
        let conditions = conditions(&request.head);
        let quota = Arc::clone(&uploads.quota);
        blocking(move || {
            Ok(Place::open(&root, &target).and_then(|place| remove(&place, &conditions, &quota)))
        })
        .await??;
        self.forget();
        Ok(Response::new(204))
    }

    /// The root as it is now: it may have been switched to another folder a moment ago.
    async fn root_to_change(&self, uploads: &Uploads) -> Result<Arc<Root>, Refusal> {
        let opened = Root::open(&self.root, self.way, Instant::now()).await;
        let root = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::Answer(409, NO_ROOT),
            _ => error.into(),
        })?;
        uploads.tidy(&root);
        Ok(root)
    }
}

const NO_ROOT: &str = "The folder of this site does not exist yet: make it first.";

impl Uploads {
    /// Room for an upload, none of which is taken yet.
    async fn claim(&self, root: &Arc<Root>) -> Result<Claim, Refusal> {
        let most = self.options.max_total;
        if most.is_some() {
            let quota = Arc::clone(&self.quota);
            let root = Arc::clone(root);
            self.quota
                .wait_for_count(|| blocking(move || quota.count_once(&root)))
                .await?;
        }
        Ok(Claim::new(Arc::clone(&self.quota), Arc::clone(root), most))
    }
}

/// An upload on its way.
struct Upload {
    beside: Beside,
    claim: Claim,
    conditions: Fields,
}

impl Upload {
    /// Begins one of `size` bytes, as far as that is known.
    fn begin(
        root: &Arc<Root>,
        target: &Target,
        mut claim: Claim,
        size: u64,
        conditions: Fields,
    ) -> Result<Upload, Refusal> {
        let place = Place::open(root, target)?;
        place.check(&conditions)?;
        claim.grow(size)?;
        place.has_room(size)?;
        Ok(Upload {
            beside: Beside::create(place)?,
            claim,
            conditions,
        })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.claim.grow(self.beside.size() + piece.len() as u64)?;
        self.beside.write(piece)
    }

    fn take_place(self) -> Result<Done, Refusal> {
        let done = self
            .beside
            .take_place(&self.conditions, self.claim.quota())?;
        self.claim.settle(done.size, done.replaced);
        Ok(done)
    }
}

/// Writes the whole body, a piece at a time.
async fn fill(
    mut upload: Elsewhere<Upload>,
    request: &mut Request,
    max_body: u64,
) -> Result<Elsewhere<Upload>, Refusal> {
    match std::mem::take(&mut request.body) {
        Body::Empty | Body::File(_) | Body::Parts(_) | Body::Tunnel(_) => Ok(upload),
        Body::Bytes(bytes) => Ok(upload.with(move |upload| upload.write(&bytes)).await?.0),
        Body::Stream(mut stream) => {
            request.invite();
            stream.set_limit(max_body);
            let (mut piece, mut size, mut is_whole) = (Vec::new(), 0, false);
            while !is_whole {
                is_whole = receive(&mut stream, &mut piece).await?;
                size += piece.len() as u64;
                if size > max_body {
                    return Err(Refusal::Body(BodyError::TooLarge));
                }
                let written = upload.with(move |upload| {
                    upload.write(&piece)?;
                    piece.clear();
                    Ok::<_, Refusal>(piece)
                });
                (upload, piece) = written.await?;
            }
            Ok(upload)
        }
    }
}

/// Receives the next piece; `true` if it is the last.
async fn receive(stream: &mut BodyHandle, piece: &mut Vec<u8>) -> Result<bool, Refusal> {
    while piece.len() < PIECE {
        let ready = poll_fn(|cx| stream.poll_ready(cx)).await;
        ready.map_err(Refusal::Body)?;
        let data = stream.data();
        if data.is_empty() {
            return Ok(true);
        }
        let taken = data.len().min(PIECE - piece.len());
        piece.extend_from_slice(&data[..taken]);
        stream.consume(taken);
    }
    Ok(false)
}

/// Bytes that an upload holds in memory: as much as comes from a socket at once.
const PIECE: usize = 64 * 1024;

fn answer(request: &Request, done: &Done) -> Response {
    // What is posted is new each time, for who posts it; what is put there takes the place of something.
    let is_new = done.replaced.is_none() || request.head.method == Method::Post;
    let mut response = Response::new(if is_new { 201 } else { 204 });
    let fields = &mut response.head.fields;
    // RFC 9110 §9.3.4: the tag may be told, as the file is stored as it came.
    put(fields, Name::Etag, done.etag.as_bytes());
    if is_new {
        // RFC 9110 §15.3.2
        put(fields, Name::Location, request.head.path());
    }
    response
}

/// What RFC 9110 §13 lets a client demand of the file that it changes.
fn conditions(head: &RequestHead) -> Fields {
    let mut conditions = Fields::new();
    for name in [Name::IfMatch, Name::IfUnmodifiedSince, Name::IfNoneMatch] {
        for value in head.fields.get_all(name) {
            put(&mut conditions, name, value);
        }
    }
    conditions
}

/// A page of another site can have the browser of whoever looks at it send uploads here: forms need nobody's leave. Browsers say
/// where a request comes from (Fetch Metadata), older ones by `Origin`.
fn check_origin(head: &RequestHead) -> Result<(), Refusal> {
    let is_foreign = match head.fields.find(b"Sec-Fetch-Site") {
        Some(site) => site == b"cross-site",
        None => {
            let mut origins = head.fields.get_all(Name::Origin);
            origins.any(|origin| !is_at(origin, head.host()))
        }
    };
    match is_foreign {
        true => Err(Refusal::Answer(
            403,
            "Pages of other sites may not change files here.",
        )),
        false => Ok(()),
    }
}

fn is_at(origin: &[u8], host: &[u8]) -> bool {
    let plain = origin.strip_prefix(b"http://");
    let named = plain.or_else(|| origin.strip_prefix(b"https://"));
    named.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

/// A file is stored as it comes, so what comes must be a file.
fn check_content(head: &RequestHead) -> Result<(), Refusal> {
    // RFC 9110 §14.5: a part must not be taken for the whole.
    if head.fields.has(Name::ContentRange) {
        return Err(Refusal::Answer(
            400,
            "A part of a file cannot be uploaded: send all of it, without Content-Range.",
        ));
    }
    let mut codings = head.fields.get_all(Name::ContentEncoding);
    if codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::Encoded);
    }
    let mut types = head.fields.get_all(Name::ContentType);
    if types.any(|kind| {
        kind.to_ascii_lowercase()
            .starts_with(b"multipart/form-data")
    }) {
        return Err(Refusal::Answer(
            415,
            "A form is no file: send the file itself, as `curl -T FILE` does.",
        ));
    }
    Ok(())
}
