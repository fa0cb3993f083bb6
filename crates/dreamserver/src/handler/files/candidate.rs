//! Names that are tried one after the other for one request: for sites whose addresses have no `.html`, and for applications of
//! one page that find their way by themselves.

use std::fmt;
use std::str::FromStr;

use super::path::decode_path;

/// A name to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Candidate {
    /// This file, whatever was asked for; a name below the root, without the first slash.
    Fixed(Box<str>),
    /// What was asked for, with these texts around it. `before` is without the first slash, and ends with one if it is not empty.
    Asked {
        /// In front of it.
        before: Box<str>,
        /// Behind it.
        after: Box<str>,
    },
}

impl Candidate {
    /// Is it just what was asked for?
    pub(super) fn is_as_asked(&self) -> bool {
        matches!(self, Candidate::Asked { before, after } if before.is_empty() && after.is_empty())
    }

    /// Appends what it says for a request that asks for `asked`, a name below the root; `false` if it says nothing for that, because
    /// a folder cannot have an extension.
    pub(super) fn write(&self, asked: &[u8], name: &mut Vec<u8>) -> bool {
        match self {
            Candidate::Fixed(fixed) => name.extend_from_slice(fixed.as_bytes()),
            Candidate::Asked { before, after } => {
                if !after.is_empty() && (asked.is_empty() || asked.ends_with(b"/")) {
                    return false;
                }
                name.extend_from_slice(before.as_bytes());
                name.extend_from_slice(asked);
                name.extend_from_slice(after.as_bytes());
            }
        }
        true
    }
}

/// Why a text is no name to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCandidate(&'static str);

impl fmt::Display for InvalidCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidCandidate {}

impl FromStr for Candidate {
    type Err = InvalidCandidate;

    fn from_str(text: &str) -> Result<Candidate, InvalidCandidate> {
        let Some((before, after)) = text.split_once(PATH) else {
            return Ok(Candidate::Fixed(below_root(text)?));
        };
        if after.starts_with('/') {
            return Err(InvalidCandidate(
                "what follows `{path}` is an ending such as `.html`",
            ));
        }
        // As if something had been asked for.
        below_root(&format!("{before}/x{after}"))?;
        let before = match before.trim_start_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        Ok(Candidate::Asked {
            before: before.into(),
            after: after.into(),
        })
    }
}

/// A name below the root, which is written as a path that begins there.
fn below_root(path: &str) -> Result<Box<str>, InvalidCandidate> {
    let Some(name) = path.strip_prefix('/') else {
        return Err(InvalidCandidate(
            "it begins with `/`, which is the root, or with `{path}`",
        ));
    };
    if path.contains(['{', '}', '%']) {
        return Err(InvalidCandidate(
            "the only thing that stands for something else is `{path}`, once",
        ));
    }
    match decode_path(path.as_bytes(), &mut Vec::new()) {
        Ok(()) => Ok(name.into()),
        Err(_) => Err(InvalidCandidate("no file below the root has this name")),
    }
}

/// Stands for what was asked for.
const PATH: &str = "{path}";

#[cfg(test)]
mod tests {
    use super::*;

    fn name(candidate: &str, asked: &str) -> Option<String> {
        let candidate: Candidate = candidate.parse().unwrap();
        let mut name = Vec::new();
        let says = candidate.write(asked.as_bytes(), &mut name);
        says.then(|| String::from_utf8(name).unwrap())
    }

    #[test]
    fn a_name_is_made_of_what_was_asked_for() {
        for (candidate, asked, expected) in [
            ("{path}", "a/b", Some("a/b")),
            ("{path}", "", Some("")),
            ("{path}", "docs/", Some("docs/")),
            ("{path}.html", "about", Some("about.html")),
            ("{path}.html", "docs/", None),
            ("{path}.html", "", None),
            ("/pages{path}", "about", Some("pages/about")),
            ("/index.html", "anything", Some("index.html")),
            ("/app/", "x", Some("app/")),
        ] {
            assert_eq!(
                name(candidate, asked).as_deref(),
                expected,
                "{candidate} for {asked}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "index.html",
            "{paht}",
            "/{host}/x",
            "{path}{path}",
            "/../x",
            "/a//b",
            "/a/./b",
            "/a\0",
            "{path}/..",
            "/..{path}",
            "x{path}",
            "{path}/index.html",
        ] {
            assert!(text.parse::<Candidate>().is_err(), "{text}");
        }
    }
}
