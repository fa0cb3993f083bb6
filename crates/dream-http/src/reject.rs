//! Why a peer's message was refused, and where.

use core::fmt;

/// The peer broke a rule: which one, where, and the status that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The rule.
    pub reason: Reason,
    /// The byte, counted from the start of the message, at which it was noticed.
    pub at: usize,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $text:literal),* $(,)?) => {
        /// The rules whose breach refuses a message (RFC 9112 and `docs/`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "the text of each variant stands beside it")]
        pub enum Reason { $($(#[$doc])* $variant),* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The status that answers a request with this fault.
            pub const fn status(self) -> u16 {
                match self { $(Reason::$variant => $status),* }
            }

            /// The fault in words, as in "the field has …".
            pub const fn text(self) -> &'static str {
                match self { $(Reason::$variant => $text),* }
            }
        }
    };
}

reasons! {
    Method = 400 "the method is not a token",
    Target = 400 "the request target has a byte that may not stand there",
    TargetForm = 400 "the request target has a form that does not fit the method",
    TargetTooLong = 414 "the request target is too long",
    Path = 400 "the path leaves the root, or has a bad or forbidden percent-encoding",
    Version = 400 "the request line does not end in a version like HTTP/1.1",
    VersionUnsupported = 505 "this major version of HTTP is not spoken here",
    StatusLine = 400 "the status line is not like HTTP/1.1 200 OK",
    LineEnd = 400 "a line does not end in CRLF",
    LineFolding = 400 "a field is folded over several lines",
    FieldName = 400 "a field name is empty or not a token",
    SpaceBeforeColon = 400 "there is a blank between a field name and its colon",
    FieldValue = 400 "a field value has a control character",
    HeadTooLarge = 431 "the head is too large",
    TooManyFields = 431 "there are too many fields",
    HostMissing = 400 "HTTP/1.1 wants a Host field",
    HostRepeated = 400 "there is more than one Host field",
    HostInvalid = 400 "the host is empty or not a host and port",
    HostContradicts = 400 "the Host field contradicts the target",
    ContentLength = 400 "the Content-Length is not one decimal number",
    ContentLengthRepeated = 400 "there is more than one Content-Length",
    TwoFramings = 400 "there is both a Content-Length and a Transfer-Encoding",
    TransferEncoding = 400 "the Transfer-Encoding is not exactly chunked",
    TransferCodingUnknown = 501 "the transfer coding is not known",
    TransferEncodingInHttp10 = 400 "HTTP/1.0 has no Transfer-Encoding",
    BodyNotAllowed = 400 "this method or status cannot have a body",
    ChunkSize = 400 "a chunk size is not a hexadecimal number in range",
    ChunkExtension = 400 "a chunk extension is malformed",
    ChunkEnd = 400 "a chunk is not ended by CRLF",
    ChunkOverhead = 400 "there are too many bytes of chunk extensions or trailers",
    Truncated = 400 "the connection ended in the middle of a message",
    BytesAfterEnd = 400 "bytes follow the end of the message",
}

impl Reject {
    /// A refusal for `reason`, noticed at byte `at` of the message.
    pub const fn new(reason: Reason, at: usize) -> Reject {
        Reject { reason, at }
    }

    /// The status that answers a request with this fault.
    pub const fn status(self) -> u16 {
        self.reason.status()
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.reason.text(), self.at)
    }
}

impl core::error::Error for Reject {}
