//! The operator's own pages for errors, in the place of the built-in ones.
//!
//! They are read with the configuration and kept in memory: the moment when they are needed is one at which something fails, and no
//! disk, descriptor or endpoint must be needed then. An endpoint's own errors are its own.

use bytes::Bytes;
use dream_http::{Method, Name};
use std::fmt;
use std::str::FromStr;

use crate::exchange::{Body, Request, Response};

/// Which errors a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statuses {
    /// One status, 400 to 599.
    One(u16),
    /// All from 400 (`4xx`) or 500 (`5xx`) on.
    Class(u16),
}

impl Statuses {
    fn hold(self, status: u16) -> bool {
        match self {
            Statuses::One(one) => one == status,
            Statuses::Class(first) => (first..first + 100).contains(&status),
        }
    }
}

impl FromStr for Statuses {
    type Err = InvalidStatuses;

    fn from_str(text: &str) -> Result<Statuses, InvalidStatuses> {
        match text {
            "4xx" => Ok(Statuses::Class(400)),
            "5xx" => Ok(Statuses::Class(500)),
            _ => match text.parse() {
                Ok(status @ 400..=599) => Ok(Statuses::One(status)),
                _ => Err(InvalidStatuses),
            },
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statuses::One(status) => status.fmt(f),
            Statuses::Class(first) => write!(f, "{}xx", first / 100),
        }
    }
}

/// A text that names no errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidStatuses;

impl fmt::Display for InvalidStatuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not the status of an error: 400 to 599, `4xx` or `5xx`")
    }
}

impl std::error::Error for InvalidStatuses {}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// Its media type.
    pub content_type: String,
    /// The whole of it.
    pub body: Bytes,
}

/// The middleware. It stands first in its chain, so that it sees the errors of all that stands behind it.
#[derive(Clone, Debug)]
pub struct ErrorPages {
    /// One status before all classes.
    pages: Vec<(Statuses, ErrorPage)>,
}

impl ErrorPages {
    /// The most bytes of a page: it is kept in memory, and is for a person to read.
    pub const MAX_PAGE: u64 = 1024 * 1024;

    /// These pages, in any order.
    pub fn new(mut pages: Vec<(Statuses, ErrorPage)>) -> ErrorPages {
        pages.sort_by_key(|(statuses, _)| *statuses);
        ErrorPages { pages }
    }

    /// Puts the page for it in the place of `response`, if that is an error of ours for which there is one. The status stays, and so
    /// do the fields that say more of the error.
    pub fn dress(&self, request: &Request, response: &mut Response) {
        let status = response.head.status;
        let is_ours = response.endpoint.is_none() || response.reason.is_some();
        if status < 400 || !is_ours {
            return;
        }
        let mut pages = self.pages.iter();
        let Some((_, page)) = pages.find(|(statuses, _)| statuses.hold(status)) else {
            return;
        };
        let fields = &mut response.head.fields;
        fields.remove_where(|field| REPRESENTATION.contains(&field.name));
        let typed = fields.append(Name::ContentType, page.content_type.as_bytes());
        debug_assert!(typed.is_ok(), "media types are clean");
        let for_head = request.head.method == Method::Head;
        response.head.content_length = for_head.then_some(page.body.len() as u64);
        response.body = match for_head {
            true => Body::Empty,
            false => Body::Bytes(page.body.clone()),
        };
    }
}

/// What speaks of the body that was there before.
const REPRESENTATION: [Name; 5] = [
    Name::AcceptRanges,
    Name::ContentEncoding,
    Name::ContentType,
    Name::Etag,
    Name::LastModified,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;
    use crate::exchange::EndpointTrace;
    use dream_http::RequestHead;
    use std::time::Duration;

    fn pages() -> ErrorPages {
        let page = |text: &'static str| ErrorPage {
            content_type: "text/html; charset=utf-8".into(),
            body: Bytes::from_static(text.as_bytes()),
        };
        ErrorPages::new(vec![
            (Statuses::Class(500), page("any 5xx")),
            (Statuses::One(404), page("lost")),
            (Statuses::One(503), page("later")),
        ])
    }

    fn request(method: &str) -> Request {
        let mut head = RequestHead::new();
        head.set_method(method.as_bytes());
        Request::of_nobody(head)
    }

    fn text(response: &Response) -> &str {
        match &response.body {
            Body::Bytes(bytes) => str::from_utf8(bytes).unwrap(),
            _ => "",
        }
    }

    #[test]
    fn the_most_special_page_is_taken() {
        let request = request("GET");
        for (status, expected) in [(404, "lost"), (503, "later"), (502, "any 5xx")] {
            let mut response = error::page(status, &request, "detail");
            let retry = response.head.fields.append(Name::RetryAfter, b"1");
            retry.unwrap();
            pages().dress(&request, &mut response);
            assert_eq!((response.head.status, text(&response)), (status, expected));
            let fields = &response.head.fields;
            assert_eq!(
                fields.get(Name::ContentType),
                Some(&b"text/html; charset=utf-8"[..])
            );
            assert_eq!(fields.get_all(Name::ContentType).count(), 1);
            assert_eq!(fields.get(Name::CacheControl), Some(&b"no-store"[..]));
            assert!(fields.has(Name::RetryAfter));
        }
        let mut other = error::page(403, &request, "detail");
        pages().dress(&request, &mut other);
        assert!(text(&other).contains("detail"));
    }

    #[test]
    fn an_endpoints_own_error_is_left_alone() {
        let trace = EndpointTrace {
            address: "localhost:1".into(),
            latency: Duration::ZERO,
        };
        let mut theirs = Response::new(404);
        theirs.body = Body::Bytes(Bytes::from_static(b"theirs"));
        theirs.endpoint = Some(trace.clone());
        pages().dress(&request("GET"), &mut theirs);
        assert_eq!(text(&theirs), "theirs");
        let mut down = error::page(502, &request("GET"), "down");
        down.endpoint = Some(trace);
        down.reason = Some("refused".into());
        pages().dress(&request("GET"), &mut down);
        assert_eq!(text(&down), "any 5xx");
    }

    #[test]
    fn head_tells_the_length() {
        let request = request("HEAD");
        let mut response = error::page(404, &request, "detail");
        pages().dress(&request, &mut response);
        assert_eq!(response.head.content_length, Some(4));
        assert!(response.body.is_empty());
    }

    #[test]
    fn statuses_are_written_as_they_are_read() {
        for text in ["404", "4xx", "5xx", "599"] {
            let statuses: Statuses = text.parse().unwrap();
            assert_eq!(statuses.to_string(), text);
        }
        for text in ["", "200", "3xx", "600", "40", "4XX", "x", "0404x"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
