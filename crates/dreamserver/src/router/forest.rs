//! The routes of each site as a tree of path segments; the trees of all sites share two arrays.
//!
//! Not the `matchit` library: it gives only the one best match of a path, and a route whose method or fields
//! do not fit needs the next best. Nodes are one cache line, and the routes of a node lie side by side, because
//! in a large table the time goes into waiting for memory.

use super::path::Segment;
use super::text::Text;
use super::{Conflict, FieldMatch, Found, Matcher, MethodSet};
use dream_http::{Fields, Method};
use std::collections::HashMap;
use std::num::NonZeroU32;

/// The trees. Site number `n` begins at node number `n`.
#[derive(Debug)]
pub(super) struct Forest<R> {
    nodes: Vec<Node>,
    routes: Vec<Route<R>>,
}

/// Where a path has come to after some segments.
#[derive(Debug, Default)]
struct Node {
    literals: Literals,
    /// The node behind a segment of any name. Never 0, which is the root of the first site.
    name: Option<NonZeroU32>,
    /// Routes whose pattern ends here, in the order in which they are tried.
    here: Group,
    /// Routes that take everything below.
    rest: Group,
}

/// The nodes behind literal segments.
#[derive(Debug, Default)]
enum Literals {
    #[default]
    None,
    One(Text, u32),
    #[allow(
        clippy::box_collection,
        reason = "a node with the map inside is more than a cache line"
    )]
    Many(Box<HashMap<Text, u32, foldhash::fast::RandomState>>),
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

impl<R> Forest<R> {
    /// The trees of these sites, or what clashes in them.
    pub(super) fn build(sites: Vec<Vec<(Matcher, R)>>) -> Result<Forest<R>, Vec<Conflict>> {
        let mut forest = Forest {
            nodes: sites.iter().map(|_| Node::default()).collect(),
            routes: Vec::new(),
        };
        let mut placed = Vec::new();
        for (site, routes) in sites.into_iter().enumerate() {
            for (number, (matcher, leads_to)) in routes.into_iter().enumerate() {
                let (node, takes_rest) = forest.place(site as u32, matcher.path.segments());
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
        forest.settle(placed);
        Ok(forest)
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
        if let Some(child) = self.nodes[at as usize].literals.get(text) {
            return child;
        }
        let child = self.grow();
        let literals = &mut self.nodes[at as usize].literals;
        *literals = std::mem::take(literals).with(Text::new(text), child);
        child
    }

    fn name(&mut self, at: u32) -> u32 {
        if let Some(child) = self.nodes[at as usize].name {
            return child.get();
        }
        let child = self.grow();
        self.nodes[at as usize].name = NonZeroU32::new(child);
        child
    }

    fn grow(&mut self) -> u32 {
        self.nodes.push(Node::default());
        self.nodes.len() as u32 - 1
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
        match search.walk(site, path) {
            Some(route) => Found::Route(route),
            None if search.allow.is_empty() => Found::NoRoute,
            None => Found::MethodNotAllowed(search.allow),
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

impl Literals {
    fn get(&self, segment: &[u8]) -> Option<u32> {
        match self {
            Literals::None => None,
            Literals::One(text, child) => (text.as_slice() == segment).then_some(*child),
            Literals::Many(children) => children.get(segment).copied(),
        }
    }

    fn with(self, text: Text, child: u32) -> Literals {
        match self {
            Literals::None => Literals::One(text, child),
            Literals::One(first, other) => Literals::Many(Box::new(
                [(first, other), (text, child)].into_iter().collect(),
            )),
            Literals::Many(mut children) => {
                children.insert(text, child);
                Literals::Many(children)
            }
        }
    }
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
    fn walk(&mut self, at: u32, path: &[u8]) -> Option<&'a R> {
        let node = &self.forest.nodes[at as usize];
        let Some(below) = path.strip_prefix(b"/") else {
            return match path {
                [] => self.choose(node.here),
                _ => None,
            };
        };
        let end = memchr::memchr(b'/', below).unwrap_or(below.len());
        let (segment, after) = below.split_at(end);
        let literal = node.literals.get(segment);
        let name = node.name.filter(|_| !segment.is_empty());
        literal
            .and_then(|child| self.walk(child, after))
            .or_else(|| name.and_then(|child| self.walk(child.get(), after)))
            .or_else(|| self.choose(node.rest))
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

/// The doc above promises it: a node is one cache line.
const _: () = assert!(size_of::<Node>() <= 64);
