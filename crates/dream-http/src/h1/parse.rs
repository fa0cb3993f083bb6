//! Heads from bytes, resumable at any byte.
//!
//! A parser runs over the connection's read buffer and keeps offsets only, those of the fields in the head that is to be filled.
//! When the head is whole its bytes are copied once, into the head, and the offsets point there.

use super::control::Control;
use super::framing;
use super::scan::{skip_target, skip_text, skip_token};
use super::section::{Section, line_end};
use super::target;
use crate::fields::Span;
use crate::head::TargetSpans;
use crate::{Fields, Method, Reason, Reject, RequestHead, ResponseHead, Version};

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
    place: RequestPlace,
    /// Bytes of empty lines before the request.
    skipped: usize,
    /// The next byte of the request to look at.
    at: usize,
    line: RequestLine,
    section: Section,
}

/// Where in a request the parser stopped.
#[derive(Clone, Copy, Debug)]
enum RequestPlace {
    EmptyLines,
    Method,
    Target,
    Version,
    Fields,
    Refused(Reject),
}

/// What the first line of a request said.
#[derive(Clone, Copy, Debug, Default)]
struct RequestLine {
    method: Method,
    method_at: Span,
    target: TargetSpans,
    version: Version,
}

impl RequestParser {
    /// A parser at the start of a head.
    pub fn new(limits: Limits) -> RequestParser {
        RequestParser {
            limits: bounded(limits),
            place: RequestPlace::EmptyLines,
            skipped: 0,
            at: 0,
            line: RequestLine::default(),
            section: Section::default(),
        }
    }

    /// Goes on parsing. `input` begins where the message begins (or with the empty lines that may stand before a
    /// request, RFC 9112 §2.2) and holds all that came so far. `Some(n)`: the head is whole, `head` is filled and owns a copy of it,
    /// the body begins at `input[n]`, and the parser is at the start again. `None`: more bytes are needed; call again with the same
    /// `head`, the same bytes and more behind them: what was looked at is not looked at again.
    ///
    /// # Errors
    /// [`Reject`] with the rule that was broken, and again at each further call: the connection cannot be used.
    pub fn parse(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Option<usize>, Reject> {
        let parsed = self.go_on(input, head);
        if let Err(reject) = parsed {
            self.place = RequestPlace::Refused(reject);
        }
        parsed
    }

    /// Has a byte of a request been seen (empty lines before it do not count)?
    pub fn has_begun(&self) -> bool {
        !matches!(self.place, RequestPlace::EmptyLines)
    }

    fn go_on(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Option<usize>, Reject> {
        if matches!(self.place, RequestPlace::EmptyLines) && !self.empty_lines(input)? {
            return Ok(None);
        }
        let message = &input[self.skipped..];
        let window = &message[..message.len().min(self.limits.head)];
        match self.message(window, &mut head.fields)? {
            Some(end) => self.finish(&window[..end], head).map(Some),
            None if window.len() == self.limits.head => {
                Err(Reject::new(Reason::HeadTooLarge, window.len()))
            }
            None => Ok(None),
        }
    }

    /// RFC 9112 §2.2: a server ignores at least one empty line before a request.
    fn empty_lines(&mut self, input: &[u8]) -> Result<bool, Reject> {
        while self.skipped < MAX_EMPTY_LINES * 2 && input.get(self.skipped) == Some(&b'\r') {
            match line_end(&input[self.skipped..], 0)? {
                Some(len) => self.skipped += len,
                None => return Ok(false),
            }
        }
        if self.skipped < input.len() {
            self.place = RequestPlace::Method;
        }
        Ok(self.has_begun())
    }

    /// Goes on with the request that begins at `message[0]`.
    fn message(&mut self, message: &[u8], fields: &mut Fields) -> Result<Option<usize>, Reject> {
        if let RequestPlace::Refused(reject) = self.place {
            return Err(reject);
        }
        if matches!(self.place, RequestPlace::Method) {
            fields.clear();
            if !self.method(message)? {
                return Ok(None);
            }
        }
        if matches!(self.place, RequestPlace::Target) && !self.target(message)? {
            return Ok(None);
        }
        if matches!(self.place, RequestPlace::Version) && !self.version(message)? {
            return Ok(None);
        }
        self.section
            .parse(message, self.limits.fields, &mut fields.lines)
    }

    /// RFC 9112 §3.1
    fn method(&mut self, message: &[u8]) -> Result<bool, Reject> {
        let window = &message[..message.len().min(MAX_METHOD)];
        let (known, end) = match message {
            [b'G', b'E', b'T', b' ', ..] => (Some(Method::Get), 3),
            [b'P', b'O', b'S', b'T', b' ', ..] => (Some(Method::Post), 4),
            _ => (None, skip_token(window, self.at)),
        };
        self.at = end;
        match message.get(self.at) {
            None => return Ok(false),
            Some(b' ') if self.at > 0 => {}
            Some(_) => return Err(Reject::new(Reason::Method, self.at)),
        }
        self.line.method = known.unwrap_or_else(|| Method::parse(&message[..self.at]));
        self.line.method_at = Span {
            at: 0,
            len: self.at as u32,
        };
        self.at += 1;
        self.line.target.whole.at = self.at as u32;
        self.place = RequestPlace::Target;
        Ok(true)
    }

    /// RFC 9112 §3.2
    fn target(&mut self, message: &[u8]) -> Result<bool, Reject> {
        let start = self.line.target.whole.at as usize;
        let window = &message[..message.len().min(start + self.limits.target + 1)];
        self.at = skip_target(window, self.at);
        if self.at - start > self.limits.target {
            return Err(Reject::new(Reason::TargetTooLong, self.at));
        }
        let reason = match message.get(self.at) {
            None => return Ok(false),
            Some(b' ') if self.at > start => {
                self.line.target.whole.len = (self.at - start) as u32;
                self.at += 1;
                self.place = RequestPlace::Version;
                return Ok(true);
            }
            // A line that ends behind its target is HTTP/0.9.
            Some(b'\r' | b'\n') => Reason::Version,
            Some(_) => Reason::Target,
        };
        Err(Reject::new(reason, self.at))
    }

    /// RFC 9112 §2.3, and the end of the line.
    fn version(&mut self, message: &[u8]) -> Result<bool, Reject> {
        let Some(version) = version(message, self.at, Reason::Version)? else {
            return Ok(false);
        };
        let end = self.at + VERSION_LEN;
        let next = match message.get(end) {
            None => return Ok(false),
            Some(b'\r' | b'\n') => line_end(message, end)?,
            Some(_) => return Err(Reject::new(Reason::Version, end)),
        };
        let Some(next) = next else {
            return Ok(false);
        };
        self.line.version = version;
        let whole = self.line.target.whole;
        self.line.target = target::split(message, whole, self.line.method)?;
        self.section.begin(next);
        self.place = RequestPlace::Fields;
        Ok(true)
    }

    /// Fills `head` with the whole request head `message`, and starts over.
    fn finish(&mut self, message: &[u8], head: &mut RequestHead) -> Result<usize, Reject> {
        head.fields.fill(message);
        head.method = self.line.method;
        head.method_at = self.line.method_at;
        head.version = self.line.version;
        head.target = self.line.target;
        target::fill_path(head);

        let control = Control::find(&head.fields);
        target::check_host(head, &control)?;
        head.framing = framing::of_request(head.version, head.method, &control)?;
        head.keep_alive = control.keep_alive(head.version);
        head.expects_continue = control.expects_continue(head.version, head.framing);

        let end = self.skipped + message.len();
        self.place = RequestPlace::EmptyLines;
        self.skipped = 0;
        self.at = 0;
        Ok(end)
    }
}

/// Parses the heads of responses, one after the other.
#[derive(Debug)]
pub struct ResponseParser {
    limits: Limits,
    place: ResponsePlace,
    /// The next byte to look at.
    at: usize,
    status: u16,
    version: Version,
    section: Section,
}

/// Where in a response the parser stopped.
#[derive(Clone, Copy, Debug)]
enum ResponsePlace {
    Version,
    Status,
    Reason,
    Fields,
    Refused(Reject),
}

impl ResponseParser {
    /// A parser at the start of a head.
    pub fn new(limits: Limits) -> ResponseParser {
        ResponseParser {
            limits: bounded(limits),
            place: ResponsePlace::Version,
            at: 0,
            status: 0,
            version: Version::Http11,
            section: Section::default(),
        }
    }

    /// As [`RequestParser::parse`]; `method` is that of the request which is answered, on which framing depends.
    ///
    /// # Errors
    /// [`Reject`] with the rule that was broken, and again at each further call: the connection cannot be used.
    pub fn parse(
        &mut self,
        input: &[u8],
        method: Method,
        head: &mut ResponseHead,
    ) -> Result<Option<usize>, Reject> {
        let parsed = self.go_on(input, method, head);
        if let Err(reject) = parsed {
            self.place = ResponsePlace::Refused(reject);
        }
        parsed
    }

    fn go_on(
        &mut self,
        input: &[u8],
        method: Method,
        head: &mut ResponseHead,
    ) -> Result<Option<usize>, Reject> {
        let window = &input[..input.len().min(self.limits.head)];
        match self.message(window, &mut head.fields)? {
            Some(end) => self.finish(&window[..end], method, head).map(Some),
            None if window.len() == self.limits.head => {
                Err(Reject::new(Reason::HeadTooLarge, window.len()))
            }
            None => Ok(None),
        }
    }

    fn message(&mut self, message: &[u8], fields: &mut Fields) -> Result<Option<usize>, Reject> {
        loop {
            let whole = match self.place {
                ResponsePlace::Version => {
                    fields.clear();
                    self.version(message)?
                }
                ResponsePlace::Status => self.status(message)?,
                ResponsePlace::Reason => self.reason(message)?,
                ResponsePlace::Fields => {
                    return self
                        .section
                        .parse(message, self.limits.fields, &mut fields.lines);
                }
                ResponsePlace::Refused(reject) => return Err(reject),
            };
            if !whole {
                return Ok(None);
            }
        }
    }

    /// RFC 9112 §4: `HTTP/1.1` and a space. No empty line may stand before it: that would be a byte
    /// behind the end of the response before.
    fn version(&mut self, message: &[u8]) -> Result<bool, Reject> {
        let Some(version) = version(message, 0, Reason::StatusLine)? else {
            return Ok(false);
        };
        match message.get(VERSION_LEN) {
            None => return Ok(false),
            Some(b' ') => {}
            Some(_) => return Err(Reject::new(Reason::StatusLine, VERSION_LEN)),
        }
        self.version = version;
        self.place = ResponsePlace::Status;
        Ok(true)
    }

    /// Three digits, and the space behind them, which many servers leave out where no phrase follows.
    fn status(&mut self, message: &[u8]) -> Result<bool, Reject> {
        let mut status = 0;
        for at in STATUS_AT..STATUS_AT + 3 {
            match message.get(at) {
                None => return Ok(false),
                Some(b'0') if at == STATUS_AT => {
                    return Err(Reject::new(Reason::StatusLine, at));
                }
                Some(digit @ b'0'..=b'9') => status = status * 10 + u16::from(digit - b'0'),
                Some(_) => return Err(Reject::new(Reason::StatusLine, at)),
            }
        }
        self.at = match message.get(STATUS_AT + 3) {
            None => return Ok(false),
            Some(b' ') => STATUS_AT + 4,
            Some(b'\r') => STATUS_AT + 3,
            Some(b'\n') => return Err(Reject::new(Reason::LineEnd, STATUS_AT + 3)),
            Some(_) => return Err(Reject::new(Reason::StatusLine, STATUS_AT + 3)),
        };
        self.status = status;
        self.place = ResponsePlace::Reason;
        Ok(true)
    }

    fn reason(&mut self, message: &[u8]) -> Result<bool, Reject> {
        self.at = skip_text(message, self.at);
        let next = match message.get(self.at) {
            None => return Ok(false),
            Some(b'\r' | b'\n') => line_end(message, self.at)?,
            Some(_) => return Err(Reject::new(Reason::StatusLine, self.at)),
        };
        let Some(next) = next else {
            return Ok(false);
        };
        self.section.begin(next);
        self.place = ResponsePlace::Fields;
        Ok(true)
    }

    /// Fills `head` with the whole response head `message`, and starts over.
    fn finish(
        &mut self,
        message: &[u8],
        method: Method,
        head: &mut ResponseHead,
    ) -> Result<usize, Reject> {
        head.fields.fill(message);
        head.version = self.version;
        head.status = self.status;
        head.reason_at = Span {
            at: (STATUS_AT + 4).min(self.at) as u32,
            len: self.at.saturating_sub(STATUS_AT + 4) as u32,
        };

        let control = Control::find(&head.fields);
        let decided = framing::of_response(head.version, head.status, method, &control)?;
        head.framing = decided.framing;
        head.content_length = decided.content_length;
        head.keep_alive = decided.reusable && control.keep_alive(head.version);

        self.place = ResponsePlace::Version;
        self.at = 0;
        Ok(message.len())
    }
}

/// Offsets are kept in 32 bits.
fn bounded(limits: Limits) -> Limits {
    let most = u32::MAX as usize / 2;
    Limits {
        head: limits.head.min(most),
        target: limits.target.min(most),
        ..limits
    }
}

/// `HTTP/`, a digit, a dot and a digit (RFC 9112 §2.3), in this case only. A minor version that we do not know is
/// spoken to as 1.1 (RFC 9110 §2.5); another major version is not HTTP/1 at all.
fn version(bytes: &[u8], at: usize, malformed: Reason) -> Result<Option<Version>, Reject> {
    let text = &bytes[at..bytes.len().min(at + VERSION_LEN)];
    if text == b"HTTP/1.1" {
        return Ok(Some(Version::Http11));
    }
    for (index, (&byte, &model)) in text.iter().zip(b"HTTP/0.0").enumerate() {
        let fits = if model == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == model
        };
        if !fits {
            return Err(Reject::new(malformed, at + index));
        }
    }
    match text {
        b"HTTP/1.0" => Ok(Some(Version::Http10)),
        [.., b'1', b'.', _] if text.len() == VERSION_LEN => Ok(Some(Version::Http11)),
        _ if text.len() == VERSION_LEN => Err(Reject::new(Reason::VersionUnsupported, at + 5)),
        _ => Ok(None),
    }
}

/// The length of `HTTP/1.1`.
const VERSION_LEN: usize = 8;

/// Where the status code stands in a status line.
const STATUS_AT: usize = VERSION_LEN + 1;

/// Bytes of a method. The longest registered one (UPDATEREDIRECTREF) has 17; nginx takes 32.
const MAX_METHOD: usize = 32;

/// Empty lines before a request: some old clients send one behind a body (RFC 9112 §2.2); more are noise.
const MAX_EMPTY_LINES: usize = 2;
