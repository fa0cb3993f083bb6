//! Request and response heads: one buffer, spans over it, and what framing decided.

use crate::fields::Span;
use crate::h1::Framing;
use crate::target::{Target, TargetForm};
use crate::{Fields, InvalidField, Method, Name, reason_phrase};

/// The versions that the engine speaks; all others are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

/// The head of a request. Owns its bytes; reuse it with [`RequestHead::clear`].
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The fields; their buffer also holds the request line.
    pub fields: Fields,
    /// The method.
    pub method: Method,
    /// The version of the request line.
    pub version: Version,
    /// How the body is delimited (RFC 9112 §6).
    pub framing: Framing,
    /// Whether the sender allows another request on this connection (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    pub(crate) method_at: Span,
    pub(crate) target: TargetSpans,
}

/// Where the parts of a target stand in the head's buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TargetSpans {
    pub(crate) form: TargetForm,
    pub(crate) whole: Span,
    pub(crate) authority: Span,
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
}

impl RequestHead {
    /// A head of our own making: `GET /` in HTTP/1.1 without fields or body.
    pub fn new() -> RequestHead {
        let mut head = RequestHead {
            keep_alive: true,
            ..RequestHead::default()
        };
        head.set_path(b"/", None);
        head
    }

    /// Forgets everything and keeps the memory for the next head.
    pub fn clear(&mut self) {
        let mut fields = core::mem::take(&mut self.fields);
        fields.clear();
        *self = RequestHead {
            fields,
            ..RequestHead::default()
        };
    }

    /// The method as it was written.
    pub fn method_text(&self) -> &[u8] {
        self.method_at.of(&self.fields.bytes)
    }

    /// Sets the method; `text` is the token that is sent.
    pub fn set_method(&mut self, text: &[u8]) {
        self.method = Method::parse(text);
        self.method_at = self.fields.push_bytes(text);
    }

    /// The target and its parts.
    pub fn target(&self) -> Target<'_> {
        let bytes = &self.fields.bytes;
        Target {
            form: self.target.form,
            whole: self.target.whole.of(bytes),
            authority: self.target.authority.of(bytes),
            path: self.target.path.of(bytes),
            query: self.target.query.map(|query| query.of(bytes)),
        }
    }

    /// The form of the target.
    pub fn target_form(&self) -> TargetForm {
        self.target.form
    }

    /// The path of the target, `*` for the asterisk form, empty for the authority form.
    pub fn path(&self) -> &[u8] {
        self.target.path.of(&self.fields.bytes)
    }

    /// What stands behind the `?` of the target, if there is one.
    pub fn query(&self) -> Option<&[u8]> {
        self.target.query.map(|query| query.of(&self.fields.bytes))
    }

    /// Host and port that the request is for: the target's authority if it has one, else the Host
    /// field (RFC 9112 §3.3), as the client wrote it even where the field was edited since; empty if neither is there (HTTP/1.0).
    pub fn host(&self) -> &[u8] {
        let authority = self.target.authority.of(&self.fields.bytes);
        if authority.is_empty() {
            self.fields.first(Name::Host).unwrap_or_default()
        } else {
            authority
        }
    }

    /// Does the head still have the Host field that it came with, and not one that somebody here chose?
    pub fn has_original_host(&self) -> bool {
        self.fields.has_first(Name::Host)
    }

    /// Makes the target origin-form with this path and query. The caller vouches that both hold
    /// no byte outside the visible ASCII ones.
    pub fn set_path(&mut self, path: &[u8], query: Option<&[u8]>) {
        let at = self.fields.bytes.len() as u32;
        let path_at = self.fields.push_bytes(path);
        let query_at = query.map(|query| {
            self.fields.push_bytes(b"?");
            self.fields.push_bytes(query)
        });
        let authority = self.target.authority;
        self.target = TargetSpans {
            form: TargetForm::Origin,
            whole: Span {
                at,
                len: self.fields.bytes.len() as u32 - at,
            },
            authority,
            path: path_at,
            query: query_at,
        };
    }
}

/// The head of a response. Owns its bytes; reuse it with [`ResponseHead::clear`] or `clone_from`.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The fields; their buffer also holds the reason phrase.
    pub fields: Fields,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The version of the status line.
    pub version: Version,
    /// How the body is delimited (RFC 9112 §6), given the request it answers.
    pub framing: Framing,
    /// Whether the sender allows another request on this connection (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// What `Content-Length` said, also where there is no body (HEAD, 304).
    pub content_length: Option<u64>,
    pub(crate) reason_at: Span,
}

impl Clone for ResponseHead {
    fn clone(&self) -> ResponseHead {
        let mut head = ResponseHead::default();
        head.clone_from(self);
        head
    }

    /// Copies into the memory that is there.
    fn clone_from(&mut self, other: &ResponseHead) {
        let mut fields = core::mem::take(&mut self.fields);
        fields.clone_from(&other.fields);
        *self = ResponseHead { fields, ..*other };
    }
}

impl ResponseHead {
    /// A head of our own making, without fields or body, with the registered phrase.
    pub fn new(status: u16) -> ResponseHead {
        let mut head = ResponseHead::default();
        head.begin(status);
        head
    }

    /// Makes this head what [`ResponseHead::new`] gives, in the memory that is there.
    pub fn begin(&mut self, status: u16) {
        self.clear();
        self.keep_alive = true;
        self.set_status(status);
    }

    /// Forgets everything and keeps the memory for the next head.
    pub fn clear(&mut self) {
        let mut fields = core::mem::take(&mut self.fields);
        fields.clear();
        *self = ResponseHead {
            fields,
            ..ResponseHead::default()
        };
    }

    /// Sets the status and the phrase that goes with it.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
        self.reason_at = self.fields.push_bytes(reason_phrase(status).as_bytes());
    }

    /// The reason phrase; it means nothing and is only passed on (RFC 9112 §4).
    pub fn reason(&self) -> &[u8] {
        self.reason_at.of(&self.fields.bytes)
    }

    /// Adds a field, for building an answer in one expression.
    ///
    /// # Errors
    /// [`InvalidField`] if the value may not stand in a field.
    pub fn with(mut self, name: Name, value: &[u8]) -> Result<ResponseHead, InvalidField> {
        self.fields.append(name, value)?;
        Ok(self)
    }

    /// A status below 200: an interim response, after which another one comes.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Can a response with this status and to this method have a body? (RFC 9112 §6.3)
    pub fn may_have_body(status: u16, method: Method) -> bool {
        !(method == Method::Head || status < 200 || matches!(status, 204 | 304))
    }
}
