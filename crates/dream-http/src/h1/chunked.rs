//! Chunked coding (RFC 9112 §7.1), decoded in place.
