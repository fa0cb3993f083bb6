//! The one place that decides where a message ends (RFC 9112 §6).

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked coding; trailers may follow.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
    /// After a 101, or a 2xx to CONNECT: what follows is not HTTP.
    Tunnel,
}
