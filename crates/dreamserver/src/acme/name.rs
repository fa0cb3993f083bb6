//! For which names a certificate may be ordered.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Whether a name is served here, and so may have a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The name itself is in the configuration or was announced.
    Exact,
    /// Only a wildcard holds for it.
    Wildcard(Wildcard),
    /// Nothing is served by that name.
    No,
}

/// A wildcard that holds for a name. Anybody can think of names below it, so whoever serves them says which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    /// `*.example.com`.
    pub pattern: String,
    /// Who is asked; without one no name below the wildcard has a certificate.
    pub check: Option<Check>,
}

/// Asks whoever serves a wildcard if there is a name: a GET with the name as its host is answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Where it listens; the first that answers counts.
    pub addresses: Vec<SocketAddr>,
    /// The path that is asked for.
    pub path: String,
}

/// Why no authority certifies a name, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is an address.
    Address,
    /// It is not a name of the DNS.
    Malformed,
    /// It has a single label.
    Single,
    /// It is reserved for this machine, this network or for tests.
    Reserved,
    /// It belongs to a registry, such as `co.uk`.
    Suffix,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Address => "addresses have no public certificate here",
            Unfit::Malformed => "this is not a host name",
            Unfit::Single => "a name without a dot has no public certificate",
            Unfit::Reserved => {
                "this name is for private networks or tests, and has no public certificate"
            }
            Unfit::Suffix => {
                "names are registered below this one, and it has no certificate of its own"
            }
        })
    }
}

/// Can a public authority certify this name, in lower case? Nobody is asked for those of which that is known.
pub(super) fn check(name: &str) -> Result<(), Unfit> {
    if name.parse::<IpAddr>().is_ok() {
        return Err(Unfit::Address);
    }
    let labels: Vec<&str> = name.split('.').collect();
    if name.len() > LONGEST || !labels.iter().all(|label| is_label(label)) {
        return Err(Unfit::Malformed);
    }
    let Some((top, rest)) = labels.split_last().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(Unfit::Single);
    };
    // A browser takes what ends in a number for an address.
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unfit::Address);
    }
    if RESERVED.contains(top) || (*top == "arpa" && rest.last() == Some(&"home")) {
        return Err(Unfit::Reserved);
    }
    let suffix = psl::suffix(name.as_bytes());
    let of_registry = suffix.is_some_and(|suffix| {
        suffix.typ() == Some(psl::Type::Icann) && suffix.as_bytes() == name.as_bytes()
    });
    match of_registry {
        true => Err(Unfit::Suffix),
        false => Ok(()),
    }
}

/// Is a wildcard so wide that others have names below it?
pub(super) fn is_too_wide(pattern: &str) -> bool {
    let base = pattern.strip_prefix("*.").unwrap_or(pattern);
    psl::domain_str(base).is_none()
}

/// The name that somebody has registered, which authorities count by.
pub(super) fn registered(name: &str) -> &str {
    psl::domain_str(name).unwrap_or(name)
}

/// The name as it is kept: in lower case, without the dot of the root.
pub(super) fn tidy(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Letters, digits and hyphens inside (RFC 1123 §2.1); authorities certify no underscores.
fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 1035 §2.3.4, without the bytes that stand for the dots' ends.
const LONGEST: usize = 253;

/// RFC 6761, 6762, 7686, 9476, and what ICANN keeps for private networks.
const RESERVED: [&str; 8] = [
    "localhost",
    "local",
    "internal",
    "test",
    "example",
    "invalid",
    "onion",
    "alt",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_names_are_fit() {
        for name in [
            "example.com",
            "a.b.example.co.uk",
            "xn--bcher-kva.example.org",
            "github.io",
            "1.example.com",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_no_authority_certifies_is_not() {
        let long = format!("{}.com", "a.".repeat(130));
        for (name, why) in [
            ("127.0.0.1", Unfit::Address),
            ("::1", Unfit::Address),
            ("1.2.3", Unfit::Address),
            ("localhost", Unfit::Single),
            ("intranet", Unfit::Single),
            ("app.localhost", Unfit::Reserved),
            ("nas.local", Unfit::Reserved),
            ("a.internal", Unfit::Reserved),
            ("a.test", Unfit::Reserved),
            ("nas.home.arpa", Unfit::Reserved),
            ("co.uk", Unfit::Suffix),
            ("", Unfit::Malformed),
            (".", Unfit::Malformed),
            ("a..com", Unfit::Malformed),
            ("../x.com", Unfit::Malformed),
            ("a_b.com", Unfit::Malformed),
            ("-a.com", Unfit::Malformed),
            ("*.example.com", Unfit::Malformed),
            ("A.com", Unfit::Malformed),
            (&long, Unfit::Malformed),
        ] {
            assert_eq!(check(name), Err(why), "{name}");
        }
        assert_eq!(tidy("A.Example.COM."), "a.example.com");
    }

    #[test]
    fn wildcards_on_public_suffixes_are_too_wide() {
        for pattern in ["*.com", "*.co.uk", "*.github.io", "*.com.", "*.nosuchtop"] {
            assert!(is_too_wide(pattern.trim_end_matches('.')), "{pattern}");
        }
        assert!(!is_too_wide("*.example.com"));
        assert_eq!(registered("a.b.example.co.uk"), "example.co.uk");
    }
}
