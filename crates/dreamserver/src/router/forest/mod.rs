//! The routes of each site as a tree of path segments; the trees of all sites share three arrays.
//!
//! Not the `matchit` library: it gives only the one best match of a path, and a route whose method or fields
//! do not fit needs the next best.
//!
//! In a large table the time goes into waiting for memory, and waits that do not depend on each other pass together. So the
//! node behind a literal segment is found by a hash of the way there, which is known from the path alone, and not
//! through the node before it; and the hash table holds the nodes themselves.

mod node;
mod seedling;

use super::{Conflict, FieldMatch, Found, Matcher, MethodSet};
use dream_http::{Fields, Method};
use foldhash::fast::RandomState;
use node::{NOWHERE, Node};
use seedling::Seedling;
use std::hash::BuildHasher;

/// The trees. Site number `n` begins at node number `n`.
#[derive(Debug)]
pub(super) struct Forest<R> {
    /// Nodes behind literal segments are a hash table from `table` on.
    nodes: Vec<Node>,
    table: usize,
    long: Vec<Box<[u8]>>,
    ways: Ways,
    /// Those of one place lie side by side.
    routes: Vec<Route<R>>,
}

#[derive(Debug)]
struct Route<R> {
    methods: Option<MethodSet>,
    /// Is it the last of its place?
    last: bool,
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

    /// Where in a hash table of `len` slots, a power of two, the search for a way begins.
    fn slot(way: u64, len: usize) -> usize {
        (way >> 32) as usize & (len - 1)
    }
}

/// Spreads the bits of a hash into its upper half (Knuth's multiplicative hashing).
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl<R> Forest<R> {
    /// The trees of these sites, or what clashes in them.
    pub(super) fn build(sites: Vec<Vec<(Matcher, R)>>) -> Result<Forest<R>, Vec<Conflict>> {
        let mut seedling = Seedling::new(sites.len());
        let mut placed = Vec::new();
        for (site, routes) in sites.into_iter().enumerate() {
            for (number, (matcher, leads_to)) in routes.into_iter().enumerate() {
                let (node, takes_rest) = seedling.plant(site as u32, matcher.path.segments());
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
        match conflicts(&placed) {
            conflicts if conflicts.is_empty() => Ok(Forest::settle(seedling, placed)),
            conflicts => Err(conflicts),
        }
    }

    /// Gives the nodes their places, and the routes, which are sorted by their nodes, theirs.
    fn settle(seedling: Seedling, placed: Vec<Placed<R>>) -> Forest<R> {
        let settled = seedling.settle();
        let mut forest = Forest {
            nodes: settled.nodes,
            table: settled.table,
            long: settled.long,
            ways: settled.ways,
            routes: Vec::with_capacity(placed.len()),
        };
        let mut rest = placed.into_iter().peekable();
        while let Some(route) = rest.next() {
            let is_last = !rest.peek().is_some_and(|next| route.is_beside(next));
            let node = settled.places[route.node as usize];
            forest.add(route, node, is_last);
        }
        forest
    }

    /// Adds a route behind the others.
    fn add(&mut self, route: Placed<R>, node: u32, last: bool) {
        let node = &mut self.nodes[node as usize];
        let first = match route.takes_rest {
            true => &mut node.rest,
            false => &mut node.here,
        };
        // Others of its place stand before it.
        *first = (*first).min(self.routes.len() as u32);
        self.routes.push(Route {
            methods: route.matcher.methods,
            last,
            fields: route.matcher.fields.into(),
            leads_to: route.leads_to,
        });
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
        let slots = self.nodes.len() - self.table;
        let mut slot = Ways::slot(way, slots);
        loop {
            let at = self.table + slot;
            let node = &self.nodes[at];
            if node.parent == NOWHERE {
                return None;
            }
            if node.parent == parent && node.literal.text(&self.long) == segment {
                return Some(at as u32);
            }
            slot = (slot + 1) & (slots - 1);
        }
    }
}

impl<R> Placed<R> {
    /// Are both at the same place?
    fn is_beside(&self, other: &Placed<R>) -> bool {
        (self.node, self.takes_rest) == (other.node, other.takes_rest)
    }
}

/// Pairs of routes that would answer the same request, the first of the configuration first.
fn conflicts<R>(placed: &[Placed<R>]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for group in placed.chunk_by(Placed::is_beside) {
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
        let node = &forest.nodes[at as usize];
        let Some(below) = path.strip_prefix(b"/") else {
            return match path {
                [] => self.choose(node.here),
                _ => None,
            };
        };
        let end = memchr::memchr(b'/', below).unwrap_or(below.len());
        let (segment, after) = below.split_at(end);
        if node.has_literals {
            let onward = forest.ways.literal(way, segment);
            if let Some(child) = forest.literal(at, onward, segment)
                && let Some(route) = self.walk(child, onward, after)
            {
                return Some(route);
            }
        }
        if node.name != NOWHERE
            && !segment.is_empty()
            && let Some(route) = self.walk(node.name, Ways::name(way), after)
        {
            return Some(route);
        }
        self.choose(node.rest)
    }

    /// The first route that the request fits in method and fields, of those that lie side by side from `first` on.
    fn choose(&mut self, first: u32) -> Option<&'a R> {
        let mut routes = self.forest.routes.get(first as usize..)?.iter();
        loop {
            let route = routes.next()?;
            if route.fields.iter().all(|field| field.matches(self.fields)) {
                match route.methods {
                    Some(methods) if !methods.has(self.method) => {
                        self.allow = self.allow.union(methods);
                    }
                    _ => return Some(&route.leads_to),
                }
            }
            if route.last {
                return None;
            }
        }
    }
}
