//! A map of names that can be changed while others read it as it was: a clone costs nothing, and after a change the two
//! share everything but the way to what changed.
//!
//! A trie over the bits of a hash. Branches lead to buckets, and a bucket holds its entries themselves, in the order of their
//! hashes, so that a hash tells where about its entry is: of a large map, the last branch and a few lines of the bucket are what a
//! look-up waits for. Both are an `Arc` of an array, so that a change copies one array for each step of its way, and only where
//! another version still holds it.
//!
//! Measured with `bench/routing` (a million names of 20 bytes on average, values of one `Arc` each, on two cores of a shared
//! machine; look-ups at random keys, changes while the version before is still held, medians):
//!
//! |  | look-up | change | memory |
//! |---|---|---|---|
//! | this | 265–290 ns | 1.5 µs | 62 MB for all cores |
//! | `imbl::HashMap` | 420–440 ns | 2.6 µs | 220 MB for all cores |
//! | a `HashMap` for each core, told of each change | 220–270 ns | 0.1 µs on each core | 186 MB for each core |
//!
//! The last one is the fastest to read, and costs its memory and every change once a core. With buckets in no order a look-up
//! takes 297–348 ns, with 8 children and buckets of 8 in no order 390–440 ns.

use super::text::Text;
use std::array;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter;
use std::mem;
use std::ops::Range;
use std::slice;
use std::sync::Arc;
use std::vec;

/// The map. The hash is SipHash with a random seed: whoever may announce names chooses keys, and must not be able to
/// fill a bucket.
#[derive(Clone)]
pub(super) struct Trie<T> {
    root: Node<T>,
    len: usize,
    seed: RandomState,
}

#[derive(Clone)]
enum Node<T> {
    /// In the order of their hashes; more than [`FULL`] entries only where the hash has no bits left to tell them apart.
    Bucket(Arc<[Entry<T>]>),
    Branch(Arc<[Node<T>; WIDTH]>),
}

#[derive(Clone)]
struct Entry<T> {
    name: Text,
    value: T,
}

/// Where a name belongs: so many bits of its hash for each step.
#[derive(Clone, Copy)]
struct Way {
    hash: u64,
    depth: u32,
}

impl<T> Trie<T> {
    pub(super) fn new() -> Trie<T> {
        Trie {
            root: Node::empty(),
            len: 0,
            seed: RandomState::new(),
        }
    }

    /// A map of these names, each of which comes once: in a tenth of the time that it takes to insert them.
    pub(super) fn build<'a>(all: impl Iterator<Item = (&'a [u8], T)>) -> Trie<T> {
        let mut trie = Trie::new();
        let mut sorted: Vec<Placed<T>> = all
            .map(|(name, value)| {
                let (name, hash) = (Text::new(name), Way::new(&trie.seed, name).hash);
                let entry = Entry { name, value };
                Placed { hash, entry }
            })
            .collect();
        sorted.sort_unstable_by_key(|placed| placed.hash);
        trie.len = sorted.len();
        trie.root = Node::build(&mut sorted.into_iter(), trie.len, 0);
        trie
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        let (mut node, mut way) = (&self.root, Way::new(&self.seed, name));
        while let Node::Branch(children) = node {
            node = &children[way.slot()];
            way = way.deeper();
        }
        match node {
            Node::Bucket(entries) => {
                let found = match way.find_near(entries, name) {
                    Ok(place) => entries.get(place),
                    Err(near) if way.belongs_in(&near, entries, &self.seed) => None,
                    Err(_) => entries.get(way.find(entries, name, &self.seed).ok()?),
                };
                found.map(|entry| &entry.value)
            }
            Node::Branch(_) => None,
        }
    }

    /// Every name with its value, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        let mut branches = vec![slice::from_ref(&self.root).iter()];
        let mut bucket = [].iter();
        iter::from_fn(move || {
            loop {
                if let Some(Entry { name, value }) = bucket.next() {
                    return Some((name.as_slice(), value));
                }
                match branches.last_mut()?.next() {
                    Some(Node::Bucket(entries)) => bucket = entries.iter(),
                    Some(Node::Branch(children)) => branches.push(children.iter()),
                    None => drop(branches.pop()),
                }
            }
        })
    }
}

impl<T: Clone> Trie<T> {
    /// Gives `name` a value; tells which it had before.
    pub(super) fn insert(&mut self, name: &[u8], value: T) -> Option<T> {
        let way = Way::new(&self.seed, name);
        let name = Text::new(name);
        let before = self.root.insert(Entry { name, value }, way, &self.seed);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes `name` out; tells which value it had.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        // Looked for first, so that nothing is copied for a name that is not there.
        self.get(name)?;
        let way = Way::new(&self.seed, name);
        let removed = self.root.remove(name, way, &self.seed);
        self.len -= usize::from(removed.is_some());
        removed
    }
}

/// An entry, and the hash of its name.
struct Placed<T> {
    hash: u64,
    entry: Entry<T>,
}

impl<T> Placed<T> {
    fn slot(&self, depth: u32) -> usize {
        Way {
            hash: self.hash,
            depth,
        }
        .slot()
    }
}

impl<T> Node<T> {
    fn empty() -> Node<T> {
        Node::Bucket(Arc::default())
    }

    /// Takes so many entries, which are sorted by their ways and have come to this depth.
    fn build(entries: &mut vec::IntoIter<Placed<T>>, count: usize, depth: u32) -> Node<T> {
        if count <= FULL || Way::ends_at(depth) {
            return Node::Bucket(entries.take(count).map(|placed| placed.entry).collect());
        }
        let mut children = array::from_fn(|_| Node::empty());
        let mut left = count;
        while let Some(first) = entries.as_slice()[..left].first() {
            let slot = first.slot(depth);
            let share = entries.as_slice()[..left].partition_point(|next| next.slot(depth) == slot);
            children[slot] = Node::build(entries, share, depth + 1);
            left -= share;
        }
        Node::Branch(Arc::new(children))
    }
}

impl<T: Clone> Node<T> {
    fn insert(&mut self, entry: Entry<T>, way: Way, seed: &RandomState) -> Option<T> {
        let entries = match self {
            Node::Branch(children) => {
                let child = &mut Arc::make_mut(children)[way.slot()];
                return child.insert(entry, way.deeper(), seed);
            }
            Node::Bucket(entries) => entries,
        };
        match way.find(entries, entry.name.as_slice(), seed) {
            Ok(place) => {
                let before = &mut Arc::make_mut(entries)[place].value;
                Some(mem::replace(before, entry.value))
            }
            Err(place) if entries.len() < FULL || way.has_ended() => {
                let (before, behind) = entries.split_at(place);
                let before = before.iter().cloned().chain([entry]);
                *entries = before.chain(behind.iter().cloned()).collect();
                None
            }
            Err(_) => {
                *self = Node::split(entries, way.depth, seed);
                self.insert(entry, way, seed)
            }
        }
    }

    /// The entries of a bucket, one step further.
    fn split(entries: &[Entry<T>], depth: u32, seed: &RandomState) -> Node<T> {
        let mut shares: [Vec<Entry<T>>; WIDTH] = array::from_fn(|_| Vec::new());
        for entry in entries {
            let hash = entry.hash(seed);
            shares[Way { hash, depth }.slot()].push(entry.clone());
        }
        Node::Branch(Arc::new(shares.map(|share| match share.is_empty() {
            true => Node::empty(),
            false => Node::Bucket(share.into()),
        })))
    }

    fn remove(&mut self, name: &[u8], way: Way, seed: &RandomState) -> Option<T> {
        match self {
            Node::Bucket(entries) => {
                let place = way.find(entries, name, seed).ok()?;
                let removed = entries[place].value.clone();
                let (before, behind) = (&entries[..place], &entries[place + 1..]);
                *entries = before.iter().chain(behind).cloned().collect();
                Some(removed)
            }
            Node::Branch(children) => {
                let children = Arc::make_mut(children);
                let removed = children[way.slot()].remove(name, way.deeper(), seed);
                if let Some(few) = few(children) {
                    *self = Node::Bucket(few);
                }
                removed
            }
        }
    }
}

/// What is left in the buckets of a branch, if it is so little that one bucket holds it and does not overflow again soon.
fn few<T: Clone>(children: &[Node<T>; WIDTH]) -> Option<Arc<[Entry<T>]>> {
    let mut buckets: [&[Entry<T>]; WIDTH] = [&[]; WIDTH];
    for (bucket, child) in buckets.iter_mut().zip(children) {
        match child {
            Node::Bucket(entries) => *bucket = entries,
            Node::Branch(_) => return None,
        }
    }
    let count: usize = buckets.iter().map(|bucket| bucket.len()).sum();
    (count <= FULL / 2).then(|| buckets.concat().into())
}

impl<T> Entry<T> {
    fn is(&self, name: &[u8]) -> bool {
        self.name.as_slice() == name
    }

    fn hash(&self, seed: &RandomState) -> u64 {
        Way::new(seed, self.name.as_slice()).hash
    }
}

impl Way {
    fn new(seed: &RandomState, name: &[u8]) -> Way {
        let mut hasher = seed.build_hasher();
        hasher.write(name);
        Way {
            hash: hasher.finish(),
            depth: 0,
        }
    }

    fn slot(self) -> usize {
        (self.left() >> (u64::BITS - BITS)) as usize
    }

    /// The bits of the hash that are left, the next ones first.
    fn left(self) -> u64 {
        self.hash << (self.depth * BITS)
    }

    /// The place of a name in its bucket, or the one that it would have.
    fn find<T>(
        self,
        entries: &[Entry<T>],
        name: &[u8],
        seed: &RandomState,
    ) -> Result<usize, usize> {
        if let Ok(place) = self.find_near(entries, name) {
            return Ok(place);
        }
        let first = entries.partition_point(|entry| entry.hash(seed) < self.hash);
        let mut same = entries[first..]
            .iter()
            .take_while(|entry| entry.hash(seed) == self.hash);
        let place = same.position(|entry| entry.is(name));
        place.map(|place| first + place).ok_or(first)
    }

    /// The place of a name near to where it is expected, or the places that were looked at.
    fn find_near<T>(self, entries: &[Entry<T>], name: &[u8]) -> Result<usize, Range<usize>> {
        // Hashes being evenly spread, it is near the place that it would have if they were equally far apart.
        let share = u128::from(self.left()) * entries.len() as u128;
        let guess = (share >> u64::BITS) as usize;
        let near = guess.saturating_sub(NEAR)..entries.len().min(guess + NEAR);
        let steps = entries[near.clone()]
            .iter()
            .position(|entry| entry.is(name));
        steps.map(|steps| near.start + steps).ok_or(near)
    }

    /// Do all entries before those lie before this hash, and all behind them behind it?
    fn belongs_in<T>(self, near: &Range<usize>, entries: &[Entry<T>], seed: &RandomState) -> bool {
        let (before, behind) = (&entries[..near.start], &entries[near.end..]);
        let before = before
            .last()
            .is_none_or(|entry| entry.hash(seed) < self.hash);
        before
            && behind
                .first()
                .is_none_or(|entry| entry.hash(seed) > self.hash)
    }

    fn deeper(self) -> Way {
        Way {
            depth: self.depth + 1,
            ..self
        }
    }

    /// Are there no bits for another step?
    fn has_ended(self) -> bool {
        Way::ends_at(self.depth)
    }

    fn ends_at(depth: u32) -> bool {
        (depth + 1) * BITS > u64::BITS
    }
}

/// Bits of the hash for each step.
const BITS: u32 = 3;

/// Children of a branch.
const WIDTH: usize = 1 << BITS;

/// A bucket with so many entries becomes a branch before it takes another. A step costs a cache line and a page that are not
/// at hand; of a bucket, however many entries it has, a look-up reads few, which lie side by side.
const FULL: usize = 48;

/// So many entries on each side of where one is expected are looked at one after the other, as memory likes it: of a full
/// bucket, nine in ten are there. For others, hashes are computed.
const NEAR: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_way_ends_where_the_hash_does() {
        let mut way = Way {
            hash: u64::MAX,
            depth: 0,
        };
        while !way.has_ended() {
            assert_eq!(way.slot(), WIDTH - 1);
            way = way.deeper();
        }
        assert_eq!(way.depth, u64::BITS / BITS);
    }

    #[test]
    fn a_change_copies_only_its_way() {
        let mut trie = Trie::new();
        for number in 0..10_000u32 {
            trie.insert(number.to_string().as_bytes(), number);
        }
        let before = trie.clone();
        trie.insert(b"new", 0);
        trie.remove(b"17");
        trie.remove(b"not there");
        assert_eq!((before.len(), trie.len()), (10_000, 10_000));
        let held = buckets(&before.root);
        let shared = buckets(&trie.root)
            .into_iter()
            .filter(|bucket| held.contains(bucket));
        assert!(shared.count() + 2 >= held.len());
    }

    #[test]
    fn names_lie_in_the_order_of_their_hashes_and_are_found() {
        let mut trie = Trie::new();
        for number in 0..10_000u32 {
            trie.insert(number.to_string().as_bytes(), number);
            trie.remove((number / 2).to_string().as_bytes());
        }
        let built = Trie::build(trie.iter().map(|(name, &value)| (name, value)));
        for trie in [&trie, &built] {
            let hash = |(name, _): (&[u8], &u32)| Way::new(&trie.seed, name).hash;
            assert!(trie.iter().is_sorted_by_key(hash));
            assert!(
                trie.iter()
                    .all(|(name, value)| trie.get(name) == Some(value))
            );
        }
    }

    proptest! {
        #[test]
        fn a_name_is_found_wherever_it_lies(count in 0..200_u32, other in 200..300_u32, depth in 0..=u64::BITS / BITS) {
            let seed = RandomState::new();
            let way = |number: u32| Way { depth, ..Way::new(&seed, &number.to_be_bytes()) };
            let mut entries: Vec<Entry<u32>> = (0..count)
                .map(|value| Entry { name: Text::new(&value.to_be_bytes()), value })
                .collect();
            entries.sort_by_key(|entry| entry.hash(&seed));
            for (place, entry) in entries.iter().enumerate() {
                let name = entry.name.as_slice();
                prop_assert_eq!(way(entry.value).find(&entries, name, &seed), Ok(place));
            }
            let place = entries.partition_point(|entry| entry.hash(&seed) < way(other).hash);
            let found = way(other).find(&entries, &other.to_be_bytes(), &seed);
            prop_assert_eq!(found, Err(place));
        }
    }

    fn buckets<T>(node: &Node<T>) -> Vec<*const Entry<T>> {
        match node {
            Node::Bucket(entries) => vec![entries.as_ptr()],
            Node::Branch(children) => children.iter().flat_map(buckets).collect(),
        }
    }
}
