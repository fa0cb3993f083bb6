//! Short ways to the usual responses.

use super::{Body, Response};
use dream_http::{Fields, Name};
use serde::Serialize;

/// Adds a field whose value is known to be clean: our own text, or text from a parsed head.
pub(crate) fn put(fields: &mut Fields, name: Name, value: &[u8]) {
    let added = fields.append(name, value);
    debug_assert!(added.is_ok(), "{name:?} cannot be {value:?}");
}

impl Response {
    /// 200 with a text.
    pub fn text(text: impl Into<String>) -> Response {
        Response::of(b"text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// 200 with a page.
    pub fn html(page: impl Into<String>) -> Response {
        Response::of(b"text/html; charset=utf-8", page.into().into_bytes())
    }

    /// 200 with `value` as JSON; 500 if it cannot be written as that.
    pub fn json(value: &impl Serialize) -> Response {
        match serde_json::to_vec(value) {
            Ok(json) => Response::of(b"application/json", json),
            Err(error) => {
                tracing::error!(%error, "a value cannot be written as JSON");
                Response::new(500)
            }
        }
    }

    /// The same with another status.
    pub fn with_status(mut self, status: u16) -> Response {
        self.head.set_status(status);
        self
    }

    /// The same with another body. Its media type is not told by it: that is a field.
    pub fn with_body(mut self, body: impl Into<Body>) -> Response {
        self.body = body.into();
        self
    }

    fn of(media_type: &[u8], bytes: Vec<u8>) -> Response {
        let mut response = Response::new(200);
        put(&mut response.head.fields, Name::ContentType, media_type);
        response.body = Body::from(bytes);
        response
    }
}

/// 200 with a text.
impl From<String> for Response {
    fn from(text: String) -> Response {
        Response::text(text)
    }
}

/// 200 with a text.
impl From<&str> for Response {
    fn from(text: &str) -> Response {
        Response::text(text)
    }
}

/// What went well, or what to say when it did not.
impl<T: Into<Response>, E: Into<Response>> From<Result<T, E>> for Response {
    fn from(result: Result<T, E>) -> Response {
        result.map_or_else(Into::into, Into::into)
    }
}
