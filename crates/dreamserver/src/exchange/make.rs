//! Short ways to the usual responses.

use super::{Body, Response};
use dream_http::Name;
use serde::Serialize;

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

    fn of(media_type: &[u8], bytes: Vec<u8>) -> Response {
        let mut response = Response::new(200);
        let typed = response.head.fields.append(Name::ContentType, media_type);
        debug_assert!(typed.is_ok(), "a type is clean");
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
