//! Preconditions: may the answer be shorter than the file, because the client has it already, or must it fail, because
//! the client has another one? (RFC 9110 §13)

use dream_http::{Fields, Method, Name, RequestHead};
use std::time::SystemTime;

/// What tells one state of a file from another (RFC 9110 §8.8).
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag with its quotes; strong. Nothing while it is not known, which no tag of a client matches.
    pub etag: Option<&'a [u8]>,
    /// `Last-Modified`, whole seconds.
    pub modified: SystemTime,
}

/// How a GET or HEAD goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As if there were no precondition; a `Range` field counts.
    Proceed,
    /// As if there were no precondition, but with the whole file (`If-Range` did not match).
    ProceedWhole,
    /// 304: the client's copy is good.
    NotModified,
    /// 412: the client wanted another state of the file.
    Failed,
}

/// Evaluates the preconditions of a GET or HEAD for a file that exists, in the order of RFC 9110 §13.2.2.
pub fn evaluate(head: &RequestHead, current: Validators<'_>) -> Verdict {
    let fields = &head.fields;
    // Step 1, and step 2 only where there is no If-Match.
    let matches = if fields.has(Name::IfMatch) {
        any_tag(fields, Name::IfMatch, |tag| tag.is_strongly(current.etag))
    } else {
        date(fields, Name::IfUnmodifiedSince).is_none_or(|since| current.modified <= since)
    };
    if !matches {
        return Verdict::Failed;
    }
    // Step 3, and step 4 only where there is no If-None-Match.
    let known = if fields.has(Name::IfNoneMatch) {
        any_tag(fields, Name::IfNoneMatch, |tag| tag.is_weakly(current.etag))
    } else {
        date(fields, Name::IfModifiedSince).is_some_and(|since| current.modified <= since)
    };
    if known {
        return Verdict::NotModified;
    }
    // Step 5. RFC 9110 §13.1.5: If-Range means nothing without Range.
    let ranged = head.method == Method::Get && fields.has(Name::Range);
    if ranged && fields.has(Name::IfRange) && !if_range(fields, current) {
        return Verdict::ProceedWhole;
    }
    Verdict::Proceed
}

/// Do the preconditions among `fields` let a file be changed that is in the state `current`, or not there? (RFC 9110 §13.2.2)
pub fn allows_change(fields: &Fields, current: Option<Validators<'_>>) -> bool {
    let is_any = |name, matches: &dyn Fn(Tag<'_>, Option<&[u8]>) -> bool| {
        current.is_some_and(|now| any_tag(fields, name, |tag| matches(tag, now.etag)))
    };
    let matches = match (fields.has(Name::IfMatch), current) {
        (true, _) => is_any(Name::IfMatch, &|tag, etag| tag.is_strongly(etag)),
        (false, Some(now)) => {
            date(fields, Name::IfUnmodifiedSince).is_none_or(|since| now.modified <= since)
        }
        (false, None) => true,
    };
    matches && !is_any(Name::IfNoneMatch, &|tag, etag| tag.is_weakly(etag))
}

/// RFC 9110 §13.1.5: one strong tag, or one date that matches exactly.
fn if_range(fields: &Fields, current: Validators<'_>) -> bool {
    let Some(value) = single(fields, Name::IfRange) else {
        return false;
    };
    match parse_tag(value) {
        Some((tag, b"")) => tag.is_strongly(current.etag),
        Some(_) => false,
        None => parse_date(value) == Some(current.modified),
    }
}

/// Does a list of entity tags hold one that `matches`, or is it `*`, which any existing file matches?
/// (RFC 9110 §13.1.1, §13.1.2)
fn any_tag(fields: &Fields, name: Name, matches: impl Fn(Tag<'_>) -> bool) -> bool {
    single(fields, name) == Some(b"*")
        || fields.get_all(name).any(|value| Tags(value).any(&matches))
}

/// An entity tag as a client sent it (RFC 9110 §8.8.3).
#[derive(Clone, Copy)]
struct Tag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

impl Tag<'_> {
    /// RFC 9110 §8.8.3.2, where `etag` is strong.
    fn is_strongly(self, etag: Option<&[u8]>) -> bool {
        !self.weak && Some(self.opaque) == etag
    }

    /// RFC 9110 §8.8.3.2, where `etag` is strong.
    fn is_weakly(self, etag: Option<&[u8]>) -> bool {
        Some(self.opaque) == etag
    }
}

/// The members of a list of entity tags up to its end or to what breaks the grammar. A comma may stand within a tag, so
/// that the list cannot just be split.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let (tag, rest) = parse_tag(self.0)?;
        let rest = rest.trim_ascii_start();
        // A tag is followed by a comma or by the end; else it is no tag.
        if !matches!(rest, [] | [b',', ..]) {
            self.0 = &[];
            return None;
        }
        self.0 = rest;
        Some(tag)
    }
}

/// The tag at the beginning of `text`, and what follows it.
fn parse_tag(text: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    // RFC 9110 §8.8.3: `W/` is case-sensitive.
    let (weak, quoted) = match text {
        [b'W', b'/', quoted @ ..] => (true, quoted),
        _ => (false, text),
    };
    let [b'"', inside @ ..] = quoted else {
        return None;
    };
    let end = memchr::memchr(b'"', inside)?;
    let is_etagc = |byte: &u8| *byte == b'!' || (*byte >= 0x23 && *byte != 0x7f);
    if !inside[..end].iter().all(is_etagc) {
        return None;
    }
    let (opaque, rest) = quoted.split_at(end + 2);
    Some((Tag { weak, opaque }, rest))
}

/// The date that a field holds; a field that is no date, or is there twice, is ignored (RFC 9110 §13.1.3, §13.1.4).
fn date(fields: &Fields, name: Name) -> Option<SystemTime> {
    parse_date(single(fields, name)?)
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// The value of a field that may be there once only.
pub fn single(fields: &Fields, name: Name) -> Option<&[u8]> {
    let mut values = fields.get_all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn verdict(method: &[u8], fields: &[(Name, &str)]) -> Verdict {
        let mut head = RequestHead::new();
        head.set_method(method);
        for (name, value) in fields {
            head.fields.append(*name, value.as_bytes()).unwrap();
        }
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let current = Validators {
            etag: Some(b"\"now\""),
            modified,
        };
        evaluate(&head, current)
    }

    #[test]
    fn tags() {
        use Name::{IfMatch, IfNoneMatch};
        use Verdict::{Failed, NotModified, Proceed};
        for (name, value, expected) in [
            (IfNoneMatch, "\"now\"", NotModified),
            (IfNoneMatch, "W/\"now\"", NotModified),
            (IfNoneMatch, "*", NotModified),
            (IfNoneMatch, "\"a\", \"now\"", NotModified),
            (IfNoneMatch, "\"a,b\" ,,\t\"now\"", NotModified),
            (IfNoneMatch, "\"a\"", Proceed),
            (IfNoneMatch, "now", Proceed),
            (IfNoneMatch, "w/\"now\"", Proceed),
            (IfNoneMatch, "\"now", Proceed),
            (IfNoneMatch, "\"now\"x", Proceed),
            (IfNoneMatch, "\"a\" \"now\"", Proceed),
            (IfNoneMatch, "\"a b\", \"now\"", Proceed),
            (IfNoneMatch, "", Proceed),
            (IfMatch, "\"now\"", Proceed),
            (IfMatch, "*", Proceed),
            (IfMatch, "\"a\",\"now\"", Proceed),
            (IfMatch, "W/\"now\"", Failed),
            (IfMatch, "\"a\"", Failed),
            (IfMatch, "", Failed),
        ] {
            assert_eq!(verdict(b"GET", &[(name, value)]), expected, "{value}");
        }
        let two_lines = [(IfNoneMatch, "\"a\""), (IfNoneMatch, "\"now\"")];
        assert_eq!(verdict(b"GET", &two_lines), NotModified);
    }

    #[test]
    fn dates() {
        use Name::{IfModifiedSince, IfUnmodifiedSince};
        use Verdict::{Failed, NotModified, Proceed};
        for (name, value, expected) in [
            (IfModifiedSince, BEFORE, Proceed),
            (IfModifiedSince, SAME, NotModified),
            (IfModifiedSince, AFTER, NotModified),
            (
                IfModifiedSince,
                "Sunday, 06-Nov-94 08:49:37 GMT",
                NotModified,
            ),
            (IfModifiedSince, "Sun Nov  6 08:49:37 1994", NotModified),
            (IfModifiedSince, "yesterday", Proceed),
            (IfModifiedSince, "784111777", Proceed),
            (IfUnmodifiedSince, BEFORE, Failed),
            (IfUnmodifiedSince, SAME, Proceed),
            (IfUnmodifiedSince, AFTER, Proceed),
            (IfUnmodifiedSince, "yesterday", Proceed),
        ] {
            assert_eq!(verdict(b"GET", &[(name, value)]), expected, "{value}");
            assert_eq!(verdict(b"HEAD", &[(name, value)]), expected, "{value}");
        }
        let twice = [(IfModifiedSince, SAME), (IfModifiedSince, SAME)];
        assert_eq!(verdict(b"GET", &twice), Proceed);
    }

    #[test]
    fn precedence() {
        use Name::{IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince};
        use Verdict::{Failed, NotModified, Proceed};
        for (fields, expected) in [
            ([(IfNoneMatch, "\"a\""), (IfModifiedSince, SAME)], Proceed),
            (
                [(IfNoneMatch, "\"now\""), (IfModifiedSince, BEFORE)],
                NotModified,
            ),
            ([(IfMatch, "\"now\""), (IfUnmodifiedSince, BEFORE)], Proceed),
            ([(IfMatch, "\"a\""), (IfUnmodifiedSince, SAME)], Failed),
            ([(IfMatch, "\"a\""), (IfNoneMatch, "\"now\"")], Failed),
            (
                [(IfMatch, "\"now\""), (IfNoneMatch, "\"now\"")],
                NotModified,
            ),
            (
                [(IfUnmodifiedSince, BEFORE), (IfModifiedSince, SAME)],
                Failed,
            ),
            (
                [(IfUnmodifiedSince, SAME), (IfModifiedSince, SAME)],
                NotModified,
            ),
        ] {
            assert_eq!(verdict(b"GET", &fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn if_range_needs_an_exact_match() {
        use Verdict::{Proceed, ProceedWhole};
        for (value, expected) in [
            ("\"now\"", Proceed),
            (SAME, Proceed),
            ("W/\"now\"", ProceedWhole),
            ("\"a\"", ProceedWhole),
            ("\"now\", \"a\"", ProceedWhole),
            (BEFORE, ProceedWhole),
            (AFTER, ProceedWhole),
            ("nonsense", ProceedWhole),
        ] {
            let fields = [(Name::Range, "bytes=0-1"), (Name::IfRange, value)];
            assert_eq!(verdict(b"GET", &fields), expected, "{value}");
            assert_eq!(verdict(b"HEAD", &fields), Proceed, "{value}");
            assert_eq!(verdict(b"GET", &fields[1..]), Proceed, "{value}");
        }
    }
}
