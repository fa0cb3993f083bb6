//! Random numbers that can be repeated, big bodies that need no memory, and a checksum to compare them by.

/// SplitMix64: small, good enough for picking edits, and the same on every machine for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence that `seed` determines.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number of the sequence.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or zero if `end` is zero.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            return 0;
        }
        (self.number() % end as u64) as usize
    }

    /// One of `items`, which are not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A running sum over bytes, eight at a time: fast enough for gigabytes in a test's build, and order matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    sum: u64,
    length: u64,
    pending: u64,
}

impl Checksum {
    /// The sum of nothing.
    pub fn new() -> Checksum {
        Checksum {
            sum: 0xcbf2_9ce4_8422_2325,
            length: 0,
            pending: 0,
        }
    }

    /// Adds `bytes`; how they are cut does not matter.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.length.is_multiple_of(8)
                && let Some((word, rest)) = bytes.split_first_chunk::<8>()
            {
                self.length += 8;
                self.mix(u64::from_le_bytes(*word));
                bytes = rest;
            } else {
                self.byte(bytes[0]);
                bytes = &bytes[1..];
            }
        }
    }

    /// How many bytes were added.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn byte(&mut self, byte: u8) {
        self.pending |= u64::from(byte) << (8 * (self.length % 8));
        self.length += 1;
        if self.length.is_multiple_of(8) {
            let word = std::mem::take(&mut self.pending);
            self.mix(word);
        }
    }

    fn mix(&mut self, word: u64) {
        self.sum = (self.sum ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(29);
    }
}

impl Default for Checksum {
    fn default() -> Checksum {
        Checksum::new()
    }
}

/// Fills `block` with what stands at `offset` in an endless sequence without short periods.
pub fn pattern(offset: u64, block: &mut [u8]) {
    for (at, byte) in (offset..).zip(block) {
        *byte = (at ^ (at >> 8).wrapping_mul(31) ^ (at >> 16).wrapping_mul(17)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_change_a_checksum() {
        let mut bytes = vec![0; 1000];
        pattern(5, &mut bytes);
        let mut whole = Checksum::new();
        whole.update(&bytes);
        let mut random = Random::new(1);
        for _ in 0..50 {
            let mut cut = Checksum::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(random.below(rest.len()).max(1));
                cut.update(now);
                rest = later;
            }
            assert_eq!(cut, whole);
        }
    }

    #[test]
    fn order_changes_a_checksum() {
        let mut one = Checksum::new();
        one.update(b"abcdefghijklmnop");
        let mut two = Checksum::new();
        two.update(b"ijklmnopabcdefgh");
        assert_ne!(one, two);
    }
}
