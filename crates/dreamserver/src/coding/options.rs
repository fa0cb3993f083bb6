//! What is coded, as the configuration says it.

use super::kinds::{is_compressible, is_one_of};
use dream_http::{AcceptEncoding, Coding, RequestHead, Version};

/// What is coded, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompressOptions {
    /// What a client may get, the one to be taken first in front.
    pub codings: Vec<Coding>,
    /// Shorter bodies stay as they are, in bytes.
    pub min_size: u64,
    /// Media types that are coded too, beside those that are worth it by themselves.
    pub types: Vec<String>,
}

impl Default for CompressOptions {
    fn default() -> CompressOptions {
        CompressOptions {
            codings: Coding::ALL.to_vec(),
            min_size: 512,
            types: Vec::new(),
        }
    }
}

impl CompressOptions {
    /// Is content of this type to be coded? `media_type` is the value of a `Content-Type` field.
    pub fn fits(&self, media_type: &[u8]) -> bool {
        is_compressible(media_type) || is_one_of(media_type, &self.types)
    }
}

/// What the client takes of what may be coded.
pub fn accepted(head: &RequestHead) -> AcceptEncoding {
    match head.version {
        Version::Http11 => AcceptEncoding::of(&head.fields),
        // Without a length its connection would end with the answer, and its caches know nothing of `Vary`.
        Version::Http10 => AcceptEncoding::default(),
    }
}
