//! Content codings: what makes a body smaller on its way out (RFC 9110 §8.4).
//!
//! It is on the shelf because two rooms need it: the middleware codes bodies while they are sent, and the files keep coded
//! versions of theirs.

mod body;
mod encoder;
mod kinds;
mod options;
#[cfg(test)]
mod tests;

pub use body::compressed;
pub use encoder::{Effort, Encoder, encode};
pub use kinds::is_event_stream;
pub use options::{CompressOptions, accepted};
