//! How long browsers and caches may keep a file without asking again, by its name (RFC 9111 §5.2.2).
//!
//! It is said of the file that is sent, not of the address that was asked for: an application's page that stands in for what is
//! missing below `/assets/` is not kept for a year under that address. Errors and redirects never say it.

use std::fmt;
use std::str::FromStr;

use dream_http::{Fields, Name};

/// What is said of which files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CacheRules(Vec<(NamePattern, Box<str>)>);

impl CacheRules {
    /// The rules, in any order: of several that a name fits, the one with the longest pattern holds.
    pub fn new(mut rules: Vec<(NamePattern, CacheControl)>) -> CacheRules {
        rules.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.weight()));
        let rules = rules.into_iter();
        CacheRules(
            rules
                .map(|(pattern, control)| (pattern, control.0))
                .collect(),
        )
    }

    /// What is said of the file `name`, which is relative to the root.
    pub(super) fn find(&self, name: &[u8]) -> Option<&str> {
        let mut rules = self.0.iter();
        let rule = rules.find(|(pattern, _)| pattern.fits(name))?;
        Some(&rule.1)
    }
}

/// Which files: `/sw.js` is one, `/assets/*` are all below a folder, `/*.js` are all that end so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamePattern {
    /// Without the first slash.
    before: Box<str>,
    /// Behind a star, which stands for anything, slashes too; nothing if there is no star.
    after: Option<Box<str>>,
}

impl NamePattern {
    fn fits(&self, name: &[u8]) -> bool {
        let Some(after) = &self.after else {
            return name == self.before.as_bytes();
        };
        let rest = name.strip_prefix(self.before.as_bytes());
        rest.is_some_and(|rest| rest.ends_with(after.as_bytes()))
    }

    /// One file before all patterns, and the longer before the shorter.
    fn weight(&self) -> (bool, usize) {
        let after = self.after.as_ref().map_or(0, |after| after.len());
        (self.after.is_none(), self.before.len() + after)
    }
}

impl FromStr for NamePattern {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<NamePattern, InvalidRule> {
        let name = text.strip_prefix('/').ok_or(InvalidRule::Slash)?;
        let (before, after) = match name.split_once('*') {
            Some((before, after)) => (before, Some(after)),
            None => (name, None),
        };
        match after {
            Some(after) if after.contains('*') => Err(InvalidRule::Stars),
            None if name.is_empty() || name.ends_with('/') => Err(InvalidRule::Folder),
            _ => Ok(NamePattern {
                before: before.into(),
                after: after.map(Into::into),
            }),
        }
    }
}

/// The value of a `Cache-Control` field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheControl(Box<str>);

impl FromStr for CacheControl {
    type Err = InvalidRule;

    /// The word `immutable` alone says nothing without an age (RFC 8246 §2): it is short for a year of it.
    fn from_str(text: &str) -> Result<CacheControl, InvalidRule> {
        let value = match text.trim() {
            "immutable" => YEAR,
            value => value,
        };
        let fits = Fields::new()
            .append(Name::CacheControl, value.as_bytes())
            .is_ok();
        match fits && !value.is_empty() {
            true => Ok(CacheControl(value.into())),
            false => Err(InvalidRule::Value),
        }
    }
}

/// A year is as long as caches are told to keep anything (RFC 2616 §14.21, and everybody's habit since).
const YEAR: &str = "public, max-age=31536000, immutable";

/// Why a rule is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRule {
    /// A pattern that does not begin at the root.
    Slash,
    /// More than one star.
    Stars,
    /// The name of a folder.
    Folder,
    /// A value that no field can have.
    Value,
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidRule::Slash => "a pattern begins with `/`, which is the root of the files",
            InvalidRule::Stars => "a pattern has one `*`, which stands for anything",
            InvalidRule::Folder => "this is a folder; `*` behind it means all files below",
            InvalidRule::Value => "this is not the value of a Cache-Control field",
        })
    }
}

impl std::error::Error for InvalidRule {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(&str, &str)]) -> CacheRules {
        let rule = |(pattern, control): &(&str, &str)| {
            (pattern.parse().unwrap(), control.parse().unwrap())
        };
        CacheRules::new(rules.iter().map(rule).collect())
    }

    #[test]
    fn the_longest_pattern_holds() {
        let rules = rules(&[
            ("/*", "all"),
            ("/*.js", "scripts"),
            ("/assets/*", "immutable"),
            ("/assets/raw/*.js", "raw"),
            ("/sw.js", "worker"),
        ]);
        for (name, control) in [
            ("index.html", "all"),
            ("app.js", "scripts"),
            ("sw.js", "worker"),
            ("deep/sw.js", "scripts"),
            ("assets/app.js", YEAR),
            ("assets/raw/app.js", "raw"),
            ("assets/raw/app.css", YEAR),
            ("assets", "all"),
        ] {
            assert_eq!(rules.find(name.as_bytes()), Some(control), "{name}");
        }
        assert_eq!(CacheRules::default().find(b"a"), None);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        use InvalidRule::{Folder, Slash, Stars, Value};
        for (text, why) in [
            ("*", Slash),
            ("", Slash),
            ("a.js", Slash),
            ("/*/*", Stars),
            ("/", Folder),
            ("/a/", Folder),
        ] {
            assert_eq!(text.parse::<NamePattern>(), Err(why), "{text}");
        }
        for text in ["", " ", "a\r\nb"] {
            assert_eq!(text.parse::<CacheControl>(), Err(Value), "{text}");
        }
    }
}
