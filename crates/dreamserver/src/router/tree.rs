//! The routes of one site as a tree of path segments.
//!
//! Not the `matchit` library: it gives only the one best match of a path, and a route whose method or fields
//! do not fit needs the next best.

use super::path::Segment;
use super::{Found, Matcher, MethodSet};
use dream_http::{Fields, Method};
use std::collections::HashMap;

/// The routes of one site.
#[derive(Debug)]
pub(super) struct Tree<R> {
    nodes: Vec<Node>,
    routes: Vec<(Matcher, R)>,
}

/// Where a path has come to after some segments.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    name: Option<u32>,
    /// Routes whose pattern ends here, in the order in which they are tried.
    here: Vec<u32>,
    /// Routes that take everything below.
    rest: Vec<u32>,
}

impl<R> Tree<R> {
    pub(super) fn build(routes: Vec<(Matcher, R)>) -> Tree<R> {
        let mut tree = Tree {
            nodes: vec![Node::default()],
            routes: Vec::new(),
        };
        for (number, (matcher, _)) in routes.iter().enumerate() {
            tree.insert(matcher.path.segments(), number as u32);
        }
        tree.routes = routes;
        for node in &mut tree.nodes {
            // Stable, so that of two ambiguous routes the first in the configuration comes first.
            let rank = |number: &u32| tree.routes[*number as usize].0.rank();
            node.here.sort_by_key(rank);
            node.rest.sort_by_key(rank);
        }
        tree
    }

    fn insert(&mut self, segments: &[Segment], number: u32) {
        let mut at = 0;
        for segment in segments {
            at = match segment {
                Segment::Rest => return self.nodes[at].rest.push(number),
                Segment::Literal(text) => self.literal(at, text.as_bytes()),
                Segment::Name(_) => self.name(at),
            };
        }
        self.nodes[at].here.push(number);
    }

    fn literal(&mut self, at: usize, text: &[u8]) -> usize {
        let next = self.nodes.len() as u32;
        let child = *self.nodes[at].literals.entry(text.into()).or_insert(next);
        self.grow(child)
    }

    fn name(&mut self, at: usize) -> usize {
        let next = self.nodes.len() as u32;
        let child = *self.nodes[at].name.get_or_insert(next);
        self.grow(child)
    }

    /// The place of `child`, made if it is the next one.
    fn grow(&mut self, child: u32) -> usize {
        if child as usize == self.nodes.len() {
            self.nodes.push(Node::default());
        }
        child as usize
    }

    /// Pairs of routes that would answer the same request, the first of the configuration first.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = (usize, usize)> {
        let groups = self.nodes.iter().flat_map(|node| [&node.here, &node.rest]);
        groups.flat_map(move |group| {
            group.iter().enumerate().filter_map(move |(place, second)| {
                let matcher = |number: &u32| &self.routes[*number as usize].0;
                let clashes = |first: &&u32| matcher(first).is_ambiguous_with(matcher(second));
                let first = group[..place].iter().find(clashes)?;
                Some((*first as usize, *second as usize))
            })
        })
    }

    /// The route for a request.
    pub(super) fn find(&self, path: &[u8], method: Method, fields: &Fields) -> Found<'_, R> {
        let mut search = Search {
            tree: self,
            method,
            fields,
            allow: MethodSet::EMPTY,
        };
        match search.walk(0, path) {
            Some(route) => Found::Route(route),
            None if search.allow.is_empty() => Found::NoRoute,
            None => Found::MethodNotAllowed(search.allow),
        }
    }
}

/// One look-up on its way through the tree.
struct Search<'a, 'r, R> {
    tree: &'a Tree<R>,
    method: Method,
    fields: &'r Fields,
    /// Methods of routes that everything but the method led to.
    allow: MethodSet,
}

impl<'a, R> Search<'a, '_, R> {
    /// The first fitting route below a node, the most specific first: literal, name, rest.
    /// `path` is empty or begins with a slash. Goes no deeper than the tree and visits no node twice.
    fn walk(&mut self, at: u32, path: &[u8]) -> Option<&'a R> {
        let tree = self.tree;
        let node = &tree.nodes[at as usize];
        let Some(below) = path.strip_prefix(b"/") else {
            return if path.is_empty() {
                self.choose(&node.here)
            } else {
                None
            };
        };
        let end = memchr::memchr(b'/', below).unwrap_or(below.len());
        let (segment, after) = below.split_at(end);
        let literal = node.literals.get(segment).copied();
        let name = node.name.filter(|_| !segment.is_empty());
        literal
            .and_then(|child| self.walk(child, after))
            .or_else(|| name.and_then(|child| self.walk(child, after)))
            .or_else(|| self.choose(&node.rest))
    }

    /// The first of these routes that the request fits in method and fields.
    fn choose(&mut self, routes: &'a [u32]) -> Option<&'a R> {
        for number in routes {
            let (matcher, route) = &self.tree.routes[*number as usize];
            if !matcher
                .fields
                .iter()
                .all(|field| field.matches(self.fields))
            {
                continue;
            }
            match matcher.methods {
                Some(methods) if !methods.has(self.method) => {
                    self.allow = self.allow.union(methods);
                }
                _ => return Some(route),
            }
        }
        None
    }
}
