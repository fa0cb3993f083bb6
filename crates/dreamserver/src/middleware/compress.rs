//! Makes bodies smaller on their way out, for clients that say they take them so (RFC 9110 §8.4, §12.5.3).
//!
//! A coded body is another representation, so whatever tells of the body is changed with it: the entity tag becomes a weak one,
//! caches learn by `Vary` what it depends on, and the answers to HEAD and to a condition say the same as the one to GET.

use super::Flow;
use crate::coding::{CompressOptions, Encoder, accepted, compressed, is_event_stream};
use crate::error;
use crate::exchange::{Body, Request, Response, put};
use dream_http::{Choice, Coding, Fields, Method, Name, ResponseHead};
use memchr::memmem;

/// The middleware.
#[derive(Clone, Debug)]
pub struct Compress {
    options: CompressOptions,
}

impl Compress {
    /// Goes by these options.
    pub fn new(options: CompressOptions) -> Compress {
        Compress { options }
    }

    /// The handler knows its strong tags and not the weak ones that were made of them: who sends one back means the same state.
    pub(super) fn on_request(&self, request: &mut Request) -> Flow {
        let fields = &mut request.head.fields;
        if fields.has(Name::IfMatch) {
            strengthen(fields);
        }
        Flow::Continue
    }

    pub(super) fn on_response(&self, request: &Request, response: &mut Response) {
        if response.head.status == 304 {
            return self.keep_tag_of_client(request, &mut response.head);
        }
        let accepted = &request.head.fields;
        let may_matter = if self.is_worthwhile(request, response) {
            vary(&mut response.head.fields);
            accepted.has(Name::AcceptEncoding)
        } else {
            may_refuse_identity(accepted) && is_whole(response)
        };
        if !may_matter || has_digest(&response.head.fields) {
            return;
        }
        match self.choice(request) {
            Choice::Coded(coding) => code(coding, request, response),
            Choice::Identity => {}
            Choice::Nothing => refuse(request, response),
        }
    }

    /// What the client gets of what is worthwhile.
    fn choice(&self, request: &Request) -> Choice {
        let offered = self.options.codings.iter().copied();
        accepted(&request.head).choose(offered)
    }

    /// A 304 names the tag that the client has: the weak one, if it got that from here.
    fn keep_tag_of_client(&self, request: &Request, head: &mut ResponseHead) {
        let strong = head.fields.get(Name::Etag);
        let Some(strong) = strong.filter(|tag| tag.starts_with(b"\"")) else {
            return;
        };
        if names_weak(request, strong) && matches!(self.choice(request), Choice::Coded(_)) {
            weaken(&mut head.fields);
            vary(&mut head.fields);
        }
    }

    /// The quick questions first: most answers are not to be coded.
    fn is_worthwhile(&self, request: &Request, response: &Response) -> bool {
        let is_long = len(request, response).is_none_or(|len| len >= self.options.min_size);
        let media_type = || response.head.fields.get(Name::ContentType);
        let is_kind = |media_type: &_| self.options.fits(media_type);
        is_long && media_type().is_some_and(is_kind) && is_whole(response)
    }
}

/// The length of the body that GET would bring, where it is known.
fn len(request: &Request, response: &Response) -> Option<u64> {
    match request.head.method {
        Method::Head => response.head.content_length,
        _ => response.body.len(),
    }
}

/// Is the body, as it stands, all of something that may be coded?
fn is_whole(response: &Response) -> bool {
    let ResponseHead { status, fields, .. } = &*response.head;
    // Parts are of one representation only (RFC 9110 §14.4); 205 has no content.
    ResponseHead::may_have_body(*status, Method::Get)
        && !matches!(status, 205 | 206)
        && !matches!(response.body, Body::Tunnel(_))
        && !fields.has(Name::ContentEncoding)
        && !fields.has(Name::ContentRange)
        // RFC 9111 §5.2.2.6
        && !fields.has_token(Name::CacheControl, b"no-transform")
}

/// RFC 9530: a digest is of the content as it was.
fn has_digest(fields: &Fields) -> bool {
    let is_one = |text: &[u8]| DIGESTS.iter().any(|name| text.eq_ignore_ascii_case(name));
    fields.iter().any(|field| is_one(field.text))
}

const DIGESTS: [&[u8]; 4] = [b"Content-Digest", b"Repr-Digest", b"Digest", b"Content-MD5"];

/// Only who says `q=0` refuses anything, which is rare: all others need not be read for this.
fn may_refuse_identity(fields: &Fields) -> bool {
    let mut values = fields.get_all(Name::AcceptEncoding);
    values.any(|value| memmem::find(value, b"=0").is_some())
}

/// RFC 9110 §12.5.5
fn vary(fields: &mut Fields) {
    let says_so = fields.has_token(Name::Vary, b"Accept-Encoding");
    if !says_so && !fields.has_token(Name::Vary, b"*") {
        put(fields, Name::Vary, b"Accept-Encoding");
    }
}

fn code(coding: Coding, request: &Request, response: &mut Response) {
    let known = weaken(&mut response.head.fields) && is_known(request, &response.head);
    if known {
        return not_modified(response);
    }
    let is_head = request.head.method == Method::Head;
    if !is_head && !wrap(coding, response) {
        return;
    }
    let head = &mut response.head;
    head.content_length = None;
    put(
        &mut head.fields,
        Name::ContentEncoding,
        coding.as_str().as_bytes(),
    );
    // Nobody here can give a part of what is coded on its way.
    head.fields.remove(Name::AcceptRanges);
}

/// False where this core has as many encoders as it may: then the body goes out as it is.
fn wrap(coding: Coding, response: &mut Response) -> bool {
    let media_type = response.head.fields.get(Name::ContentType);
    let events = media_type.is_some_and(is_event_stream);
    let encoder = Encoder::take(coding, response.body.len(), events);
    let Some(encoder) = encoder else {
        return false;
    };
    let body = std::mem::take(&mut response.body);
    response.body = compressed(body, encoder);
    true
}

/// RFC 9110 §8.8.3: the coded body is as good as the other, but not the same byte by byte. Tells whether there was a strong tag.
fn weaken(fields: &mut Fields) -> bool {
    let Some(tag) = fields.get(Name::Etag).filter(|tag| tag.starts_with(b"\"")) else {
        return false;
    };
    let weak = [b"W/", tag].concat();
    let set = fields.set(Name::Etag, &weak);
    debug_assert!(set.is_ok(), "the tag was in a field before");
    true
}

/// Has the client, by its own word, what is about to be sent? An endpoint that compares tags as texts does not see that the weak one
/// is its own (RFC 9110 §13.1.2).
fn is_known(request: &Request, head: &ResponseHead) -> bool {
    let is_read = matches!(request.head.method, Method::Get | Method::Head);
    let tag = head.fields.get(Name::Etag);
    let strong = tag.and_then(|tag| tag.strip_prefix(b"W/"));
    is_read && head.status == 200 && strong.is_some_and(|strong| names_weak(request, strong))
}

/// Does the client's `If-None-Match` name the weak form of this tag, letter by letter?
fn names_weak(request: &Request, strong: &[u8]) -> bool {
    let is_weak = |text: &[u8]| text.strip_prefix(b"W/") == Some(strong);
    let holds = |value: &[u8]| value.windows(b"W/".len() + strong.len()).any(is_weak);
    let mut values = request.head.fields.get_all(Name::IfNoneMatch);
    // With a comma in it, what looks like a tag may be the space between two.
    !strong.contains(&b',') && values.any(holds)
}

/// RFC 9110 §15.4.5: without what tells of the content, which the client has.
fn not_modified(response: &mut Response) {
    response.body = Body::Empty;
    let head = &mut response.head;
    head.set_status(304);
    head.content_length = None;
    for name in [Name::ContentType, Name::LastModified, Name::AcceptRanges] {
        head.fields.remove(name);
    }
}

/// RFC 9110 §15.5.7, for who only reads: what another method has done, it has done.
fn refuse(request: &Request, response: &mut Response) {
    let is_read = matches!(request.head.method, Method::Get | Method::Head);
    if !is_read || !(200..300).contains(&response.head.status) {
        return;
    }
    let detail = "None of the content codings that this request accepts can be had here.";
    *response = error::page(406, request, detail);
    vary(&mut response.head.fields);
}

/// Takes the `W/` from the tags in `If-Match`, which compares strongly (RFC 9110 §13.1.1).
fn strengthen(fields: &mut Fields) {
    let is_weak = |value: &[u8]| memmem::find(value, b"W/\"").is_some();
    if !fields.get_all(Name::IfMatch).any(is_weak) {
        return;
    }
    let values: Vec<Vec<u8>> = fields.get_all(Name::IfMatch).map(without_weak).collect();
    fields.remove(Name::IfMatch);
    for value in values {
        put(fields, Name::IfMatch, &value);
    }
}

fn without_weak(value: &[u8]) -> Vec<u8> {
    let mut strong = Vec::with_capacity(value.len());
    let (mut rest, mut is_inside) = (value, false);
    while let [byte, behind @ ..] = rest {
        rest = match rest {
            [b'W', b'/', quoted @ ..] if !is_inside && quoted.starts_with(b"\"") => quoted,
            _ => {
                is_inside ^= *byte == b'"';
                strong.push(*byte);
                behind
            }
        };
    }
    strong
}
