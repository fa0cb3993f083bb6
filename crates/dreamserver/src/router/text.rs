//! Texts that keys of the table are made of: the usual ones stand in the table itself.
//!
//! A look-up in a table larger than the processor's caches costs what its memory accesses cost, and a key
//! behind a pointer is one more of them.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bytes that are compared and hashed like a slice.
#[derive(Clone)]
pub(super) enum Text {
    /// Up to 30 bytes, which makes 32 with their length: half a cache line.
    Inline(u8, [u8; INLINE]),
    /// More; a clone shares them.
    Heap(Arc<[u8]>),
}

const INLINE: usize = 30;

impl Text {
    pub(super) fn new(text: &[u8]) -> Text {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..text.len()) {
            Some(inline) => {
                inline.copy_from_slice(text);
                Text::Inline(text.len() as u8, bytes)
            }
            None => Text::Heap(text.into()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Text::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Text::Heap(bytes) => bytes,
        }
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::new(b"")
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.as_slice()).fmt(f)
    }
}
