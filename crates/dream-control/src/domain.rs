//! The name that a program wants to be served under.

use crate::fault::{Code, Fault};
use crate::text::quote;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name, `example.com`, or a wildcard for all names below one, `*.example.com`.
///
/// It is kept in lower case and without a dot at its end, so equal domains are equal text. Labels have letters, digits and
/// hyphens (RFC 1123 §2.1). Letters beyond ASCII stay as they were sent: whoever routes by the name maps it to
/// its `xn--` form, and parses that.
///
/// ```
/// use dream_control::Domain;
///
/// assert_eq!(Domain::parse("Example.COM.")?.as_str(), "example.com");
/// assert!(Domain::parse("127.0.0.1").is_err());
/// # Ok::<(), dream_control::Fault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// Reads a domain.
    ///
    /// # Errors
    /// `bad-domain`, if a label is empty, longer than 63 bytes, has another character or a hyphen at either end; if the
    /// name has more than 253 bytes; if it is an IP address.
    pub fn parse(text: &str) -> Result<Domain, Fault> {
        let refuse = |wrong: Wrong| {
            let detail = format!("{}: {wrong}", quote(text));
            Err(Fault::new(Code::BadDomain, detail))
        };
        if text.len() > MAX_BYTES {
            return refuse(Wrong::TooLong);
        }
        let name = lower_case(text.strip_suffix('.').unwrap_or(text));
        match check(&name) {
            Ok(()) => Ok(Domain(name)),
            Err(wrong) => refuse(wrong),
        }
    }

    /// The domain as text, in lower case; a wildcard with its `*.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does it stand for all names below the one behind its `*.`?
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(WILDCARD)
    }

    /// Is it in the form that DNS and requests have? If not, it must be mapped to that form and parsed again, because
    /// the limits of length, and what is an IP address, are only known then.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

impl FromStr for Domain {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Domain, Fault> {
        Domain::parse(text)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn lower_case(text: &str) -> String {
    let mut lower = String::with_capacity(text.len());
    lower.extend(text.chars().map(lower_letter));
    lower
}

/// A letter whose lower case is more than one character (`İ`) stays, or the name would not read back.
fn lower_letter(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn check(name: &str) -> Result<(), Wrong> {
    let base = name.strip_prefix(WILDCARD).unwrap_or(name);
    if is_address(base) {
        return Err(Wrong::Address);
    }
    let mut len = name.len() - base.len();
    for label in base.split('.') {
        check_label(label)?;
        len += ascii_len(label) + ".".len();
    }
    if len - ".".len() > MAX_NAME {
        return Err(Wrong::TooLong);
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), Wrong> {
    if label.is_empty() {
        return Err(Wrong::EmptyLabel);
    }
    if let Some(other) = label.chars().find(|c| !c.is_alphanumeric() && *c != '-') {
        return Err(Wrong::Character(other));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(Wrong::Hyphen);
    }
    if ascii_len(label) > MAX_LABEL {
        return Err(Wrong::LongLabel);
    }
    Ok(())
}

/// The bytes of a label in its ASCII form; of one that has to be encoded for that, the least that there can be:
/// Punycode (RFC 3492 §3) needs a byte or more for each character.
fn ascii_len(label: &str) -> usize {
    if label.is_ascii() {
        label.len()
    } else {
        "xn--".len() + label.chars().count()
    }
}

/// Browsers take every host whose last label is a number, decimal or hexadecimal, for an IPv4 address, `127.1` and
/// `0x7f000001` too (WHATWG URL, "ends in a number"). A name like that could never be asked for.
fn is_address(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    decimal || hexadecimal || name.parse::<IpAddr>().is_ok()
}

/// Why a name is none.
enum Wrong {
    EmptyLabel,
    Character(char),
    Hyphen,
    LongLabel,
    TooLong,
    Address,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::EmptyLabel => f.write_str("a label of the name is empty"),
            Wrong::Character('*') => f.write_str("a * stands only for the whole first label"),
            Wrong::Character(c) if c.is_whitespace() => {
                f.write_str("a blank may not stand in a name")
            }
            Wrong::Character(c) => {
                let c = quote(c.encode_utf8(&mut [0; 4]));
                write!(f, "“{c}” may not stand in a name")
            }
            Wrong::Hyphen => f.write_str("a label begins or ends with a hyphen"),
            Wrong::LongLabel => write!(f, "a label has more than {MAX_LABEL} bytes"),
            Wrong::TooLong => write!(f, "the name has more than {MAX_NAME} bytes"),
            Wrong::Address => f.write_str("an IP address is not a name"),
        }
    }
}

const WILDCARD: &str = "*.";

/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// RFC 1035 §2.3.4 has 255 bytes on the wire, which are 253 as text.
const MAX_NAME: usize = 253;

/// A name of 253 characters has at most this many bytes of UTF-8, and a dot.
const MAX_BYTES: usize = 4 * MAX_NAME + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for (text, name) in [
            ("example.com", "example.com"),
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("intranet", "intranet"),
            ("localhost", "localhost"),
            ("shop.localhost", "shop.localhost"),
            ("a", "a"),
            ("3com.com", "3com.com"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("example.0xy", "example.0xy"),
            ("a-b--c.d", "a-b--c.d"),
            ("XN--Mnchen-3ya.de", "xn--mnchen-3ya.de"),
            ("*.example.com", "*.example.com"),
            ("*.Example.com.", "*.example.com"),
            ("*.localhost", "*.localhost"),
            ("MÜNCHEN.de", "münchen.de"),
            ("例え.jp", "例え.jp"),
            ("İ.example", "İ.example"),
            (&longest, &longest),
            (&format!("{longest}."), &longest),
            (&"é".repeat(59), &"é".repeat(59)),
        ] {
            let domain = Domain::parse(text).expect(text);
            assert_eq!(domain.as_str(), name);
            assert_eq!(domain.to_string(), name);
            assert_eq!(domain.is_wildcard(), name.starts_with('*'), "{text}");
            assert_eq!(domain.is_ascii(), name.is_ascii(), "{text}");
            assert_eq!(text.parse(), Ok(domain));
        }
    }

    #[test]
    fn what_is_no_name() {
        let label = "a".repeat(63);
        let full = format!("{label}.{label}.{label}.{label}");
        for (text, wrong) in [
            ("", "\"\": a label of the name is empty"),
            (".", ".: a label of the name is empty"),
            (".com", ".com: a label of the name is empty"),
            ("a..b", "a..b: a label of the name is empty"),
            ("a.b..", "a.b..: a label of the name is empty"),
            ("a_b.com", "a_b.com: “_” may not stand in a name"),
            ("a b", "a b: a blank may not stand in a name"),
            ("a:80", "a:80: “:” may not stand in a name"),
            ("https://a", "https://a: “:” may not stand in a name"),
            ("a\nb", "a\\nb: a blank may not stand in a name"),
            ("a\0", "a\\0: “\\0” may not stand in a name"),
            ("a。b", "a。b: “。” may not stand in a name"),
            ("-a.com", "-a.com: a label begins or ends with a hyphen"),
            ("a-.com", "a-.com: a label begins or ends with a hyphen"),
            ("*", "*: a * stands only for the whole first label"),
            ("*.", "*.: a * stands only for the whole first label"),
            ("*.*.a", "*.*.a: a * stands only for the whole first label"),
            ("a.*.b", "a.*.b: a * stands only for the whole first label"),
            ("*a.b", "*a.b: a * stands only for the whole first label"),
            ("*..a", "*..a: a label of the name is empty"),
            ("127.0.0.1", "127.0.0.1: an IP address is not a name"),
            ("127.0.0.1.", "127.0.0.1.: an IP address is not a name"),
            ("*.0.0.1", "*.0.0.1: an IP address is not a name"),
            ("127.1", "127.1: an IP address is not a name"),
            ("2130706433", "2130706433: an IP address is not a name"),
            ("0X7F.0x1", "0X7F.0x1: an IP address is not a name"),
            ("0x", "0x: an IP address is not a name"),
            ("::1", "::1: an IP address is not a name"),
            ("[::1]", "[::1]: “[” may not stand in a name"),
        ] {
            let fault = Domain::parse(text).expect_err(text);
            assert_eq!(fault.code(), "bad-domain");
            assert_eq!(fault.detail(), wrong);
        }
        for (text, wrong) in [
            ("a".repeat(64), "a label has more than 63 bytes"),
            ("é".repeat(60), "a label has more than 63 bytes"),
            (full.clone(), "the name has more than 253 bytes"),
            (
                format!("*.{}", &full[2..]),
                "the name has more than 253 bytes",
            ),
            ("a.".repeat(5000), "the name has more than 253 bytes"),
            ("é.".repeat(120), "the name has more than 253 bytes"),
        ] {
            let fault = Domain::parse(&text).expect_err(&text);
            assert!(fault.detail().ends_with(wrong), "{fault}");
            assert!(fault.detail().len() < 300, "{fault}");
        }
    }

    /// Lower case is reached in one step, or a name would change when it is sent on.
    #[test]
    fn every_letter_reads_back() {
        for c in char::MIN..=char::MAX {
            let lower = lower_letter(c);
            assert_eq!(lower_letter(lower), lower, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn names_read_back(text in "\\PC{0,24}|(\\*\\.)?([a-zA-Z0-9é例ßKİ-]{0,20}\\.?){0,6}") {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert_eq!(Domain::parse(domain.as_str()), Ok(domain.clone()));
                prop_assert_eq!(Domain::parse(&text.to_ascii_uppercase()), Ok(domain.clone()));
                prop_assert!(domain.as_str().chars().all(|c| c.is_alphanumeric() || "*-.".contains(c)));
            }
        }
    }
}
