//! Bytes that wait for their turn. Where there are none, no memory is held.

/// Appended behind, taken from the front.
#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// So many have been taken.
    taken: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.taken..]
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets bytes at the front.
    pub(super) fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Pending::default();
        }
    }

    /// Moves what fits into a buffer, and says how much.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.as_slice().len());
        buffer[..count].copy_from_slice(&self.as_slice()[..count]);
        self.advance(count);
        count
    }
}
