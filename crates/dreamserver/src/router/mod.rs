//! Which route a request takes: first the site by its host, then the route by its path, methods and fields.
//!
//! The most specific host and then the most specific path win, whatever the order of the configuration.
//! A look-up allocates nothing and does not depend on how many hosts there are; of the routes of a site it
//! visits only those whose path matches.

mod forest;
mod host;
mod matcher;
mod path;
mod text;

pub use host::{HostPattern, InvalidHost};
pub use matcher::{FieldMatch, Matcher, MethodSet};
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
        match self.hosts.find(host) {
            Some(site) => self.forest.find(site, path, method, fields),
            None => Found::NoHost,
        }
    }
}

#[cfg(test)]
mod tests;
