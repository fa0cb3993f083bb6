//! Listings over the wire: what is shown of a folder, how it is sorted, and that nothing is shown that may not be read.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use dream_testkit::{Body, Folder, Response, Server};
use serde_json::Value;

use crate::start::{Configured, configured, get, get_with};

fn listing(root: &Folder, options: &str) -> Configured {
    let root = root.text();
    configured(&format!(
        "[sites.\"*\"]\nfiles = {{ root = \"{root}\", browse = true{options} }}\n"
    ))
}

#[track_caller]
fn page(server: &Server, path: &str) -> Response {
    server
        .client()
        .ask(get_with(path, "Accept: text/html,*/*;q=0.8\r\n"))
}

#[track_caller]
fn json(server: &Server, path: &str) -> Vec<Value> {
    let answer = server
        .client()
        .ask(get_with(path, "Accept: application/json\r\n"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.field("Content-Type"),
        Some("application/json; charset=utf-8")
    );
    serde_json::from_slice(&answer.body).unwrap()
}

#[track_caller]
fn names(server: &Server, path: &str) -> Vec<String> {
    let name = |entry: &Value| entry["name"].as_str().unwrap().to_owned();
    json(server, path).iter().map(name).collect()
}

fn age(root: &Folder, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(root.join(name))
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// Folders, files of several ages and sizes, and what must not be seen.
fn folder() -> (Folder, Folder) {
    let (outer, root) = (Folder::new("outer"), Folder::new("listing"));
    outer.write("secret", "secret");
    root.write("sub/deeper/x", "x");
    root.write("With Index/index.html", "the index");
    for (name, size, time) in [
        ("b10.txt", 30, 300),
        ("B2.txt", 10, 100),
        ("a.txt", 20, 200),
    ] {
        root.write(name, vec![b'x'; size]);
        age(&root, name, time);
    }
    root.write(".hidden", "secret");
    root.write(".well-known/security.txt", "public");
    symlink(outer.join("secret"), root.join("out")).unwrap();
    symlink(outer.path(), root.join("outer")).unwrap();
    symlink("nothing", root.join("broken")).unwrap();
    symlink("a.txt", root.join("near")).unwrap();
    symlink("sub", root.join("near-folder")).unwrap();
    (outer, root)
}

#[test]
fn json_says_what_is_there() {
    let (_outer, root) = folder();
    let Configured { server, .. } = &listing(&root, "");
    let usual = [
        ".well-known",
        "near-folder",
        "sub",
        "With Index",
        "a.txt",
        "B2.txt",
        "b10.txt",
        "near",
    ];
    assert_eq!(names(server, "/"), usual);
    let entries = json(server, "/");
    let expected = serde_json::json!({
        "name": "a.txt", "url": "a.txt", "type": "file", "size": 20, "modified": "1970-01-01T00:03:20Z"
    });
    assert_eq!(entries[4], expected);
    assert_eq!(
        (&entries[3]["url"], &entries[3]["type"]),
        (&"With%20Index/".into(), &"folder".into())
    );
    assert_eq!(entries[3].get("size"), None);
    assert_eq!(names(server, "/sub/"), ["deeper"]);
    assert_eq!(names(server, "/near-folder/deeper/"), ["x"]);
    fs::create_dir(root.join("empty")).unwrap();
    assert_eq!(names(server, "/empty/"), Vec::<String>::new());
}

#[test]
fn it_is_sorted_as_the_query_says_and_folders_come_first() {
    let (_outer, root) = folder();
    for name in ["out", "outer", "broken", "near", "near-folder"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    let Configured { server, .. } = &listing(&root, "");
    for (query, first, files) in [
        ("", ".well-known", ["a.txt", "B2.txt", "b10.txt"]),
        (
            "?sort=name&order=desc",
            "With Index",
            ["b10.txt", "B2.txt", "a.txt"],
        ),
        ("?sort=size", ".well-known", ["B2.txt", "a.txt", "b10.txt"]),
        (
            "?sort=size&order=desc",
            ".well-known",
            ["b10.txt", "a.txt", "B2.txt"],
        ),
        (
            "?sort=nonsense&order=%00",
            ".well-known",
            ["a.txt", "B2.txt", "b10.txt"],
        ),
    ] {
        let names = names(server, &format!("/{query}"));
        assert_eq!(names[0], first, "{query}");
        assert_eq!(names[3..], files, "{query}");
    }
    let dated = names(server, "/?sort=date&order=desc");
    assert_eq!(dated[3..], ["b10.txt", "a.txt", "B2.txt"]);
}

#[test]
fn the_page_is_one_by_itself() {
    let (_outer, root) = folder();
    let Configured { server, .. } = &listing(&root, "");
    let answer = page(server, "/sub/?sort=size&order=desc");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("Vary"), Some("Accept"));
    assert_eq!(answer.field("Cache-Control"), Some("no-cache"));
    assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    let policy = answer.field("Content-Security-Policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let text = answer.text();
    for part in [
        "<a href=\"/?sort=size&amp;order=desc\"><bdi>Home</bdi></a>",
        "<b aria-current=\"page\"><bdi>sub</bdi></b>",
        "<a href=\"deeper/?sort=size&amp;order=desc\"><bdi>deeper</bdi></a>",
        "<a href=\"../?sort=size&amp;order=desc\">Parent folder</a>",
        "aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size</a>",
        "1 folder, 0 files",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    for foreign in [
        "http:", "https:", "<script", "<link", "<img", "secret", "style=\"",
    ] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    // Whoever says nothing of it gets the page too.
    assert!(
        server
            .client()
            .ask(get("/sub/"))
            .text()
            .starts_with("<!doctype html>")
    );
}

#[test]
fn head_tells_what_get_does() {
    let (_outer, root) = folder();
    let Configured { server, .. } = &listing(&root, "");
    let get = page(server, "/");
    let mut client = server.client();
    let head = client.ask("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(head.status, 200);
    for field in ["Content-Length", "Content-Type", "Vary", "Cache-Control"] {
        assert_eq!(head.field(field), get.field(field), "{field}");
    }
    assert_eq!(
        client
            .ask("HEAD /none/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .status,
        404
    );
}

#[test]
fn an_index_wins_and_what_is_no_folder_is_not_listed() {
    let (_outer, root) = folder();
    let Configured { server, .. } = &listing(&root, "");
    assert_eq!(page(server, "/With%20Index/").text(), "the index");
    let moved = page(server, "/sub");
    assert_eq!(
        (moved.status, moved.field("Location")),
        (301, Some("/sub/"))
    );
    for path in [
        "/none/",
        "/a.txt/",
        "/outer/",
        "/.git/",
        "/.hidden/",
        "/broken/",
        "/%2e%2e%2f/",
    ] {
        assert_eq!(page(server, path).status, 404, "{path}");
    }
    assert_eq!(page(server, "/../").status, 400);
    let off = crate::start::files(&root);
    assert_eq!(page(&off, "/sub/").status, 404);
}

#[test]
fn hidden_names_are_shown_where_they_are_served() {
    let (_outer, root) = folder();
    let Configured { server, .. } = &listing(&root, ", hidden = true");
    assert!(names(server, "/").contains(&".hidden".to_owned()));
    assert!(!names(server, "/").contains(&"out".to_owned()));
}

/// Whatever a name is, it stays text, and its link leads to its file.
#[test]
fn names_are_nothing_but_names() {
    let root = Folder::new("names");
    let odd: &[&[u8]] = &[
        b"<script>alert(1)",
        b"a\"onmouseover=\"alert(1)",
        b"it's",
        b"new\nline",
        b"&amp;",
        b"javascript:alert(1)",
        b"100%",
        b"%2e%2e",
        b"a?b#c",
        b"\xff\xfe",
        b"back\\slash",
        b"\xe2\x80\xaegpj.exe",
        b"-rf",
        b"blank ",
        "größe".as_bytes(),
    ];
    for name in odd {
        fs::write(root.path().join(OsStr::from_bytes(name)), *name).unwrap();
    }
    let Configured { server, .. } = &listing(&root, "");
    let text = page(server, "/").text();
    for markup in [
        "<script>",
        "\"onmouseover",
        "href=\"javascript:",
        "new\nline",
        "\u{202e}",
    ] {
        assert!(!text.contains(markup), "{markup}\n{text}");
    }
    assert!(text.contains("<bdi>&lt;script&gt;alert(1)</bdi>"), "{text}");
    let entries = json(server, "/");
    assert_eq!(entries.len(), odd.len());
    let mut client = server.client();
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in entries {
        let url = entry["url"].as_str().unwrap();
        assert!(text.contains(&format!("href=\"{url}\"")), "{url}");
        let file = client.ask(get(&format!("/{url}")));
        assert_eq!(file.status, 200, "{url}");
        found.push(file.body);
    }
    found.sort();
    let mut expected: Vec<Vec<u8>> = odd.iter().map(|name| name.to_vec()).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn below_a_prefix_the_links_lead_where_the_files_are() {
    let (_outer, root) = folder();
    let configured = configured(&format!(
        "[[sites.\"*\".routes]]\npath = \"/down/*\"\nstrip = \"/down\"\nfiles = {{ root = \"{}\", browse = true }}\n",
        root.text()
    ));
    let text = page(&configured.server, "/down/sub/deeper/").text();
    for part in [
        "<a href=\"/down/\"><bdi>Home</bdi>",
        "<a href=\"/down/sub/\"><bdi>sub</bdi>",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        !page(&configured.server, "/down/")
            .text()
            .contains("Parent folder")
    );
}

/// Names to try, and a route that takes all of a path away.
#[test]
fn a_listing_comes_after_what_is_tried_and_has_its_slash() {
    let (_outer, root) = folder();
    let tried = listing(&root, ", try = [\"{path}\", \"{path}.txt\"]");
    assert_eq!(page(&tried.server, "/a").body.len(), 20);
    assert_eq!(page(&tried.server, "/sub").field("Location"), Some("/sub/"));
    assert_eq!(names(&tried.server, "/sub/"), ["deeper"]);
    assert_eq!(page(&tried.server, "/none/").status, 404);
    let stripped = configured(&format!(
        "[[sites.\"*\".routes]]\npath = \"/down\"\nstrip = \"/down\"\nfiles = {{ root = \"{}\", browse = true }}\n",
        root.text()
    ));
    let moved = page(&stripped.server, "/down");
    assert_eq!(
        (moved.status, moved.field("Location")),
        (301, Some("/down/"))
    );
}

/// A hundred thousand names are sent as they are read; the server holds the entries, and no page.
#[test]
fn a_hundred_thousand_entries() {
    let root = Folder::new("many");
    for number in 0..100_000 {
        File::create(root.join(&format!("file-{number:06}.bin"))).unwrap();
    }
    let Configured { server, .. } = &listing(&root, "");
    page(server, "/none/");
    let before = server.peak_rss();
    let begun = Instant::now();
    let answer = page(server, "/?sort=name&order=desc");
    let took = begun.elapsed();
    assert_eq!(answer.framing, Body::Chunked);
    let text = answer.text();
    assert!(text.contains("0 folders, 100000 files, 0 B"));
    assert_eq!(text.matches("<tr class=\"file\">").count(), 100_000);
    assert!(text.find("file-099999").unwrap() < text.find("file-000000").unwrap());
    let memory = server.peak_rss() - before;
    eprintln!(
        "{} bytes of page, {took:?}, {memory} bytes more at the peak",
        text.len()
    );
    assert!(memory < 48_000_000, "{memory}");
    let names = names(server, "/");
    assert_eq!(
        (names.len(), names[99_999].as_str()),
        (100_000, "file-099999.bin")
    );
    // Readers who do not read hold a bounded amount of it, and others are still answered.
    let idle: Vec<_> = (0..40)
        .map(|_| {
            let mut client = dream_testkit::Client::connect_narrow(server.address());
            client.send(get("/"));
            client
        })
        .collect();
    assert_eq!(page(server, "/file-000000.bin").status, 200);
    drop(idle);
}
