//! Where a path has come to: half a cache line, because a large table is slow only by being far away.

/// No node, no route.
pub const NOWHERE: u32 = u32::MAX;

/// Where a path has come to after some segments. All numbers but [`NOWHERE`] are places in the forest's arrays.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub struct Node {
    /// The literal segment that led here from `parent`.
    pub literal: Literal,
    /// Are there nodes behind literal segments?
    pub has_literals: bool,
    /// The node before a literal segment; [`NOWHERE`] for the others, which nobody searches.
    pub parent: u32,
    /// The node behind a segment of any name.
    pub name: u32,
    /// The first of the routes whose pattern ends here.
    pub here: u32,
    /// The first of the routes that take everything below.
    pub rest: u32,
}

impl Node {
    /// A node that nothing leads to or from.
    pub const EMPTY: Node = Node {
        literal: Literal::EMPTY,
        has_literals: false,
        parent: NOWHERE,
        name: NOWHERE,
        here: NOWHERE,
        rest: NOWHERE,
    };
}

/// A literal segment. The usual ones stand here, long ones in a list that all share.
#[derive(Clone, Debug)]
pub struct Literal {
    /// The length in bytes, or [`Literal::LONG`].
    len: u8,
    /// The text, or its number in the list.
    bytes: [u8; Literal::SHORT],
}

impl Literal {
    const SHORT: usize = 14;
    const LONG: u8 = u8::MAX;
    const EMPTY: Literal = Literal {
        len: 0,
        bytes: [0; Literal::SHORT],
    };

    /// The segment `text`, which joins the list if it is long.
    pub fn new(text: &[u8], long: &mut Vec<Box<[u8]>>) -> Literal {
        let mut literal = Literal::EMPTY;
        if let Some(short) = literal.bytes.get_mut(..text.len()) {
            short.copy_from_slice(text);
            literal.len = text.len() as u8;
        } else {
            literal.bytes[..4].copy_from_slice(&(long.len() as u32).to_le_bytes());
            literal.len = Literal::LONG;
            long.push(text.into());
        }
        literal
    }

    /// The text of the segment.
    pub fn text<'a>(&'a self, long: &'a [Box<[u8]>]) -> &'a [u8] {
        if self.len != Literal::LONG {
            return &self.bytes[..usize::from(self.len)];
        }
        let [a, b, c, d, ..] = self.bytes;
        &long[u32::from_le_bytes([a, b, c, d]) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_half_a_cache_line() {
        assert_eq!(size_of::<Node>(), 32);
    }

    #[test]
    fn literals_of_all_lengths_are_kept() {
        let mut long = Vec::new();
        for len in [0, 1, 13, 14, 15, 254, 255, 256, 3000] {
            let text = vec![b'x'; len];
            assert_eq!(Literal::new(&text, &mut long).text(&long), text);
        }
        assert_eq!(long.len(), 5);
    }
}
