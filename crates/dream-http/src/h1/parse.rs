//! Heads from bytes, resumable at any byte.

use crate::{Method, Reject, RequestHead, ResponseHead};

/// Bounds on what a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a whole head, its empty line included.
    pub head: usize,
    /// Number of fields.
    pub fields: usize,
    /// Bytes of a request target.
    pub target: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: 16 * 1024,
            fields: 100,
            target: 8 * 1024,
        }
    }
}

/// Parses the heads of requests, one after the other.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
}

impl RequestParser {
    /// A parser at the start of a head.
    pub fn new(limits: Limits) -> RequestParser {
        RequestParser { limits }
    }

    /// Goes on parsing. `input` begins where the message begins (or with the empty lines that may stand before a
    /// request, RFC 9112 §2.2) and holds all that came so far. `Some(n)`: the head is whole, `head` is filled and owns a copy of it,
    /// the body begins at `input[n]`, and the parser is at the start again. `None`: more bytes are needed; call again with the same
    /// bytes and more behind them: what was looked at is not looked at again.
    ///
    /// # Errors
    /// [`Reject`] with the rule that was broken. The connection cannot be used further.
    pub fn parse(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Option<usize>, Reject> {
        let _ = (input, head, self.limits);
        Ok(None)
    }

    /// Has a byte of a request been seen (empty lines before it do not count)?
    pub fn has_begun(&self) -> bool {
        false
    }
}

/// Parses the heads of responses, one after the other.
#[derive(Debug)]
pub struct ResponseParser {
    limits: Limits,
}

impl ResponseParser {
    /// A parser at the start of a head.
    pub fn new(limits: Limits) -> ResponseParser {
        ResponseParser { limits }
    }

    /// As [`RequestParser::parse`]; `method` is that of the request which is answered, on which framing depends.
    ///
    /// # Errors
    /// [`Reject`] with the rule that was broken. The connection cannot be used further.
    pub fn parse(
        &mut self,
        input: &[u8],
        method: Method,
        head: &mut ResponseHead,
    ) -> Result<Option<usize>, Reject> {
        let _ = (input, method, head, self.limits);
        Ok(None)
    }
}
