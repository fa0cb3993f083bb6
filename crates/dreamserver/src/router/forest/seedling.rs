//! The trees while they grow, and how their nodes find their places.

use super::Ways;
use super::node::{Literal, NOWHERE, Node};
use crate::router::path::Segment;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Trees that can still grow. Site number `n` begins at node number `n`.
pub struct Seedling {
    nodes: Vec<Node>,
    long: Vec<Box<[u8]>>,
    ways: Ways,
    /// The nodes behind literal segments.
    literals: HashMap<(u32, Box<[u8]>), u32, RandomState>,
    /// The way to each node.
    hashes: Vec<u64>,
}

/// Nodes in their places: first those that are not searched, with the sites' roots at their beginning, then the hash table.
pub struct Settled {
    pub nodes: Vec<Node>,
    /// Where the hash table begins. Its length is a power of two.
    pub table: usize,
    pub long: Vec<Box<[u8]>>,
    pub ways: Ways,
    /// The place of each node of the seedling.
    pub places: Vec<u32>,
}

impl Seedling {
    pub fn new(sites: usize) -> Seedling {
        Seedling {
            nodes: vec![Node::EMPTY; sites],
            long: Vec::new(),
            ways: Ways::default(),
            literals: HashMap::default(),
            hashes: (0..sites as u32).map(Ways::root).collect(),
        }
    }

    /// The node where the pattern ends, and whether it takes all below.
    pub fn plant(&mut self, root: u32, segments: &[Segment]) -> (u32, bool) {
        let mut at = root;
        for segment in segments {
            at = match segment {
                Segment::Rest => return (at, true),
                Segment::Literal(text) => self.literal(at, text.as_bytes()),
                Segment::Name(_) => self.name(at),
            };
        }
        (at, false)
    }

    fn literal(&mut self, at: u32, text: &[u8]) -> u32 {
        let key = (at, text.into());
        if let Some(child) = self.literals.get(&key) {
            return *child;
        }
        let child = self.grow(self.ways.literal(self.hashes[at as usize], text));
        self.nodes[at as usize].has_literals = true;
        self.nodes[child as usize].parent = at;
        self.nodes[child as usize].literal = Literal::new(text, &mut self.long);
        self.literals.insert(key, child);
        child
    }

    fn name(&mut self, at: u32) -> u32 {
        if self.nodes[at as usize].name == NOWHERE {
            let child = self.grow(Ways::name(self.hashes[at as usize]));
            self.nodes[at as usize].name = child;
        }
        self.nodes[at as usize].name
    }

    fn grow(&mut self, way: u64) -> u32 {
        self.nodes.push(Node::EMPTY);
        self.hashes.push(way);
        self.nodes.len() as u32 - 1
    }

    /// Gives each node its place.
    pub fn settle(self) -> Settled {
        let table = self.nodes.len() - self.literals.len();
        // At most two thirds full.
        let slots = (self.literals.len() * 3 / 2 + 1).next_power_of_two();
        let mut taken = vec![false; slots];
        let mut unsearched = 0..;
        let mut places = Vec::with_capacity(self.nodes.len());
        for (node, &hash) in self.nodes.iter().zip(&self.hashes) {
            let place = match node.parent {
                NOWHERE => unsearched.next().unwrap_or(NOWHERE),
                _ => table as u32 + take_slot(&mut taken, hash),
            };
            places.push(place);
        }
        let mut nodes = vec![Node::EMPTY; table + slots];
        let place_of = |node: u32| places.get(node as usize).copied().unwrap_or(NOWHERE);
        for (node, &place) in self.nodes.into_iter().zip(&places) {
            nodes[place as usize] = Node {
                parent: place_of(node.parent),
                name: place_of(node.name),
                ..node
            };
        }
        Settled {
            nodes,
            table,
            long: self.long,
            ways: self.ways,
            places,
        }
    }
}

/// The first free slot for a way.
fn take_slot(taken: &mut [bool], way: u64) -> u32 {
    let mut at = Ways::slot(way, taken.len());
    while taken[at] {
        at = (at + 1) % taken.len();
    }
    taken[at] = true;
    at as u32
}
