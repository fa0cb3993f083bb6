//! The listing of a folder that has no index: a page for people, JSON for programs that ask for it.
//!
//! The names are gathered and sorted beside the core, with what the disk says of each, and sent a piece at a time: the entries are in
//! memory, the page never is. What may not be read is not listed: hidden names, and symlinks that lead out of the root.

mod entries;
mod order;
mod page;

use bytes::Bytes;
use dream_http::Name;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::find::{Missing, missing};
use super::root::blocking;
use super::store::Store;
use super::{Files, redirect_to_folder};
use crate::error;
use crate::exchange::put;
use crate::exchange::{Body, Request, Response, Source};
use entries::{Entries, NoEntries};
use order::Order;
use page::{Form, Writer};

impl Files {
    /// May there be a listing under `path`?
    pub(super) fn lists(&self, path: &[u8]) -> bool {
        self.browse && path.ends_with(b"/")
    }

    /// The listing of the folder `name`, which ends with a slash or is the root itself; what is said of a missing file, if there is
    /// no such folder. `path` is the end of the request's path, that which is this handler's.
    pub(super) async fn list(
        &self,
        store: &Store,
        request: &Request,
        path: &[u8],
        name: &[u8],
        now: Instant,
    ) -> Response {
        // The links of the page would lead elsewhere.
        if self.lacks_slash(request, path) {
            return redirect_to_folder(request);
        }
        match self.begin_list(store, request, path, name, now).await {
            Ok(Ok(listing)) => listing.answer(),
            Ok(Err(NoEntries::Folder(error))) => {
                self.miss(store, request, missing(error), now).await
            }
            Ok(Err(NoEntries::Crowded)) => {
                let detail = "Too many large folders are being listed. Try again in a moment.";
                let mut response = error::page(503, request, detail);
                put(&mut response.head.fields, Name::RetryAfter, b"1");
                response
            }
            Err(missing) => self.miss(store, request, missing, now).await,
        }
    }

    async fn begin_list(
        &self,
        store: &Store,
        request: &Request,
        path: &[u8],
        name: &[u8],
        now: Instant,
    ) -> Result<Result<Listing, NoEntries>, Missing> {
        let root = self.open_root(store, now).await?;
        let form = match error::prefers_json(request) {
            true => Form::Json,
            false => Form::Html,
        };
        let order = Order::of(request.head.query());
        let writer = Writer::new(form, order, request.head.path(), path);
        let (folder, hidden) = (name.to_vec(), self.hidden);
        let begun = blocking(move || {
            let entries = Entries::gather(&root, &folder, hidden, order);
            Ok(entries.map(|entries| Listing::begin(entries, writer)))
        });
        begun.await.map_err(Missing::Failed)
    }
}

/// A listing on its way to the client.
struct Listing {
    entries: Entries,
    writer: Writer,
    /// What was written already.
    first: Option<Vec<u8>>,
}

impl Listing {
    fn begin(entries: Entries, mut writer: Writer) -> Listing {
        let first = writer.piece(&entries);
        Listing {
            entries,
            writer,
            first,
        }
    }

    fn answer(mut self) -> Response {
        let mut response = Response::new(200);
        let fields = &mut response.head.fields;
        put(fields, Name::ContentType, self.writer.content_type());
        // It is made anew for each request: to ask if it has changed would cost as much as to ask for it.
        put(fields, Name::CacheControl, b"no-cache");
        put(fields, Name::Vary, b"Accept");
        put(fields, Name::XContentTypeOptions, b"nosniff");
        put(
            fields,
            Name::ContentSecurityPolicy,
            page::policy().as_bytes(),
        );
        if self.entries.is_cut {
            let added = fields.append_text(b"Dream-Listing", b"cut");
            debug_assert!(added.is_ok(), "it is clean");
        }
        response.body = match self.writer.is_done() {
            true => Body::from(self.first.take().unwrap_or_default()),
            false => Body::from_source(self),
        };
        response
    }
}

impl Source for Listing {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let first = self.first.take();
        let piece = first.or_else(|| self.writer.piece(&self.entries));
        Poll::Ready(piece.map(|piece| Ok(piece.into())))
    }
}
