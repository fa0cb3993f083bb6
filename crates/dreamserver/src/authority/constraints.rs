//! For which names a CA may sign (RFC 5280 §4.2.1.10).

use super::Name;
use ipnet::IpNet;
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use std::fmt;
use std::net::IpAddr;
use x509_parser::extensions::{GeneralName, NameConstraints as Parsed};

/// The names that a CA may sign for, as far as its certificate limits them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Of each kind of which one stands here, only those.
    pub permitted: Vec<Subtree>,
    /// Never these.
    pub excluded: Vec<Subtree>,
}

/// Names that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// The name and all below it; the empty one is above all.
    Dns(String),
    /// The addresses of a network.
    Network(IpNet),
}

impl Constraints {
    /// Those of our own CA: names that are no one's on the internet (RFC 6761 §6, RFC 8375, ICANN's reservation of `internal`), and
    /// addresses of this machine.
    pub fn of_development() -> Constraints {
        let dns = |name: &&str| Subtree::Dns((*name).to_owned());
        let names = ["localhost", "test", "internal", "home.arpa"];
        let permitted = names
            .iter()
            .map(dns)
            .chain(loopback().map(Subtree::Network));
        Constraints {
            permitted: permitted.collect(),
            excluded: Vec::new(),
        }
    }

    /// Those of a CA for one name and what is below it, or for one address, and nothing of the other kind.
    pub fn of_name(name: &Name) -> Constraints {
        match name {
            Name::Dns(name) => Constraints {
                permitted: vec![Subtree::Dns(
                    name.strip_prefix("*.").unwrap_or(name).to_owned(),
                )],
                excluded: everywhere().map(Subtree::Network).to_vec(),
            },
            Name::Address(address) => Constraints {
                permitted: vec![Subtree::Network(IpNet::from(*address))],
                excluded: vec![Subtree::Dns(String::new())],
            },
        }
    }

    /// What a certificate says. Kinds of names that no server has are passed over.
    pub(super) fn parse(parsed: &Parsed<'_>) -> Option<Constraints> {
        let read = |subtrees: Option<&Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
            let subtrees = subtrees.into_iter().flatten();
            subtrees
                .filter_map(|subtree| match &subtree.base {
                    GeneralName::DNSName(name) => Some(Some(Subtree::Dns(
                        name.trim_start_matches('.').to_ascii_lowercase(),
                    ))),
                    GeneralName::IPAddress(bytes) => Some(network(bytes).map(Subtree::Network)),
                    _ => None,
                })
                .collect::<Option<Vec<Subtree>>>()
        };
        Some(Constraints {
            permitted: read(parsed.permitted_subtrees.as_ref())?,
            excluded: read(parsed.excluded_subtrees.as_ref())?,
        })
    }

    /// For a certificate that is being made.
    pub(super) fn encode(&self) -> NameConstraints {
        let subtrees = |subtrees: &[Subtree]| subtrees.iter().map(Subtree::encode).collect();
        NameConstraints {
            permitted_subtrees: subtrees(&self.permitted),
            excluded_subtrees: subtrees(&self.excluded),
        }
    }

    /// May the CA sign for this name?
    pub fn permit(&self, name: &Name) -> bool {
        let mut same_kind = self
            .permitted
            .iter()
            .filter(|tree| tree.is_like(name))
            .peekable();
        let permitted = same_kind.peek().is_none() || same_kind.any(|tree| tree.holds(name));
        permitted && !self.excluded.iter().any(|tree| tree.holds(name))
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.permitted.is_empty() {
            return f.write_str("every name");
        }
        let words: Vec<String> = self.permitted.iter().map(Subtree::to_string).collect();
        f.write_str(&words.join(", "))
    }
}

impl Subtree {
    fn is_like(&self, name: &Name) -> bool {
        matches!(
            (self, name),
            (Subtree::Dns(_), Name::Dns(_)) | (Subtree::Network(_), Name::Address(_))
        )
    }

    fn holds(&self, name: &Name) -> bool {
        match (self, name) {
            (Subtree::Dns(above), Name::Dns(name)) => {
                let below = name.strip_suffix(above.as_str());
                below.is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.ends_with('.'))
            }
            (Subtree::Network(network), Name::Address(address)) => network.contains(address),
            _ => false,
        }
    }

    fn encode(&self) -> GeneralSubtree {
        match self {
            Subtree::Dns(name) => GeneralSubtree::DnsName(name.clone()),
            Subtree::Network(network) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                network.addr(),
                network.prefix_len(),
            )),
        }
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subtree::Dns(name) => f.write_str(name),
            Subtree::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Subtree::Network(network) => network.fmt(f),
        }
    }
}

/// An address and a mask, one behind the other.
fn network(bytes: &[u8]) -> Option<IpNet> {
    let (address, mask) = bytes.split_at_checked(bytes.len() / 2)?;
    IpNet::with_netmask(address_of(address)?, address_of(mask)?).ok()
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn loopback() -> [IpNet; 2] {
    [
        IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8),
        IpNet::new_assert(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16]), 128),
    ]
}

fn everywhere() -> [IpNet; 2] {
    [
        IpNet::new_assert(IpAddr::from([0; 4]), 0),
        IpNet::new_assert(IpAddr::from([0u8; 16]), 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(constraints: &Constraints, name: &str) -> bool {
        constraints.permit(&Name::parse(name).unwrap())
    }

    #[test]
    fn ours_permit_what_is_of_this_machine() {
        let ours = Constraints::of_development();
        for name in [
            "localhost",
            "app.localhost",
            "*.app.localhost",
            "x.test",
            "db.internal",
            "tv.home.arpa",
            "127.0.0.1",
            "127.255.0.3",
            "::1",
        ] {
            assert!(permits(&ours, name), "{name}");
        }
        for name in [
            "example.com",
            "notlocalhost",
            "localhost.example.com",
            "xtest",
            "arpa",
            "10.0.0.1",
            "128.0.0.1",
            "::2",
        ] {
            assert!(!permits(&ours, name), "{name}");
        }
    }

    #[test]
    fn those_of_a_name_permit_it_and_what_is_below() {
        let name = Constraints::of_name(&Name::Dns("example.com".into()));
        for (other, expected) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("example.org", false),
            ("badexample.com", false),
            ("com", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(permits(&name, other), expected, "{other}");
        }
        let address = Constraints::of_name(&Name::parse("192.168.1.5").unwrap());
        assert!(permits(&address, "192.168.1.5"));
        for other in ["192.168.1.6", "::1", "localhost", "example.com"] {
            assert!(!permits(&address, other), "{other}");
        }
    }

    #[test]
    fn without_any_all_names_are_permitted() {
        let none = Constraints::default();
        assert!(permits(&none, "example.com") && permits(&none, "10.0.0.1"));
        assert_eq!(none.to_string(), "every name");
        let ours = "localhost, test, internal, home.arpa, 127.0.0.0/8, ::1";
        assert_eq!(Constraints::of_development().to_string(), ours);
    }
}
