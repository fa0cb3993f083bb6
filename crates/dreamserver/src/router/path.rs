//! Path patterns: literal segments, `{name}` for one segment, and `*` for the rest.

use dream_http::target::{clean_path, decode_escapes};
use std::fmt::{self, Write};
use std::str::FromStr;

/// A pattern for paths. Ordered from the more specific to the less where both match a path, segment by segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// Exactly these bytes; may be empty at the end of a pattern.
    Literal(String),
    /// One segment that is not empty.
    Name(String),
    /// Everything below, and the folder itself with its slash; stands at the end only.
    Rest,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPath {
    /// What is wrong.
    pub message: &'static str,
    /// What to write instead.
    pub help: &'static str,
}

impl PathPattern {
    /// `/*`: every path.
    pub fn all() -> PathPattern {
        PathPattern {
            segments: vec![Segment::Rest],
        }
    }

    /// The segments at its front that are fixed, without a slash behind them: `/users` of `/users/{id}`; empty if there are none.
    pub fn literal(&self) -> String {
        let fixed = self.segments.iter().map_while(|segment| match segment {
            Segment::Literal(text) if !text.is_empty() => Some(text),
            Segment::Literal(_) | Segment::Name(_) | Segment::Rest => None,
        });
        fixed.fold(String::new(), |path, text| path + "/" + text)
    }

    /// What stands for the names in a path that matches, with its escapes decoded; bytes that are no UTF-8 are replaced. What is
    /// below a `*` has its name.
    pub fn values(&self, path: &[u8]) -> Vec<(Box<str>, String)> {
        let mut values = Vec::new();
        let mut rest = path.strip_prefix(b"/").unwrap_or(path);
        for segment in &self.segments {
            let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            let (part, behind) = rest.split_at(end);
            match segment {
                Segment::Literal(_) => {}
                Segment::Name(name) => values.push((name.as_str().into(), decoded(part))),
                Segment::Rest => values.push(("*".into(), decoded(rest))),
            }
            rest = behind.strip_prefix(b"/").unwrap_or(behind);
        }
        values
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Do all paths of this pattern begin with `prefix` and go on with a slash or end there?
    /// `prefix` begins with a slash and does not end with one.
    pub fn is_below(&self, prefix: &str) -> bool {
        let parts = prefix.split('/').skip(1);
        let mut segments = self.segments.iter();
        parts
            .into_iter()
            .all(|part| matches!(segments.next(), Some(Segment::Literal(text)) if text == part))
    }
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    // A clean path has no broken escapes.
    let _ = decode_escapes(text, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

impl FromStr for PathPattern {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<PathPattern, InvalidPath> {
        let path = clean(text)?;
        let mut segments: Vec<Segment> = Vec::new();
        for part in path.split('/').skip(1) {
            if segments.last() == Some(&Segment::Rest) {
                return Err(STRAY_STAR);
            }
            segments.push(segment(part)?);
        }
        Ok(PathPattern { segments })
    }
}

/// Writes the pattern as the paths will be that it is compared with.
fn clean(text: &str) -> Result<String, InvalidPath> {
    if !text.starts_with('/') {
        return Err(NO_SLASH);
    }
    if text.contains(['?', '#']) {
        return Err(QUERY);
    }
    let mut ascii = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' => ascii.push(byte as char),
            _ => drop(write!(ascii, "%{byte:02X}")),
        }
    }
    let mut changed = Vec::new();
    match clean_path(ascii.as_bytes(), &mut changed) {
        Ok(None) => Ok(ascii),
        Ok(Some(())) => String::from_utf8(changed).map_err(|_| NOT_CLEAN),
        Err(_) => Err(NOT_CLEAN),
    }
}

fn segment(part: &str) -> Result<Segment, InvalidPath> {
    if part == "*" {
        return Ok(Segment::Rest);
    }
    if let Some(name) = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        return match !name.is_empty() && name.bytes().all(word) {
            true => Ok(Segment::Name(name.to_owned())),
            false => Err(BRACES),
        };
    }
    match part {
        _ if part.contains('*') => Err(STRAY_STAR),
        _ if part.contains(['{', '}']) => Err(BRACES),
        _ => Ok(Segment::Literal(part.to_owned())),
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Name(name) => write!(f, "/{{{name}}}")?,
                Segment::Rest => f.write_str("/*")?,
            }
        }
        Ok(())
    }
}

const NO_SLASH: InvalidPath = InvalidPath {
    message: "a path begins with `/`",
    help: "write `/name` for one path or `/name/*` for all below",
};
const QUERY: InvalidPath = InvalidPath {
    message: "a path ends before `?` and `#`",
    help: "routes do not look at the query",
};
const NOT_CLEAN: InvalidPath = InvalidPath {
    message: "no request has such a path",
    help: "it leaves the root, or holds `%00` or a `%` that is no escape",
};
const STRAY_STAR: InvalidPath = InvalidPath {
    message: "`*` stands only at the end, behind a `/`",
    help: "write `/name/*`, or `{name}` for one segment in the middle",
};
const BRACES: InvalidPath = InvalidPath {
    message: "braces hold the name of one whole segment",
    help: "write `/users/{id}/photo`",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_in_one_spelling() {
        for (text, shown) in [
            ("/", "/"),
            ("/*", "/*"),
            ("/v1/*", "/v1/*"),
            ("/a/", "/a/"),
            ("/users/{id}/photo", "/users/{id}/photo"),
            ("/caf\u{e9} x", "/caf%C3%A9%20x"),
        ] {
            assert_eq!(text.parse::<PathPattern>().unwrap().to_string(), shown);
        }
        for wrong in [
            "", "v1", "/a*", "/*/b", "/{}", "/{a}b", "/{a b}", "/a?b", "/a#",
        ] {
            assert!(wrong.parse::<PathPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_have_the_values_that_stand_in_the_path() {
        for (pattern, path, expected) in [
            (
                "/users/{id}/photo",
                "/users/a%20b/photo",
                &[("id", "a b")][..],
            ),
            ("/{a}/{b}", "/1/2", &[("a", "1"), ("b", "2")]),
            ("/files/*", "/files/a/b%2Fc", &[("*", "a/b/c")]),
            ("/files/*", "/files/", &[("*", "")]),
            ("/*", "/", &[("*", "")]),
            ("/a", "/a", &[]),
            ("/{a}", "/%ff", &[("a", "\u{fffd}")]),
        ] {
            let pattern: PathPattern = pattern.parse().unwrap();
            let values = pattern.values(path.as_bytes());
            let values: Vec<_> = values
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(values, expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_prefix_to_strip_is_made_of_whole_segments() {
        let pattern: PathPattern = "/v1/a/*".parse().unwrap();
        assert!(pattern.is_below("/v1") && pattern.is_below("/v1/a"));
        assert!(!pattern.is_below("/v") && !pattern.is_below("/v1/a/b"));
    }
}
