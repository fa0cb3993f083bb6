//! Which names uploads may have.
//!
//! Whoever may add a file must not by that change what other addresses mean: the pages that stand for a folder or an error, what
//! is sent in the place of another file because it is smaller, and what is hidden because programs read it.

use super::super::path::{PathError, decode_path};
use super::refusal::Refusal;

/// Where an upload goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The folder, relative to the root; empty for the root itself.
    pub(super) folder: Vec<u8>,
    /// The name in it: one segment.
    pub(super) name: Vec<u8>,
}

impl Target {
    /// What stands under `path`, if it may be changed. `index` are the names of files that stand for their folder.
    pub(super) fn of(path: &[u8], index: &[String]) -> Result<Target, Refusal> {
        let mut name = Vec::new();
        decode_path(path, &mut name).map_err(|error| match error {
            PathError::Malformed(why) | PathError::Nameless(why) => Refusal::Answer(400, why),
            PathError::Hidden => Refusal::Answer(403, HIDDEN),
        })?;
        if name.is_empty() || name.ends_with(b"/") {
            return Err(Refusal::Answer(
                409,
                "This is a folder: the name of a file is missing.",
            ));
        }
        let mut segments = name.split(|&byte| byte == b'/');
        if segments.any(|segment| segment.starts_with(b".")) {
            return Err(Refusal::Answer(403, HIDDEN));
        }
        let folder = match memchr::memrchr(b'/', &name) {
            Some(at) => {
                let own = name.split_off(at + 1);
                name.truncate(at);
                std::mem::replace(&mut name, own)
            }
            None => Vec::new(),
        };
        check(&name, index)?;
        Ok(Target { folder, name })
    }
}

fn check(name: &[u8], index: &[String]) -> Result<(), Refusal> {
    let text = std::str::from_utf8(name).ok();
    let Some(text) = text.filter(|text| !text.chars().any(char::is_control)) else {
        return Err(Refusal::Answer(
            400,
            "A name is text in UTF-8, without control characters.",
        ));
    };
    // Some file systems tell neither capitals from small letters nor see what blanks and dots end a name.
    let plain = text.trim_end_matches([' ', '.']).to_ascii_lowercase();
    let is_index = |index: &String| index.eq_ignore_ascii_case(&plain);
    if plain == "index.html" || index.iter().any(is_index) || is_error_page(&plain) {
        return Err(Refusal::Answer(
            403,
            "Pages for folders and errors cannot be changed.",
        ));
    }
    if NEIGHBOURS.iter().any(|suffix| plain.ends_with(suffix)) {
        return Err(Refusal::Answer(
            403,
            "Names that end with .br, .gz or .zst cannot be changed: they are sent in place of other files.",
        ));
    }
    Ok(())
}

/// `not_found.html`, `bad_request.html`, and `404.html` for every status.
fn is_error_page(name: &str) -> bool {
    let stem = name.strip_suffix(".html").unwrap_or_default();
    let is_status = stem.len() == 3 && stem.bytes().all(|byte| byte.is_ascii_digit());
    is_status || matches!(stem, "not_found" | "bad_request")
}

const HIDDEN: &str = "Names that begin with a dot cannot be changed.";

const NEIGHBOURS: [&str; 3] = [".br", ".gz", ".zst"];

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str) -> Option<u16> {
        match Target::of(path.as_bytes(), &["home.htm".to_owned()]) {
            Ok(_) => None,
            Err(Refusal::Answer(status, _)) => Some(status),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_path_is_a_folder_and_a_name() {
        for (path, folder, name) in [
            ("/a.txt", "", "a.txt"),
            ("/a/b/c", "a/b", "c"),
            ("/a%20b/%C3%A9", "a b", "é"),
            ("/a/x.tgz", "a", "x.tgz"),
            ("/a/4040.html", "a", "4040.html"),
            ("/.../a", "", ""),
        ] {
            let target = Target::of(path.as_bytes(), &[]);
            match name {
                "" => assert!(target.is_err()),
                _ => {
                    let target = target.unwrap();
                    assert_eq!(target.folder, folder.as_bytes(), "{path}");
                    assert_eq!(target.name, name.as_bytes(), "{path}");
                }
            }
        }
    }

    #[test]
    fn what_means_more_than_itself_is_refused() {
        for path in [
            "/index.html",
            "/a/INDEX.html",
            "/index.html.",
            "/index.html%20",
            "/home.htm",
            "/Home.HTM",
            "/not_found.html",
            "/bad_request.html",
            "/404.html",
            "/a/500.HTML",
            "/app.js.br",
            "/app.js.GZ",
            "/x.zst",
            "/x.zst.",
            "/.env",
            "/.git/config",
            "/a/.htpasswd",
            "/.well-known/security.txt",
        ] {
            assert_eq!(status(path), Some(403), "{path}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for path in ["/", "/a/"] {
            assert_eq!(status(path), Some(409), "{path}");
        }
        for path in [
            "/a%00",
            "/a%0Ab",
            "/a%7F",
            "/%FF",
            "/a%2Fb",
            "//a",
            "/..",
            "/a/%2e%2e/b",
            "/%zz",
            "/%C2%85",
        ] {
            assert_eq!(status(path), Some(400), "{path}");
        }
    }
}
