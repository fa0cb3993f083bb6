//! Holds the order of the rooms: data flows one way, and so do imports.
//!
//! A room of the hallway imports rooms to its right and the shelf; the shelf imports no room; the back office may
//! import everything. A new file or folder in `src` must be given its place here. `dream-http` knows neither
//! sockets nor clocks.

use std::fs;
use std::path::{Path, PathBuf};

/// In walking order.
const HALLWAY: [&str; 8] = [
    "listener",
    "tls",
    "protocol",
    "serve",
    "router",
    "middleware",
    "handler",
    "upstream",
];

const BACK_OFFICE: [&str; 14] = [
    "acme",
    "admin",
    "authority",
    "certificates",
    "cli",
    "config",
    "control",
    "detach",
    "library",
    "pid_file",
    "server",
    "state",
    "systemd",
    "takeover",
];

const SHELF: [&str; 21] = [
    "address",
    "challenges",
    "coding",
    "credential",
    "digits",
    "error",
    "exchange",
    "inbound",
    "limits",
    "log",
    "metrics",
    "options",
    "outbound",
    "owned",
    "pipe",
    "sockets",
    "spare",
    "stream",
    "template",
    "time",
    "whole_file",
];

/// Files that join the rooms instead of being one.
const OUTSIDE: [&str; 3] = ["lib", "main", "inside"];

/// What `dream-http` may be built with: no IO, no clock, no std.
const PURE: [&str; 1] = ["memchr"];

#[test]
fn rooms_import_to_their_right() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&source);
    assert!(files.len() > 10, "the sources were not found");
    let faults: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            faults(path.strip_prefix(&source).unwrap(), &text)
        })
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn dream_http_has_no_io() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dream-http");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert_eq!(impure_dependencies(&manifest), Vec::<String>::new());
    let lib = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]"));
    for path in rust_files(&folder.join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let pure = std_only_in_tests(&text);
        assert!(pure, "{} links std outside of tests", path.display());
    }
}

/// What is wrong with the imports of the file at `path` (below `src`).
fn faults(path: &Path, text: &str) -> Vec<String> {
    let room = room_of(path);
    if OUTSIDE.contains(&room.as_str()) {
        return Vec::new();
    }
    let Some(from) = Place::of(&room) else {
        return vec![format!(
            "{}: {room} has no place in this test",
            path.display()
        )];
    };
    imports(text, is_door(path))
        .into_iter()
        .filter(|(_, name)| *name != room)
        .filter(|(_, name)| !Place::of(name).is_some_and(|to| from.may_import(to)))
        .map(|(line, name)| format!("{}:{line}: {room} may not import {name}", path.display()))
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Shelf,
    Hallway(usize),
    BackOffice,
}

impl Place {
    fn of(room: &str) -> Option<Place> {
        if SHELF.contains(&room) {
            return Some(Place::Shelf);
        }
        if BACK_OFFICE.contains(&room) {
            return Some(Place::BackOffice);
        }
        let step = HALLWAY.iter().position(|name| *name == room)?;
        Some(Place::Hallway(step))
    }

    fn may_import(self, to: Place) -> bool {
        match (self, to) {
            (Place::BackOffice, _) | (_, Place::Shelf) => true,
            (Place::Hallway(from), Place::Hallway(to)) => from < to,
            (Place::Shelf | Place::Hallway(_), _) => false,
        }
    }
}

/// The file or folder directly below `src`.
fn room_of(path: &Path) -> String {
    let first = Path::new(path.iter().next().unwrap_or_default());
    let stem = first.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// From the top file of a room, `super` is the root of the crate.
fn is_door(path: &Path) -> bool {
    let depth = path.components().count();
    depth == 1 || (depth == 2 && path.ends_with("mod.rs"))
}

/// The names that stand behind `crate::`, with their lines. In a door the rooms behind `super::` too; other names
/// there belong to a test module, which says `super::` as well.
fn imports(text: &str, door: bool) -> Vec<(usize, String)> {
    let text = without_comments(text).replace(" ::", "::");
    let mut found = paths(&text, "crate::");
    if door {
        let known = |(_, name): &(usize, String)| Place::of(name).is_some();
        found.extend(paths(&text, "super::").into_iter().filter(known));
    }
    found.sort();
    found
}

/// What stands behind `root`: a name, or the first names of each member of a group.
fn paths(text: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(root) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(is_name_character) {
            continue;
        }
        let line = 1 + text[..at].matches('\n').count();
        let behind = text[at + root.len()..].trim_start();
        let names = match behind.strip_prefix('{') {
            Some(group) => first_names(group),
            None => vec![leading_name(behind)],
        };
        found.extend(names.into_iter().map(|name| (line, name)));
    }
    found
}

/// The first name of each member of a group whose brace was opened.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut member) = (1, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => member = depth == 1,
            _ if member && !character.is_whitespace() => {
                names.push(leading_name(&group[at..]));
                member = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| is_name_character(*c)).collect()
}

fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The text without line comments, which may name any room. A `//` within a string is cut too; no string of ours
/// has a path behind one.
fn without_comments(text: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// What a manifest builds its library with, on any target, beyond what is pure.
fn impure_dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    let tables = ["dependencies", "build-dependencies", "target"];
    tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .filter(|name| !PURE.contains(&name.as_str()))
        .collect()
}

/// In a `no_std` crate, std is there only where it is linked by name.
fn std_only_in_tests(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("extern crate std"))
        .all(|(at, _)| at > 0 && lines[at - 1] == "#[cfg(test)]")
}

/// The checker itself, on planted text.
mod checker {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        faults(Path::new(path), text)
    }

    #[test]
    fn to_the_right_and_to_the_shelf_is_fine() {
        let text = "use crate::upstream::Pool;\nuse crate::{error, exchange::{Body, Request}};\n";
        let config = "use crate::{server, handler::Files};";
        assert!(found("handler/proxy.rs", text).is_empty());
        assert!(found("config/load.rs", config).is_empty());
        assert!(found("handler/files/mod.rs", "use crate::handler::Route;").is_empty());
        assert!(found("log/mod.rs", "use crate::time::Clock;").is_empty());
        assert!(found("lib.rs", "pub use crate::server::Server;").is_empty());
    }

    #[test]
    fn to_the_left_is_a_fault_with_file_and_line() {
        let planted = "use std::io;\nuse crate::router::Table;\n";
        let expected = ["handler/mod.rs:2: handler may not import router"];
        assert_eq!(found("handler/mod.rs", planted), expected);
    }

    #[test]
    fn every_way_to_write_a_path_is_seen() {
        let ways = [
            "fn f() { crate::serve::serve() }",
            "use crate::{\n    error,\n    serve::serve,\n};",
            "use crate::{upstream::{Pool, Slot}, serve};",
            "pub use crate::serve;",
            "use super::serve::serve;",
            "use crate ::serve;",
            "let it: &crate::\nserve::Serve;",
        ];
        for text in ways {
            assert_eq!(found("handler/mod.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn the_back_office_is_not_called() {
        assert_eq!(found("serve.rs", "use crate::config::Config;").len(), 1);
        assert_eq!(found("time.rs", "use crate::server::Server;").len(), 1);
    }

    #[test]
    fn the_shelf_imports_no_room() {
        assert_eq!(found("error.rs", "use crate::upstream::Pool;").len(), 1);
    }

    #[test]
    fn whoever_has_no_place_is_a_fault() {
        assert_eq!(found("manager.rs", "").len(), 1);
        assert_eq!(found("handler/mod.rs", "use crate::Everything;").len(), 1);
    }

    #[test]
    fn comments_may_name_any_room() {
        let text = "//! See [`crate::serve`].\nuse crate::error; // not crate::serve\n";
        assert!(found("upstream/mod.rs", text).is_empty());
        assert!(found("upstream/mod.rs", "use mycrate::serve;").is_empty());
    }

    #[test]
    fn planted_dependencies_are_seen() {
        let manifest =
            "[dependencies]\nmemchr = \"2\"\ntokio = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
        assert_eq!(impure_dependencies(manifest), ["tokio"]);
        assert!(std_only_in_tests("#[cfg(test)]\nextern crate std;"));
        assert!(!std_only_in_tests("extern crate alloc;\nextern crate std;"));
    }
}
