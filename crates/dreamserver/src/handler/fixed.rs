//! Answers that the configuration spells out: redirects and fixed text.

use crate::exchange::{Body, Request, Response};
use crate::template::Template;
use bytes::Bytes;
use dream_http::{Method, Name};

/// Sends the client elsewhere.
#[derive(Clone, Debug)]
pub struct Redirect {
    to: Template,
    status: u16,
}

impl Redirect {
    /// A redirect to where `to` leads.
    pub fn new(to: Template, status: u16) -> Redirect {
        Redirect { to, status }
    }

    /// The redirect for `request`.
    pub fn answer(&self, request: &Request) -> Response {
        let head = &request.head;
        let host = host_without_port(head.host());
        let location = self.to.expand(host, head.path(), head.query());
        let mut response = Response::new(self.status);
        let added = response.head.fields.append(Name::Location, &location);
        debug_assert!(added.is_ok(), "targets hold visible characters only");
        response
    }
}

fn host_without_port(host: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b':', host).filter(|at| memchr::memchr(b']', &host[*at..]).is_none());
    &host[..end.unwrap_or(host.len())]
}

/// Answers with fixed text.
#[derive(Clone, Debug)]
pub struct Respond {
    status: u16,
    body: Bytes,
    content_type: String,
}

impl Respond {
    /// An answer with this status, body and media type.
    pub fn new(status: u16, body: String, content_type: String) -> Respond {
        Respond {
            status,
            body: body.into(),
            content_type,
        }
    }

    /// The answer to `request`.
    pub fn answer(&self, request: &Request) -> Response {
        let mut response = Response::new(self.status);
        if !self.body.is_empty() {
            let named = response
                .head
                .fields
                .append(Name::ContentType, self.content_type.as_bytes());
            debug_assert!(named.is_ok(), "checked by the configuration");
        }
        if request.head.method == Method::Head {
            response.head.content_length = Some(self.body.len() as u64);
        } else {
            response.body = Body::Bytes(self.body.clone());
        }
        response
    }
}
