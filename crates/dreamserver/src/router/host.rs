//! Hosts: one spelling for all that clients write; exact names in one map, wildcards in another, and the site for all others.

use super::text::Text;
use crate::address::is_host_name;
use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The hosts that a site answers for. Ordered from the most specific to the least.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// One host: a name in lower case without trailing dot, an IPv4 address, or an IPv6 address in brackets.
    Exact(String),
    /// `*.example.com`: every name below `example.com`, however deep; holds `example.com`.
    Wildcard(String),
    /// `*`: every host that no other site answers for.
    Any,
}

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHost {
    /// What is wrong.
    pub message: &'static str,
    /// What to write instead.
    pub help: &'static str,
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<HostPattern, InvalidHost> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<Ipv6Addr>() {
            return Ok(HostPattern::Exact(format!("[{address}]")));
        }
        if let Some(suffix) = name.strip_prefix("*.").filter(|name| is_host_name(name)) {
            return Ok(HostPattern::Wildcard(suffix.to_owned()));
        }
        match is_host_name(&name) {
            true => Ok(HostPattern::Exact(name)),
            false => Err(explain(&name)),
        }
    }
}

fn explain(name: &str) -> InvalidHost {
    let (message, help) = match name {
        _ if name.contains("://") => ("a host has no scheme", "write `example.com`"),
        _ if name.contains('/') => ("a host has no path", "a `path` belongs to a route"),
        _ if name.contains(':') => ("a host has no port", "ports belong to `listen`"),
        _ if name.contains('*') => (
            "`*` stands only for the first label or for every host",
            "write `*.example.com` or `*`",
        ),
        _ if !name.is_ascii() => (
            "a host name is written in ASCII",
            "write names in other scripts in their `xn--` form",
        ),
        _ => (
            "this is not a host name",
            "labels of letters, digits and hyphens, with dots between them",
        ),
    };
    InvalidHost { message, help }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Wildcard(suffix) => write!(f, "*.{suffix}"),
            HostPattern::Any => f.write_str("*"),
        }
    }
}

/// Which site answers for which host.
///
/// The maps' hash is fast and has a random seed; clients only look up, so they cannot fill a bucket.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Text, u32, foldhash::fast::RandomState>,
    wildcards: HashMap<Text, u32, foldhash::fast::RandomState>,
    any: Option<u32>,
}

impl Hosts {
    /// Gives `host` to `site`; tells which site had it before, if it was another one.
    pub(super) fn insert(&mut self, host: &HostPattern, site: u32) -> Option<u32> {
        let before = match host {
            HostPattern::Exact(name) => {
                *self.exact.entry(Text::new(name.as_bytes())).or_insert(site)
            }
            HostPattern::Wildcard(suffix) => *self
                .wildcards
                .entry(Text::new(suffix.as_bytes()))
                .or_insert(site),
            HostPattern::Any => *self.any.get_or_insert(site),
        };
        (before != site).then_some(before)
    }

    /// The site for exactly this host.
    pub(super) fn exact(&self, host: Host<'_>) -> Option<u32> {
        self.exact.get(host.name()).copied()
    }

    /// The site that answers for this host among others.
    pub(super) fn general(&self, host: Host<'_>) -> Option<u32> {
        match self.wildcards.is_empty() {
            true => self.any,
            false => {
                let wildcard = host.parents().find_map(|name| self.wildcards.get(name));
                wildcard.copied().or(self.any)
            }
        }
    }
}

/// A host as a client wrote it, in the one spelling that tables have: lower case, without port and one trailing dot.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a>(&'a [u8]);

/// Memory for the spelling of a [`Host`], on the stack of who looks one up: any name of DNS fits (RFC 1035 §2.3.4).
pub type HostBuffer = [u8; 255];

impl<'a> Host<'a> {
    /// The host that a client wrote as `host`; one without a name if no name is that long.
    pub fn new(host: &[u8], buffer: &'a mut HostBuffer) -> Host<'a> {
        let host = without_port(host);
        let host = host.strip_suffix(b".").unwrap_or(host);
        let Some(name) = buffer.get_mut(..host.len()) else {
            return Host(b"");
        };
        name.copy_from_slice(host);
        name.make_ascii_lowercase();
        Host(name)
    }

    /// The name, or the address; empty if there is none.
    pub fn name(self) -> &'a [u8] {
        self.0
    }

    /// The names above it, the longest first: `b.c` and `c` for `a.b.c`.
    pub(super) fn parents(self) -> impl Iterator<Item = &'a [u8]> {
        let name = self.0;
        memchr::memchr_iter(b'.', name).map(|dot| &name[dot + 1..])
    }
}

fn without_port(host: &[u8]) -> &[u8] {
    let end = match host.first() {
        Some(b'[') => memchr::memchr(b']', host).map(|at| at + 1),
        _ => memchr::memchr(b':', host),
    };
    &host[..end.unwrap_or(host.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_one_spelling() {
        for (text, shown) in [
            ("Example.COM.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("*", "*"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "[::1]"),
            ("[0::1]", "[::1]"),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "a b",
            "a..b",
            "a.*.b",
            "*a.b",
            "http://a",
            "a:80",
            "a/b",
            "bücher.de",
            "*.",
        ] {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_most_specific_host_wins() {
        let mut hosts = Hosts::default();
        for (site, host) in ["*", "*.b.c", "*.a.b.c", "x.a.b.c", "[::1]"]
            .iter()
            .enumerate()
        {
            assert_eq!(hosts.insert(&host.parse().unwrap(), site as u32), None);
        }
        for (host, site) in [
            ("X.a.B.c.:80", 4 - 1),
            ("y.a.b.c", 2),
            ("z.y.a.b.c", 2),
            ("a.b.c", 1),
            ("b.c", 0),
            ("", 0),
            ("[::1]:8080", 4),
            ("[::1]", 4),
        ] {
            assert_eq!(find(&hosts, host.as_bytes()), Some(site), "{host}");
        }
        assert_eq!(find(&hosts, &[b'a'; 300]), Some(0));
        assert_eq!(hosts.insert(&"x.a.b.C".parse().unwrap(), 9), Some(3));
    }
    fn find(hosts: &Hosts, host: &[u8]) -> Option<u32> {
        let mut buffer = [0; _];
        let host = Host::new(host, &mut buffer);
        hosts.exact(host).or_else(|| hosts.general(host))
    }
}
