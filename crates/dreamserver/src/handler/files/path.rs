//! From a request's path to a name below the root, in one pure function.
//!
//! Everything that could lead out of the root by its spelling is refused here, before any system call; what could
//! lead out by what is on the disk (symlinks) is refused by `root.rs`. Each line of defence holds alone.

use dream_http::target::decode_escapes;
use std::fmt;

/// Why a path names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// No client that means well sends this → 400.
    Malformed(&'static str),
    /// Well-formed, but nothing below the root can have this name → 404.
    Nameless(&'static str),
    /// The name of a file that is not for visitors → 404.
    Hidden,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Malformed(why) | PathError::Nameless(why) => f.write_str(why),
            PathError::Hidden => f.write_str("hidden files are not served"),
        }
    }
}

/// Decodes `path`, which was cleaned (`dream_http::target::clean_path`) and begins with `/`, and appends to `name` what it
/// names below the root: relative, in the file system's bytes, a trailing slash kept as the mark of a folder. `/` gives
/// nothing at all.
///
/// What is appended never begins with a slash, and none of its segments is empty, `.` or `..`, or holds a NUL.
/// A backslash is a byte like others, as it is for the file system.
///
/// # Errors
/// [`PathError`]; `name` then holds a part of the name.
pub fn decode_path(path: &[u8], name: &mut Vec<u8>) -> Result<(), PathError> {
    let [b'/', relative @ ..] = path else {
        return Err(PathError::Malformed("the path does not begin with a slash"));
    };
    if relative.is_empty() {
        return Ok(());
    }
    let folder = relative.strip_suffix(b"/");
    for segment in folder.unwrap_or(relative).split(|&byte| byte == b'/') {
        let start = name.len();
        decode_escapes(segment, name).map_err(|_| {
            PathError::Malformed("a % in the path is not followed by two hex digits")
        })?;
        check_segment(&name[start..])?;
        name.push(b'/');
    }
    if folder.is_none() {
        name.pop();
    }
    Ok(())
}

/// Does a segment of `name` begin with a dot? Such files (`.git`, `.env`, `.htpasswd`) are there for programs, not for
/// visitors; only `.well-known` at the top is made for them (RFC 8615 §3).
pub fn is_hidden(name: &[u8]) -> bool {
    name.split(|&byte| byte == b'/')
        .enumerate()
        .any(|(depth, segment)| {
            segment.first() == Some(&b'.') && !(depth == 0 && segment == b".well-known")
        })
}

fn check_segment(segment: &[u8]) -> Result<(), PathError> {
    match segment {
        // `//admin` is not merged into `/admin`: routes have judged the path as it was written, so that merging here
        // would be a way around a route for `/admin`.
        b"" => Err(PathError::Nameless("a segment of the path is empty")),
        b"." | b".." => Err(PathError::Malformed("the path has a dot segment")),
        _ if segment.contains(&0) => Err(PathError::Malformed("the path holds a NUL")),
        _ if segment.contains(&b'/') => Err(PathError::Nameless("no file name holds a slash")),
        _ => Ok(()),
    }
}

/// Decodes any bytes and checks what [`decode_path`] promises; for fuzzing.
///
/// # Panics
/// If a promise is broken.
#[cfg(any(test, fuzzing))]
pub fn fuzz_path(input: &[u8]) {
    let mut name = Vec::new();
    if decode_path(input, &mut name).is_err() || name.is_empty() {
        return;
    }
    let whole = name.strip_suffix(b"/").unwrap_or(&name);
    for segment in whole.split(|&byte| byte == b'/') {
        assert!(!matches!(segment, b"" | b"." | b".."), "{input:?}");
        assert!(!segment.contains(&0), "{input:?}");
    }
    let mut below_top = whole.split(|&byte| byte == b'/').skip(1);
    let dotted = below_top.any(|segment| segment.starts_with(b"."));
    assert!(is_hidden(&name) || !dotted, "{input:?}");
    let folder = input.ends_with(b"/");
    assert_eq!(name.ends_with(b"/"), folder, "{input:?}");
    let slashes = |text: &[u8]| text.iter().filter(|&&byte| byte == b'/').count();
    assert_eq!(slashes(&name), slashes(input) - 1, "{input:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(path: &str) -> Result<String, PathError> {
        let mut name = Vec::new();
        decode_path(path.as_bytes(), &mut name)?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    #[test]
    fn names_are_decoded() {
        for (path, name) in [
            ("/", ""),
            ("/a", "a"),
            ("/a/b.html", "a/b.html"),
            ("/docs/", "docs/"),
            ("/a%20b/%C3%A9", "a b/é"),
            ("/100%25", "100%"),
            ("/%252e%252e/a", "%2e%2e/a"),
            ("/a\\..\\b", "a\\..\\b"),
            ("/a%5Cb", "a\\b"),
            ("/...", "..."),
            ("/.well-known/acme", ".well-known/acme"),
        ] {
            assert_eq!(decoded(path).as_deref(), Ok(name), "{path}");
        }
    }

    #[test]
    fn spellings_that_lead_out_are_malformed() {
        for path in [
            "", "a", "/..", "/../", "/a/..", "/a/../b", "/.", "/./a", "/%2e%2e", "/%2E./a",
            "/.%2e", "/a/%2e", "/a%00", "/%00", "/%", "/%2", "/%zz", "/a%2", "/%+1", "/%%41",
        ] {
            assert!(
                matches!(decoded(path), Err(PathError::Malformed(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn names_that_no_file_has() {
        for path in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/a%2Fb",
            "/%2F",
            "/..%2f",
            "/%2fetc/passwd",
        ] {
            assert!(
                matches!(decoded(path), Err(PathError::Nameless(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn hidden_names() {
        for name in [
            ".git/config",
            "a/.env",
            ".htpasswd",
            "a/.b/c",
            "a/.well-known/b",
            ".well-known2",
            ".well-known/.x",
        ] {
            assert!(is_hidden(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "a",
            "a.b",
            "a/b./c",
            ".well-known",
            ".well-known/",
            ".well-known/acme-challenge/x",
        ] {
            assert!(!is_hidden(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/file_name");
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            fuzz_path(&input);
            let good = decode_path(&input, &mut Vec::new()).is_ok();
            let expected = path
                .file_name()
                .unwrap()
                .as_encoded_bytes()
                .starts_with(b"ok-");
            assert_eq!(good, expected, "{}", path.display());
        }
    }

    proptest! {
        #[test]
        fn promises_hold_for_any_bytes(input in proptest::collection::vec(any::<u8>(), 0..64)) {
            fuzz_path(&input);
        }

        #[test]
        fn promises_hold_for_what_attackers_send(input in "(/|%2[eEfF]|\\.|%00|%25|a|\\\\|%5[cC]|;){0,16}") {
            fuzz_path(input.as_bytes());
        }
    }
}
