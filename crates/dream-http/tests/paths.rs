//! Path cleaning.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "tests: tables are long, and a failed unwrap is a failed test"
)]

use dream_http::target::clean_path;
use dream_http::{Reason, Reject};

#[test]
fn clean_paths_stay_as_they_are() {
    for path in [
        "/",
        "/a/b.c",
        "//a//",
        "/.well-known/x",
        "/..a",
        "/a..",
        "/.../x",
        "/%2F%5C%20",
        "/%252e%252e",
        "/a/.b/..c/d.",
    ] {
        assert_eq!(
            clean_path(path.as_bytes(), &mut Vec::new()),
            Ok(None),
            "{path}"
        );
    }
}

#[test]
fn others_are_cleaned() {
    for (path, expected) in [
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/./b", "/a/b"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/a/b/../../c", "/c"),
        ("/a//../b", "/a/b"),
        ("//..", "/"),
        ("/%61%2Db%7e", "/a-b~"),
        ("/%2fa%5c", "/%2Fa%5C"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%252e%252e/%41", "/a/%252e%252e/A"),
        ("/a/..%2fb%41", "/a/..%2FbA"),
    ] {
        let mut clean = b"old".to_vec();
        assert_eq!(
            clean_path(path.as_bytes(), &mut clean),
            Ok(Some(())),
            "{path}"
        );
        assert_eq!(clean, expected.as_bytes(), "{path}");
    }
}

#[test]
fn the_rest_is_refused() {
    for (path, at) in [
        ("", 0),
        ("*", 0),
        ("a", 0),
        ("/..", 0),
        ("/../a", 0),
        ("/a/../..", 5),
        ("/a/%2e%2e/%2e%2E/b", 9),
        ("/./..", 2),
        ("/a%00", 2),
        ("/%", 1),
        ("/%4", 1),
        ("/%zz", 1),
        ("/%4g", 1),
        ("/a%%41", 2),
        ("/%+1", 1),
    ] {
        let result = clean_path(path.as_bytes(), &mut Vec::new());
        assert_eq!(result, Err(Reject::new(Reason::Path, at)), "{path}");
    }
}
