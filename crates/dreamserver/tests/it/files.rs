//! Static files over the wire: what is served, how, and that nothing outside the root ever is.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;

use dream_testkit::{Checksum, Folder, Response, Server, eventually, pattern};

use crate::start::{files, get, get_with};

/// A root `site` with a page and folders, next to files that must not be served.
fn site() -> (Folder, Folder, Server) {
    let outer = Folder::new("site");
    let root = Folder::new("root");
    outer.write("secret.txt", "SECRET");
    root.write("index.html", "<h1>home</h1>");
    root.write("docs/index.html", "<h1>docs</h1>");
    root.write("docs/a b.txt", "with a blank");
    root.write("docs/gr\u{f6}\u{df}e.txt", "with umlauts");
    root.write("empty/.keep", "");
    root.write(".hidden", "SECRET");
    root.write(".git/config", "SECRET");
    root.write(".well-known/security.txt", "public");
    root.write("digits.txt", "0123456789");
    symlink(outer.join("secret.txt"), root.join("link.txt")).unwrap();
    symlink(outer.path(), root.join("linked")).unwrap();
    symlink(
        "../../../../../../../../../etc/passwd",
        root.join("far.txt"),
    )
    .unwrap();
    symlink("digits.txt", root.join("near.txt")).unwrap();
    let server = files(&root);
    (outer, root, server)
}

#[track_caller]
fn fetch(server: &Server, path: &str) -> Response {
    server.client().ask(get(path))
}

#[test]
fn pages_have_their_type_and_folders_their_index() {
    let (_outer, _root, server) = site();
    let page = fetch(&server, "/");
    assert_eq!((page.status, page.text().as_str()), (200, "<h1>home</h1>"));
    let kind = page
        .field("Content-Type")
        .unwrap()
        .to_ascii_lowercase()
        .replace(' ', "");
    assert_eq!(kind, "text/html;charset=utf-8");
    assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(page.field("Content-Length"), Some("13"));
    assert_eq!(fetch(&server, "/docs/").text(), "<h1>docs</h1>");
    assert_eq!(fetch(&server, "/docs/?a=b").status, 200);
    assert_eq!(fetch(&server, "/docs/a%20b.txt").text(), "with a blank");
    assert_eq!(
        fetch(&server, "/docs/gr%C3%B6%C3%9Fe.txt").text(),
        "with umlauts"
    );
    assert_eq!(fetch(&server, "/.well-known/security.txt").text(), "public");
    assert_eq!(fetch(&server, "/near.txt").text(), "0123456789");
}

#[test]
fn a_folder_without_its_slash_is_a_redirect() {
    let (_outer, _root, server) = site();
    let answer = fetch(&server, "/docs");
    assert_eq!(
        (answer.status, answer.field("Location")),
        (301, Some("/docs/"))
    );
    let answer = fetch(&server, "/docs?a=b");
    assert_eq!(answer.field("Location"), Some("/docs/?a=b"));
    // Never to another host: `//evil/` is a network path.
    for path in ["//docs", "/%2Fdocs", "/\\docs"] {
        let answer = fetch(&server, path);
        let location = answer.field("Location").unwrap_or("/");
        assert!(
            !location.starts_with("//") && !location.contains('\\'),
            "{path}: {location}"
        );
    }
}

#[test]
fn what_is_not_there_is_a_404() {
    let (_outer, root, server) = site();
    let answer = fetch(&server, "/nothing");
    assert_eq!(answer.status, 404);
    assert!(!answer.text().is_empty());
    assert!(matches!(fetch(&server, "/empty/").status, 403 | 404));
    assert_eq!(fetch(&server, "/digits.txt/").status, 404);
    assert_eq!(fetch(&server, "/digits.txt/more").status, 404);
    root.write("not_found.html", "<p>ours</p>");
    eventually("the site's own page is used", || {
        let answer = fetch(&server, "/nothing");
        answer.status == 404 && answer.text() == "<p>ours</p>"
    });
}

#[test]
fn nothing_outside_the_root_is_readable() {
    let (outer, _root, server) = site();
    let name = outer.path().file_name().unwrap().to_str().unwrap();
    let mut paths: Vec<String> = HIDDEN.iter().map(|path| path.to_string()).collect();
    for up in UP {
        for prefix in PREFIXES {
            paths.push(format!("{prefix}{up}/{name}/secret.txt"));
            paths.push(format!("{prefix}{up}/{up}/{name}/secret.txt"));
            paths.push(format!("{prefix}{up}/{up}/{up}/{up}/{up}/etc/passwd"));
        }
    }
    for path in paths {
        let answer = fetch(&server, &path);
        let text = answer.text();
        assert!(
            !text.contains("SECRET") && !text.contains("root:"),
            "{path}"
        );
        assert!(
            matches!(answer.status, 301 | 400 | 403 | 404),
            "{path}: {}",
            answer.status
        );
    }
}

/// Spellings of "one folder up", for one reader or another.
const UP: &[&str] = &[
    "..",
    "%2e%2e",
    ".%2e",
    "%2E.",
    "..%2f..",
    "%2e%2e%2f",
    "..\\..",
    "..%5c..",
    "%252e%252e",
    "..;",
    "...",
    "%c0%ae%c0%ae",
    "..%00",
    "..%c0%af",
    "..%ef%bc%8f",
    "..%20",
];

const PREFIXES: &[&str] = &[
    "/",
    "//",
    "/docs/",
    "/docs//",
    "/./",
    "/.well-known/",
    "/linked/",
];

/// Links out of the root, hidden files, and absolute paths.
const HIDDEN: &[&str] = &[
    "/link.txt",
    "/linked/secret.txt",
    "/far.txt",
    "/.hidden",
    "/%2ehidden",
    "/.git/config",
    "/docs/../.hidden",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/etc/passwd%00.html",
    "/digits.txt%00",
    "/docs%2f..%2f.hidden",
    "/.well-known/../.hidden",
];

#[test]
fn paths_above_the_root_and_with_nul_are_bad_requests() {
    let (_outer, root, server) = site();
    root.write("bad_request.html", "<p>bad</p>");
    for path in ["/..", "/../x", "/%2e%2e/x", "/a/../../x", "/%00", "/x%00y"] {
        assert_eq!(fetch(&server, path).status, 400, "{path}");
    }
    eventually("the site's own page is used", || {
        fetch(&server, "/x%00").text() == "<p>bad</p>"
    });
}

#[test]
fn odd_names_never_break_the_server() {
    let (_outer, _root, server) = site();
    let long = format!("/{}", "a".repeat(300));
    let deep = "/a".repeat(2000);
    for path in [
        long.as_str(),
        &deep,
        "/%",
        "/%zz",
        "/%ff%fe",
        "/a:b",
        "/*",
        "/~",
        "/\"<>",
        "/con",
        "/?",
        "/#x",
        "/index.html?",
    ] {
        let status = fetch(&server, path).status;
        assert!(matches!(status, 200 | 400 | 404 | 414), "{path}: {status}");
    }
}

#[test]
fn other_methods_are_not_allowed() {
    let (_outer, _root, server) = site();
    for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
        let answer = server.client().ask(format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        ));
        assert_eq!(answer.status, 405, "{method}");
        let allow = answer.field("Allow").expect("an Allow field");
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let (_outer, _root, server) = site();
    let mut client = server.client();
    let get = client.ask(get("/digits.txt"));
    let head = client.ask("HEAD /digits.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for name in [
        "Content-Length",
        "Content-Type",
        "ETag",
        "Last-Modified",
        "Accept-Ranges",
    ] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
    let missing = client.ask("HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(missing.status, 404);
}

#[test]
fn conditions_are_weighed_in_their_order() {
    let (_outer, _root, server) = site();
    let whole = fetch(&server, "/digits.txt");
    let tag = whole.field("ETag").expect("an ETag").to_string();
    let date = whole
        .field("Last-Modified")
        .expect("a Last-Modified")
        .to_string();
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, status) in [
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: \"x\", {tag}\r\n"), 304),
        (format!("If-None-Match: W/{tag}\r\n"), 304),
        ("If-None-Match: *\r\n".into(), 304),
        ("If-None-Match: \"x\"\r\n".into(), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Modified-Since: {old}\r\n"), 200),
        ("If-Modified-Since: nonsense\r\n".into(), 200),
        // RFC 9110 §13.2.2: If-None-Match makes If-Modified-Since void.
        (
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"),
            200,
        ),
        (format!("If-Match: {tag}\r\n"), 200),
        ("If-Match: \"x\"\r\n".into(), 412),
        ("If-Match: *\r\n".into(), 200),
        (format!("If-Unmodified-Since: {date}\r\n"), 200),
        (format!("If-Unmodified-Since: {old}\r\n"), 412),
        (format!("If-Match: {tag}\r\nIf-None-Match: {tag}\r\n"), 304),
    ] {
        let answer = server.client().ask(get_with("/digits.txt", &fields));
        assert_eq!(answer.status, status, "{fields}");
        if status == 304 {
            assert_eq!(answer.field("ETag"), Some(tag.as_str()), "{fields}");
        }
    }
}

#[test]
fn ranges_give_a_part() {
    let (_outer, _root, server) = site();
    for (range, status, part, content_range) in [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=8-", 206, "89", "bytes 8-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=5-100", 206, "56789", "bytes 5-9/10"),
        ("bytes=-100", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
    ] {
        let answer = server
            .client()
            .ask(get_with("/digits.txt", &format!("Range: {range}\r\n")));
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(
            answer.field("Content-Range"),
            Some(content_range),
            "{range}"
        );
        if status == 206 {
            assert_eq!(answer.text(), part, "{range}");
        }
    }
    for range in [
        "bytes=3-1",
        "bytes=a-b",
        "lines=1-2",
        "bytes=",
        "bytes=1",
        "bytes=99999999999999999999-",
    ] {
        let answer = server
            .client()
            .ask(get_with("/digits.txt", &format!("Range: {range}\r\n")));
        assert!(
            matches!(answer.status, 200 | 416),
            "{range}: {}",
            answer.status
        );
        assert!(
            answer.status == 416 || answer.text() == "0123456789",
            "{range}"
        );
    }
}

#[test]
fn a_range_of_another_version_is_the_whole() {
    let (_outer, _root, server) = site();
    let tag = fetch(&server, "/digits.txt")
        .field("ETag")
        .unwrap()
        .to_string();
    let ask = |condition: &str| {
        let fields = format!("Range: bytes=0-1\r\nIf-Range: {condition}\r\n");
        server.client().ask(get_with("/digits.txt", &fields)).status
    };
    assert_eq!(ask(&tag), 206);
    assert_eq!(ask("\"another\""), 200);
    assert_eq!(ask("Sun, 06 Nov 1994 08:49:37 GMT"), 200);
}

#[test]
fn a_large_file_arrives_whole() {
    let root = Folder::new("large");
    let mut bytes = vec![0; 24 << 20];
    pattern(0, &mut bytes);
    root.write("large.bin", &bytes);
    let mut expected = Checksum::new();
    expected.update(&bytes);
    let server = files(&root);
    let mut client = server.client();
    for _ in 0..3 {
        client.send(get("/large.bin"));
        let head = client.read_head().unwrap();
        let mut got = Checksum::new();
        client
            .read_body(head.response_body("GET").unwrap(), |block| {
                got.update(block)
            })
            .unwrap();
        assert_eq!(got, expected);
    }
    assert!(server.peak_rss() < 64 << 20);
}

#[test]
fn files_may_be_larger_than_four_gigabytes() {
    let root = Folder::new("sparse");
    let size: u64 = (5 << 30) + 5;
    let mut file = File::create(root.join("sparse.bin")).unwrap();
    file.set_len(size).unwrap();
    file.seek(SeekFrom::Start(size - 5)).unwrap();
    file.write_all(b"theend").unwrap();
    let server = files(&root);
    let head = server
        .client()
        .ask("HEAD /sparse.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        head.field("Content-Length"),
        Some(format!("{}", size + 1).as_str())
    );
    let answer = server
        .client()
        .ask(get_with("/sparse.bin", "Range: bytes=-6\r\n"));
    assert_eq!((answer.status, answer.text().as_str()), (206, "theend"));
    let range = format!("Range: bytes={}-{}\r\n", size - 6, size - 4);
    let answer = server.client().ask(get_with("/sparse.bin", &range));
    assert_eq!(answer.body, b"\0th");
}

#[test]
fn a_client_that_stops_reading_costs_nothing() {
    let root = Folder::new("slow");
    File::create(root.join("big.bin"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let server = files(&root);
    let mut slow = dream_testkit::Client::connect_narrow(server.address());
    slow.send(get("/big.bin"));
    slow.read_head().unwrap();
    root.write("small.txt", "quick");
    for _ in 0..20 {
        assert_eq!(fetch(&server, "/small.txt").text(), "quick");
    }
    assert!(server.rss() < 64 << 20);
}

#[test]
fn a_changed_file_is_served_anew() {
    let root = Folder::new("change");
    root.write("a.txt", "old");
    let server = files(&root);
    let mut client = server.client();
    for _ in 0..5 {
        assert_eq!(client.ask(get("/a.txt")).text(), "old");
    }
    root.write("a.new", "newer");
    fs::rename(root.join("a.new"), root.join("a.txt")).unwrap();
    eventually("the new content is served", || {
        client.ask(get("/a.txt")).text() == "newer"
    });
    fs::remove_file(root.join("a.txt")).unwrap();
    eventually("the file is gone", || {
        client.ask(get("/a.txt")).status == 404
    });
}

#[test]
fn a_root_that_is_a_link_may_be_switched() {
    let home = Folder::new("deploys");
    home.write("one/index.html", "one");
    home.write("two/index.html", "two");
    symlink("one", home.join("current")).unwrap();
    let root = home.join("current");
    let arguments = ["files", root.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let server = Server::start(&crate::start::binary(), &arguments);
    assert_eq!(fetch(&server, "/").text(), "one");
    symlink("two", home.join("next")).unwrap();
    fs::rename(home.join("next"), home.join("current")).unwrap();
    eventually("the new deploy is served", || {
        fetch(&server, "/").text() == "two"
    });
}
