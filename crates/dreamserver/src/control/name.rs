//! From a name as it was announced to the name as clients send it.

use super::answer::refusal;
use dream_control::{Domain, Reply};

/// The ASCII form in lower case, with `*.` in front of a wildcard (UTS #46, as browsers do it).
///
/// # Errors
/// `bad-domain` if there is none.
pub(super) fn ascii(domain: &Domain) -> Result<Box<str>, Reply> {
    if domain.is_ascii() {
        return Ok(domain.as_str().into());
    }
    let (stars, name) = match domain.as_str().strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", domain.as_str()),
    };
    let refused = || {
        refusal(
            "bad-domain",
            &format!("{domain} has no form that clients could send"),
        )
    };
    let name = idna::domain_to_ascii_strict(name).map_err(|_| refused())?;
    // What looked like a name may have become an address.
    match Domain::parse(&format!("{stars}{name}")) {
        Ok(domain) => Ok(domain.as_str().into()),
        Err(_) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_clients_send_them() {
        for (announced, sent) in [
            ("Example.COM.", "example.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
        ] {
            assert_eq!(&*ascii(&announced.parse().unwrap()).unwrap(), sent);
        }
        for wrong in ["１２７.０.０.１", "xn--a.ü"] {
            assert!(
                Domain::parse(wrong).map_or(true, |domain| ascii(&domain).is_err()),
                "{wrong}"
            );
        }
    }
}
