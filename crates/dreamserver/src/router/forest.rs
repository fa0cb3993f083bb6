//! The routes of each site as a tree of path segments; the trees of all sites share three arrays.
//!
//! Not the `matchit` library: it gives only the one best match of a path, and a route whose method or fields
//! do not fit needs the next best.
//!
//! In a large table the time goes into waiting for memory, and waits that do not depend on each other pass together. So the
//! node behind a literal segment is found by a hash of the way there, which is known from the path alone, and not
//! through the node before it.

use super::path::Segment;
use super::text::Text;
use super::{Conflict, FieldMatch, Found, Matcher, MethodSet};
use dream_http::{Fields, Method};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::num::NonZeroU32;

/// The trees. Site number `n` begins at node number `n`.
#[derive(Debug)]
pub(super) struct Forest<R> {
    nodes: Vec<Node>,
    /// Which node is behind a node and a literal segment: a hash table, at most half full, its length a power of two.
    slots: Vec<Slot>,
    ways: Ways,
    routes: Vec<Route<R>>,
}

/// Where a path has come to after some segments. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Node {
    /// The literal segment that led here.
    text: Text,
    /// The node behind a segment of any name. Never 0, which is the root of the first site.
    name: Option<NonZeroU32>,
    /// Routes whose pattern ends here, in the order in which they are tried.
    here: Group,
    /// Routes that take everything below.
    rest: Group,
}

/// A place of the hash table; empty if `child` is 0, which is the root of the first site.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    parent: u32,
    child: u32,
}

/// Routes that lie side by side.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    start: u32,
    len: u32,
}

#[derive(Debug)]
struct Route<R> {
    methods: Option<MethodSet>,
    fields: Box<[FieldMatch]>,
    leads_to: R,
}

/// A route that knows its place, before all of them are put side by side.
struct Placed<R> {
    node: u32,
    takes_rest: bool,
    site: usize,
    number: usize,
    matcher: Matcher,
    leads_to: R,
}

/// Hashes of the ways from a root to the nodes.
#[derive(Debug, Default)]
struct Ways(RandomState);

impl Ways {
    fn root(site: u32) -> u64 {
        u64::from(site).wrapping_mul(ODD)
    }

    /// The way on over a literal segment.
    fn literal(&self, way: u64, segment: &[u8]) -> u64 {
        (way.rotate_left(5) ^ self.0.hash_one(segment)).wrapping_mul(ODD)
    }

    /// The way on over a segment of any name.
    fn name(way: u64) -> u64 {
        (way.rotate_left(5) ^ 1).wrapping_mul(ODD)
    }
}

/// Spreads the bits of a hash into its upper half (Knuth's multiplicative hashing).
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The trees while they grow.
struct Seedling {
    nodes: Vec<Node>,
    ways: Ways,
    /// The literal segments behind each node.
    literals: HashMap<(u32, Text), u32, RandomState>,
    /// The way to each node.
    hashes: Vec<u64>,
}

impl Seedling {
    fn new(sites: usize) -> Seedling {
        Seedling {
            nodes: (0..sites).map(|_| Node::default()).collect(),
            ways: Ways::default(),
            literals: HashMap::default(),
            hashes: (0..sites as u32).map(Ways::root).collect(),
        }
    }

    /// The node where the pattern ends, and whether it takes all below.
    fn place(&mut self, root: u32, segments: &[Segment]) -> (u32, bool) {
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
        let key = (at, Text::new(text));
        if let Some(child) = self.literals.get(&key) {
            return *child;
        }
        let child = self.grow(self.ways.literal(self.hashes[at as usize], text));
        self.nodes[child as usize].text = Text::new(text);
        self.literals.insert(key, child);
        child
    }

    fn name(&mut self, at: u32) -> u32 {
        if let Some(child) = self.nodes[at as usize].name {
            return child.get();
        }
        let child = self.grow(Ways::name(self.hashes[at as usize]));
        self.nodes[at as usize].name = NonZeroU32::new(child);
        child
    }

    fn grow(&mut self, way: u64) -> u32 {
        self.nodes.push(Node::default());
        self.hashes.push(way);
        self.nodes.len() as u32 - 1
    }

    /// The hash table of the literals.
    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::default(); (self.literals.len() * 2 + 1).next_power_of_two()];
        for ((parent, _), &child) in &self.literals {
            let mut at = first_slot(self.hashes[child as usize], slots.len());
            while slots[at].child != 0 {
                at = (at + 1) % slots.len();
            }
            slots[at] = Slot {
                parent: *parent,
                child,
            };
        }
        slots
    }
}

/// Where in a table of `len` slots, a power of two, the search for a way begins.
fn first_slot(way: u64, len: usize) -> usize {
    (way >> 32) as usize & (len - 1)
}

impl<R> Forest<R> {
    /// The trees of these sites, or what clashes in them.
    pub(super) fn build(sites: Vec<Vec<(Matcher, R)>>) -> Result<Forest<R>, Vec<Conflict>> {
        let mut seedling = Seedling::new(sites.len());
        let mut placed = Vec::new();
        for (site, routes) in sites.into_iter().enumerate() {
            for (number, (matcher, leads_to)) in routes.into_iter().enumerate() {
                let (node, takes_rest) = seedling.place(site as u32, matcher.path.segments());
                placed.push(Placed {
                    node,
                    takes_rest,
                    site,
                    number,
                    matcher,
                    leads_to,
                });
            }
        }
        placed.sort_by_key(|route| (route.node, route.takes_rest, route.matcher.rank()));
        let conflicts = conflicts(&placed);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut forest = Forest {
            slots: seedling.slots(),
            nodes: seedling.nodes,
            ways: seedling.ways,
            routes: Vec::new(),
        };
        forest.settle(placed);
        Ok(forest)
    }

    /// Puts the routes, which are sorted by their places, side by side.
    fn settle(&mut self, placed: Vec<Placed<R>>) {
        for route in placed {
            let node = &mut self.nodes[route.node as usize];
            let group = match route.takes_rest {
                true => &mut node.rest,
                false => &mut node.here,
            };
            if group.len == 0 {
                group.start = self.routes.len() as u32;
            }
            group.len += 1;
            self.routes.push(Route {
                methods: route.matcher.methods,
                fields: route.matcher.fields.into(),
                leads_to: route.leads_to,
            });
        }
    }

    /// The route of a site for a request.
    pub(super) fn find(
        &self,
        site: u32,
        path: &[u8],
        method: Method,
        fields: &Fields,
    ) -> Found<'_, R> {
        let mut search = Search {
            forest: self,
            method,
            fields,
            allow: MethodSet::EMPTY,
        };
        match search.walk(site, Ways::root(site), path) {
            Some(route) => Found::Route(route),
            None if search.allow.is_empty() => Found::NoRoute,
            None => Found::MethodNotAllowed(search.allow),
        }
    }

    /// The node behind `parent` and a literal segment, to which `way` leads.
    fn literal(&self, parent: u32, way: u64, segment: &[u8]) -> Option<u32> {
        let mut at = first_slot(way, self.slots.len());
        loop {
            let slot = self.slots[at];
            if slot.child == 0 {
                return None;
            }
            let fits = || self.nodes[slot.child as usize].text.as_slice() == segment;
            if slot.parent == parent && fits() {
                return Some(slot.child);
            }
            at = (at + 1) % self.slots.len();
        }
    }

    fn group(&self, group: Group) -> &[Route<R>] {
        let start = group.start as usize;
        &self.routes[start..start + group.len as usize]
    }
}

/// Pairs of routes that would answer the same request, the first of the configuration first.
fn conflicts<R>(placed: &[Placed<R>]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let one_place = |a: &Placed<R>, b: &Placed<R>| (a.node, a.takes_rest) == (b.node, b.takes_rest);
    for group in placed.chunk_by(one_place) {
        for (place, second) in group.iter().enumerate() {
            let clashes = |first: &&Placed<R>| first.matcher.is_ambiguous_with(&second.matcher);
            conflicts.extend(
                group[..place]
                    .iter()
                    .find(clashes)
                    .map(|first| Conflict::Route {
                        site: second.site,
                        first: first.number,
                        second: second.number,
                    }),
            );
        }
    }
    conflicts
}

/// One look-up on its way through a tree.
struct Search<'a, 'r, R> {
    forest: &'a Forest<R>,
    method: Method,
    fields: &'r Fields,
    /// Methods of routes that everything but the method led to.
    allow: MethodSet,
}

impl<'a, R> Search<'a, '_, R> {
    /// The first fitting route below a node, the most specific first: literal, name, rest.
    /// `path` is empty or begins with a slash. Goes no deeper than the tree and visits no node twice.
    fn walk(&mut self, at: u32, way: u64, path: &[u8]) -> Option<&'a R> {
        let forest = self.forest;
        let Some(below) = path.strip_prefix(b"/") else {
            return match path {
                [] => self.choose(forest.nodes[at as usize].here),
                _ => None,
            };
        };
        let end = memchr::memchr(b'/', below).unwrap_or(below.len());
        let (segment, after) = below.split_at(end);
        let onward = forest.ways.literal(way, segment);
        if let Some(child) = forest.literal(at, onward, segment)
            && let Some(route) = self.walk(child, onward, after)
        {
            return Some(route);
        }
        let node = &forest.nodes[at as usize];
        if let Some(child) = node.name.filter(|_| !segment.is_empty())
            && let Some(route) = self.walk(child.get(), Ways::name(way), after)
        {
            return Some(route);
        }
        self.choose(node.rest)
    }

    /// The first of these routes that the request fits in method and fields.
    fn choose(&mut self, group: Group) -> Option<&'a R> {
        for route in self.forest.group(group) {
            if !route.fields.iter().all(|field| field.matches(self.fields)) {
                continue;
            }
            match route.methods {
                Some(methods) if !methods.has(self.method) => {
                    self.allow = self.allow.union(methods);
                }
                _ => return Some(&route.leads_to),
            }
        }
        None
    }
}
