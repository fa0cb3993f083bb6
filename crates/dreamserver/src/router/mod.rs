//! Which route a request takes: first the site by its host, then the route by its path, methods and fields.
//!
//! The most specific host and then the most specific path win, whatever the order of the configuration.
//! A look-up allocates nothing and does not depend on how many hosts there are; of the routes of a site it
//! visits only those whose path matches.
//!
//! The configuration makes the [`Table`], which is built once; names that come and go while the server runs are in [`Names`].

mod forest;
mod host;
mod matcher;
mod names;
mod path;
mod text;
mod trie;

pub use host::{Host, HostPattern, InvalidHost};
pub use matcher::{FieldMatch, Matcher, MethodSet};
pub use names::Names;
pub use path::{InvalidPath, PathPattern};

use dream_http::{Fields, Method};
use forest::Forest;
use host::Hosts;

/// The routing table: immutable, built once and replaced whole. `R` is what a route leads to.
#[derive(Debug)]
pub struct Table<R> {
    hosts: Hosts,
    forest: Forest<R>,
}

/// A site to be put in a table.
#[derive(Clone, Debug)]
pub struct SiteRoutes<R> {
    /// The hosts that it answers for.
    pub hosts: Vec<HostPattern>,
    /// Its routes, in any order.
    pub routes: Vec<(Matcher, R)>,
}

/// What a look-up found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a, R> {
    /// The route.
    Route(&'a R),
    /// Only the method keeps the request from its route → 405 with these in `Allow`.
    MethodNotAllowed(MethodSet),
    /// The site has no route for it → 404.
    NoRoute,
    /// No site answers for the host → 404.
    NoHost,
}

/// Two parts of the configuration that would both answer the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two sites answer for one host.
    Host {
        /// The host.
        host: HostPattern,
        /// The site that had it first, by its place in the list.
        first: usize,
        /// The site that wants it too.
        second: usize,
    },
    /// Two routes of a site match the same requests.
    Route {
        /// The site, by its place in the list.
        site: usize,
        /// The first route, by its place in the site.
        first: usize,
        /// The second route.
        second: usize,
    },
}

impl<R> Table<R> {
    /// A table of these sites.
    ///
    /// # Errors
    /// Every pair of sites or routes that would answer the same request.
    pub fn build(sites: Vec<SiteRoutes<R>>) -> Result<Table<R>, Vec<Conflict>> {
        let mut clashes = Vec::new();
        let mut hosts = Hosts::default();
        let mut routes = Vec::with_capacity(sites.len());
        for (second, site) in sites.into_iter().enumerate() {
            for host in site.hosts {
                if let Some(first) = hosts.insert(&host, second as u32) {
                    let first = first as usize;
                    clashes.push(Conflict::Host {
                        host,
                        first,
                        second,
                    });
                }
            }
            routes.push(site.routes);
        }
        match Forest::build(routes) {
            Ok(forest) if clashes.is_empty() => Ok(Table { hosts, forest }),
            Ok(_) => Err(clashes),
            Err(conflicts) => {
                clashes.extend(conflicts);
                Err(clashes)
            }
        }
    }

    /// The route for a request: `host` as the client wrote it (case, port and one trailing dot do not
    /// matter), `path` clean and without the query.
    pub fn find(&self, host: &[u8], path: &[u8], method: Method, fields: &Fields) -> Found<'_, R> {
        let mut buffer = [0; _];
        let host = Host::new(host, &mut buffer);
        match self.find_exact(host, path, method, fields) {
            Found::NoHost => self.find_general(host, path, method, fields),
            found => found,
        }
    }

    /// The route for a request in the site for exactly this host.
    pub fn find_exact(
        &self,
        host: Host<'_>,
        path: &[u8],
        method: Method,
        fields: &Fields,
    ) -> Found<'_, R> {
        self.find_in(self.hosts.exact(host), path, method, fields)
    }

    /// The route for a request in the site that answers for this host among others: a wildcard, or `*`.
    pub fn find_general(
        &self,
        host: Host<'_>,
        path: &[u8],
        method: Method,
        fields: &Fields,
    ) -> Found<'_, R> {
        self.find_in(self.hosts.general(host), path, method, fields)
    }

    fn find_in(
        &self,
        site: Option<u32>,
        path: &[u8],
        method: Method,
        fields: &Fields,
    ) -> Found<'_, R> {
        match site {
            Some(site) => self.forest.find(site, path, method, fields),
            None => Found::NoHost,
        }
    }
}

#[cfg(test)]
mod tests;
