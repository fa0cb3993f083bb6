//! What a certificate is for: a DNS name, perhaps a wildcard, or an address.

use super::AuthorityError;
use rustls::pki_types::DnsName;
use std::fmt;
use std::net::IpAddr;

/// A name that a certificate can be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A DNS name in lower case, without a dot at its end; the first label may be `*` (RFC 9525 §6.3).
    Dns(String),
    /// An address.
    Address(IpAddr),
}

impl Name {
    /// Reads a name or an address, as a client sends it or as a person writes it; of other alphabets in their ASCII form.
    ///
    /// # Errors
    /// [`AuthorityError::NoName`] if it is neither.
    pub fn parse(text: &str) -> Result<Name, AuthorityError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Name::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let host = name.strip_prefix("*.").unwrap_or(&name);
        match DnsName::try_from(host) {
            Ok(_) => Ok(Name::Dns(name)),
            Err(_) => Err(AuthorityError::NoName(text.to_owned())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Dns(name) => f.write_str(name),
            Name::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for (text, expected) in [
            ("App.Localhost.", "app.localhost"),
            ("*.example.com", "*.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("0:0::1", "::1"),
        ] {
            assert_eq!(Name::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            ".",
            "*",
            "a b",
            "a/b",
            "bücher.example",
            "a.*.example",
            "../key",
            "[::1]",
        ] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
