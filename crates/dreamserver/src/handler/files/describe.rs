//! What the head of an answer says about a file, made once and copied for each answer.

use dream_http::{Coding, Name, ResponseHead};
use std::borrow::Cow;
use std::time::SystemTime;

use super::conditional::Validators;
use super::identity::Identity;
use super::versions::KnownVersions;
use crate::exchange::put;
use crate::spare;

/// The head that announces a whole file, and the parts that other answers need.
pub(super) struct Description {
    /// The head of the 200, from which the others are made.
    whole: ResponseHead,
    /// Nothing as long as it is not known.
    etag: Option<Box<str>>,
    modified: SystemTime,
    /// Nothing if there cannot be any.
    versions: Option<KnownVersions>,
}

impl Description {
    /// Describes a file of this media type, of which caches are told `control`.
    pub(super) fn new(
        media_type: &str,
        identity: &Identity,
        wall: SystemTime,
        control: Option<&str>,
    ) -> Description {
        let etag = identity.etag();
        let modified = identity.last_modified(wall);
        let mut whole = ResponseHead::new(200);
        let fields = &mut whole.fields;
        put(fields, Name::ContentType, media_type.as_bytes());
        put(fields, Name::Etag, etag.as_bytes());
        let date = httpdate::fmt_http_date(modified);
        put(fields, Name::LastModified, date.as_bytes());
        put(fields, Name::AcceptRanges, b"bytes");
        put(fields, Name::XContentTypeOptions, b"nosniff");
        if let Some(control) = control {
            put(fields, Name::CacheControl, control.as_bytes());
        }
        Description {
            whole,
            etag: Some(etag.into()),
            modified,
            versions: None,
        }
    }

    /// The same of a file that may have compressed versions.
    pub(super) fn with_versions(mut self, versions: KnownVersions) -> Description {
        put(&mut self.whole.fields, Name::Vary, b"Accept-Encoding");
        self.versions = Some(versions);
        self
    }

    /// What is known of its compressed versions, if there may be any.
    pub(super) fn versions(&self) -> Option<&KnownVersions> {
        self.versions.as_ref()
    }

    /// The same of a file that holds this coding of what its name says. Its tag is its own, also where times and sizes are equal.
    pub(super) fn coded(&self, coding: Coding) -> Description {
        let tag = self.etag.as_deref().and_then(|tag| tag.strip_suffix('"'));
        let tag = tag.map(|tag| format!("{tag}-{}\"", coding.as_str()));
        let mut coded = self.with_tag(tag.as_deref());
        coded.note_coding(coding);
        coded
    }

    /// The same of a coding of it that was made here: as good as what is made on its way out, so the tag is the same weak one.
    pub(super) fn kept(&self, coding: Coding) -> Description {
        let weak = self.etag.as_deref().map(|tag| format!("W/{tag}"));
        let mut kept = self.with_tag(weak.as_deref());
        kept.etag.clone_from(&self.etag);
        kept.note_coding(coding);
        kept
    }

    fn note_coding(&mut self, coding: Coding) {
        self.versions = None;
        let fields = &mut self.whole.fields;
        put(fields, Name::ContentEncoding, coding.as_str().as_bytes());
        // Parts are of the file as it is.
        fields.remove(Name::AcceptRanges);
    }

    /// The same with another tag, or without one.
    pub(super) fn with_tag(&self, tag: Option<&str>) -> Description {
        let mut whole = self.whole.clone();
        whole.fields.remove(Name::Etag);
        if let Some(tag) = tag {
            put(&mut whole.fields, Name::Etag, tag.as_bytes());
        }
        Description {
            whole,
            etag: tag.map(Into::into),
            modified: self.modified,
            versions: self.versions.clone(),
        }
    }

    /// Is there no tag, for now?
    pub(super) fn lacks_tag(&self) -> bool {
        self.etag.is_none()
    }

    /// What preconditions are compared with.
    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.etag.as_deref().map(str::as_bytes),
            modified: self.modified,
        }
    }

    /// The head of the 200.
    pub(super) fn whole(&self) -> Box<ResponseHead> {
        let mut head = spare::response_head();
        (*head).clone_from(&self.whole);
        head
    }

    /// The head of the 206 for the bytes `first` to `last` of `size`.
    pub(super) fn part(&self, first: u64, last: u64, size: u64) -> Box<ResponseHead> {
        let mut head = self.whole();
        head.set_status(206);
        let range = format!("bytes {first}-{last}/{size}");
        put(&mut head.fields, Name::ContentRange, range.as_bytes());
        head
    }

    /// The type of the file.
    pub(super) fn content_type(&self) -> Cow<'_, str> {
        let content_type = self.whole.fields.get(Name::ContentType);
        String::from_utf8_lossy(content_type.unwrap_or_default())
    }

    /// The head of the 206 for several parts, which say themselves what they are (RFC 9110 §15.3.7.2).
    pub(super) fn several(&self, content_type: &str) -> Box<ResponseHead> {
        let mut head = self.whole();
        head.set_status(206);
        head.fields.remove(Name::ContentType);
        put(&mut head.fields, Name::ContentType, content_type.as_bytes());
        head
    }

    /// The head of the 304: only what a cache needs to know its copy again (RFC 9110 §15.4.5).
    pub(super) fn not_modified(&self) -> Box<ResponseHead> {
        let mut head = spare::response_head();
        head.begin(304);
        if let Some(etag) = &self.etag {
            put(&mut head.fields, Name::Etag, etag.as_bytes());
        }
        for name in [Name::CacheControl, Name::Vary] {
            if let Some(value) = self.whole.fields.get(name) {
                put(&mut head.fields, name, value);
            }
        }
        head
    }

    /// The head under which the file stands in for another one, as an error page does: without what invites to ask for it again, and
    /// kept by nobody, as what is missing may come (see [`crate::error`]).
    pub(super) fn stand_in(&self, status: u16) -> Box<ResponseHead> {
        let mut head = self.whole();
        head.set_status(status);
        head.fields.remove_where(|field| {
            matches!(
                field.name,
                Name::Etag | Name::LastModified | Name::AcceptRanges | Name::CacheControl
            )
        });
        put(&mut head.fields, Name::CacheControl, b"no-store");
        head
    }
}
