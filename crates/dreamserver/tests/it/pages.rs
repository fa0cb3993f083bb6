//! What a site makes of its files: names that are tried, what caches are told, single files, and its own pages for errors.

use dream_testkit::{Folder, Origin, Response, Server, eventually, respond};
use rustix::process::Signal;

use crate::start::{configured, get, get_with, run};

#[track_caller]
fn fetch(server: &Server, path: &str) -> Response {
    server.client().ask(get(path))
}

fn application() -> Folder {
    let root = Folder::new("application");
    root.write("index.html", "the application");
    root.write("about.html", "about");
    root.write("assets/app-1a2b3c.js", "code");
    root.write("docs/index.html", "docs");
    root.write("empty/.keep", "");
    root.write(".env", "SECRET");
    root
}

#[test]
fn an_application_of_one_page_answers_for_what_is_missing() {
    let root = application();
    let site = configured(&format!(
        "[sites.\"*\"]\nfiles = {{ root = \"{}\", try = [\"{{path}}\", \"{{path}}.html\", \"/index.html\"] }}",
        root.text()
    ));
    let server = &site.server;
    for (path, status, text) in [
        ("/", 200, "the application"),
        ("/about", 200, "about"),
        ("/about.html", 200, "about"),
        ("/assets/app-1a2b3c.js", 200, "code"),
        ("/user/5?tab=1", 200, "the application"),
        ("/user/a%2Fb", 200, "the application"),
        ("/about/", 200, "the application"),
        ("/docs/", 200, "docs"),
        // A folder without an index is nothing to show.
        ("/empty", 200, "the application"),
        ("/empty/", 200, "the application"),
    ] {
        for _ in 0..2 {
            let answer = fetch(server, path);
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, text),
                "{path}"
            );
        }
    }
    assert_eq!(fetch(server, "/docs").field("Location"), Some("/docs/"));
    for hidden in ["/.env", "/.git/config"] {
        assert_eq!(fetch(server, hidden).status, 404, "{hidden}");
    }
    for bad in ["/..", "/%00"] {
        assert_eq!(fetch(server, bad).status, 400, "{bad}");
    }
    let tag = fetch(server, "/user/5").field("ETag").unwrap().to_owned();
    let again = get_with("/user/6", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(server.client().ask(again).status, 304);
}

#[test]
fn without_a_last_resort_what_is_missing_is_missing() {
    let root = application();
    root.write("not_found.html", "lost");
    let site = configured(&format!(
        "[sites.\"*\"]\nfiles = {{ root = \"{}\", try = [\"{{path}}.html\", \"{{path}}\"] }}",
        root.text()
    ));
    assert_eq!(fetch(&site.server, "/about").text(), "about");
    assert_eq!(fetch(&site.server, "/assets/app-1a2b3c.js").text(), "code");
    let lost = fetch(&site.server, "/nothing");
    assert_eq!((lost.status, lost.text().as_str()), (404, "lost"));
}

#[test]
fn caches_are_told_by_the_name_of_the_file() {
    let root = application();
    let site = configured(&format!(
        "[sites.\"*\"]\n[sites.\"*\".files]\nroot = \"{}\"\ntry = [\"{{path}}\", \"/index.html\"]\n\
         cache = {{ \"/assets/*\" = \"immutable\", \"/*\" = \"no-cache\" }}",
        root.text()
    ));
    let server = &site.server;
    let year = "public, max-age=31536000, immutable";
    let told = |path: &str, fields: &str| {
        let answer = server.client().ask(get_with(path, fields));
        let told = answer.field("Cache-Control").map(str::to_owned);
        (answer.status, told)
    };
    let told_of = |control: &str| Some(control.to_owned());
    let asset = "/assets/app-1a2b3c.js";
    assert_eq!(told(asset, ""), (200, told_of(year)));
    assert_eq!(told(asset, "Range: bytes=0-1\r\n"), (206, told_of(year)));
    assert_eq!(
        told(asset, "Range: bytes=0-0,2-2\r\n"),
        (206, told_of(year))
    );
    assert_eq!(told(asset, "If-None-Match: *\r\n"), (304, told_of(year)));
    assert_eq!(told("/", ""), (200, told_of("no-cache")));
    // What stands in for a missing asset must not be kept under its address.
    assert_eq!(told("/assets/old.js", ""), (200, told_of("no-cache")));
    assert_eq!(told("/.env", ""), (404, told_of("no-store")));
}

#[test]
fn fields_of_the_operator_stand_on_every_answer() {
    let root = application();
    let site = configured(&format!(
        "[sites.\"*\"]\nfiles = \"{}\"\nheaders.response.set = {{ X-Frame-Options = \"DENY\" }}",
        root.text()
    ));
    let large = vec![b'x'; 200_000];
    root.write("large.bin", &large);
    for (path, fields, status) in [
        ("/about.html", "", 200),
        ("/large.bin", "Range: bytes=1-2,5-6\r\n", 206),
        ("/about.html", "If-None-Match: *\r\n", 304),
        ("/docs", "", 301),
        ("/nothing", "", 404),
        ("/about.html", "If-Match: \"x\"\r\n", 412),
        ("/about.html", "Range: bytes=10-\r\n", 416),
    ] {
        let answer = site.server.client().ask(get_with(path, fields));
        assert_eq!(
            (answer.status, answer.field("X-Frame-Options")),
            (status, Some("DENY"))
        );
    }
}

#[test]
fn folders_and_single_files_stand_at_other_paths() {
    let (docs, home) = (Folder::new("docs"), application());
    docs.write("a/readme.txt", "read me");
    let robots = docs.write("robots.txt", "User-agent: *");
    let site = configured(&format!(
        "[sites.\"*\"]\nfiles = \"{}\"\n\
         [[sites.\"*\".routes]]\npath = \"/manual/*\"\nstrip = \"/manual\"\nfiles = \"{}\"\n\
         [[sites.\"*\".routes]]\npath = \"/robots.txt\"\nfiles = \"{}\"\n\
         [[sites.\"*\".routes]]\npath = \"/soon/*\"\nfiles = \"{}\"\n",
        home.text(),
        docs.text(),
        robots.display(),
        home.join("about.html").display(),
    ));
    let server = &site.server;
    assert_eq!(fetch(server, "/manual/a/readme.txt").text(), "read me");
    assert_eq!(fetch(server, "/manual/nothing").status, 404);
    assert_eq!(fetch(server, "/about.html").text(), "about");
    for path in ["/soon/", "/soon/x/y", "/soon/%2e%2e%2fx", "/soon//"] {
        assert_eq!(fetch(server, path).text(), "about", "{path}");
    }
    let single = fetch(server, "/robots.txt");
    assert_eq!(single.text(), "User-agent: *");
    assert_eq!(
        single.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    let part = server
        .client()
        .ask(get_with("/robots.txt", "Range: bytes=0-3\r\n"));
    assert_eq!((part.status, part.text().as_str()), (206, "User"));
    docs.write("new.txt", "Disallow: /");
    std::fs::rename(docs.join("new.txt"), &robots).unwrap();
    eventually("the new file is served", || {
        fetch(server, "/robots.txt").text() == "Disallow: /"
    });
    std::fs::remove_file(&robots).unwrap();
    eventually("it is gone", || fetch(server, "/robots.txt").status == 404);
}

fn with_pages(handler: &str) -> String {
    format!(
        "[sites.\"*\"]\n{handler}\nerrors = {{ 404 = \"pages/lost.html\", \"5xx\" = \"pages/sorry.html\" }}\n\
         headers.response.set = {{ X-Own = \"1\" }}\n"
    )
}

/// A folder with pages for errors, in which a server runs with this configuration.
fn dressed(config: &str) -> (Folder, Server) {
    let home = Folder::new("dressed");
    home.write("pages/lost.html", "<h1>lost</h1>");
    home.write("pages/sorry.html", "<h1>sorry</h1>");
    home.write("www/index.html", "home");
    home.write("dreamserver.toml", config);
    let arguments = ["--config", "dreamserver.toml", "--listen", "127.0.0.1:0"];
    let server = Server::start_in(&crate::start::binary(), home.path(), &arguments);
    (home, server)
}

#[test]
fn errors_of_a_folder_have_their_own_pages() {
    let (home, server) = dressed(&with_pages("files = \"www\""));
    let lost = fetch(&server, "/nothing");
    assert_eq!((lost.status, lost.text().as_str()), (404, "<h1>lost</h1>"));
    assert_eq!(lost.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(lost.field("X-Own"), Some("1"));
    assert_eq!(lost.field("Cache-Control"), Some("no-store"));
    assert!(lost.field("X-Request-Id").is_some());
    // An error is never "you have it already", and never a part.
    for fields in [
        "If-None-Match: *\r\n",
        "If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT\r\n",
        "Range: bytes=0-1\r\n",
    ] {
        let answer = server.client().ask(get_with("/nothing", fields));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "<h1>lost</h1>"),
            "{fields}"
        );
    }
    let head = server
        .client()
        .ask("HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (head.status, head.field("Content-Length")),
        (404, Some("13"))
    );
    // They are in memory: a folder that is gone changes nothing.
    std::fs::remove_dir_all(home.join("pages")).unwrap();
    assert_eq!(fetch(&server, "/nothing").text(), "<h1>lost</h1>");
    let method = server
        .client()
        .ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(method.status, 405);
    assert!(method.field("Allow").is_some());
}

#[test]
fn a_reload_reads_the_pages_again() {
    let (home, server) = dressed(&with_pages("files = \"www\""));
    assert_eq!(fetch(&server, "/nothing").text(), "<h1>lost</h1>");
    home.write("pages/lost.html", "<h1>gone</h1>");
    server.signal(Signal::HUP);
    eventually("the new page is shown", || {
        fetch(&server, "/nothing").text() == "<h1>gone</h1>"
    });
    // A page that is missing stops nothing that runs.
    std::fs::remove_file(home.join("pages/lost.html")).unwrap();
    server.signal(Signal::HUP);
    server.message(|line| line.contains("lost.html cannot be read"));
    assert_eq!(fetch(&server, "/nothing").text(), "<h1>gone</h1>");
}

#[test]
fn an_endpoint_that_is_down_has_a_page_and_its_own_errors_pass() {
    let origin = Origin::each(|request| match request.head.start.contains("/error") {
        true => respond(500, "text/plain", b"theirs"),
        false => respond(404, "text/plain", b"theirs too"),
    });
    let (_home, server) = dressed(&with_pages(&format!("proxy = \"{}\"", origin.url())));
    let theirs = fetch(&server, "/error");
    assert_eq!((theirs.status, theirs.text().as_str()), (500, "theirs"));
    assert_eq!(fetch(&server, "/x").text(), "theirs too");
    drop(origin);
    let down = fetch(&server, "/x");
    assert_eq!((down.status, down.text().as_str()), (502, "<h1>sorry</h1>"));
    assert_eq!(down.field("X-Own"), Some("1"));
    let line = server.log_line(|line| line.contains("status=502"));
    assert!(line.contains("bytes=14 "), "{line}");
}

#[test]
fn a_route_has_pages_of_its_own_and_what_takes_no_route_those_of_the_site() {
    let (home, server) = dressed(
        "[sites.\"*\"]\nerrors = { 404 = \"pages/lost.html\", 405 = \"pages/sorry.html\", 400 = \"pages/sorry.html\" }\n\
         [[sites.\"*\".routes]]\npath = \"/app/*\"\nstrip = \"/app\"\nfiles = \"www\"\nerrors = { 404 = \"www/index.html\" }\n\
         [[sites.\"*\".routes]]\npath = \"/said\"\nmethods = \"GET\"\nrespond = { status = 404, body = \"said\" }\n",
    );
    assert_eq!(fetch(&server, "/app/nothing").text(), "home");
    assert_eq!(fetch(&server, "/nothing").text(), "<h1>lost</h1>");
    assert_eq!(fetch(&server, "/said").text(), "said");
    let method = server
        .client()
        .ask("DELETE /said HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (method.status, method.text().as_str()),
        (405, "<h1>sorry</h1>")
    );
    assert!(method.field("Allow").is_some());
    assert_eq!(fetch(&server, "/%zz").text(), "<h1>sorry</h1>");
    drop(home);
}

#[test]
fn what_cannot_be_is_said_with_its_line() {
    let home = Folder::new("wrong");
    home.write("large.html", vec![b'x'; (1 << 20) + 1]);
    home.write(
        "dreamserver.toml",
        "[sites.\"*\"]\nfiles = { root = \".\", try = [\"index.html\", \"{host}\"], cache = { \"a*b*\" = \"no-cache\", \"/*\" = \"\" } }\n\
         errors = { 404 = \"none.html\", 200 = \"large.html\" }\n",
    );
    let exit = run(home.path(), &["check", "--config", "dreamserver.toml"]);
    assert_ne!(exit.code, Some(0));
    let said = exit.stderr;
    for problem in [
        "it begins with `/`, which is the root, or with `{path}`",
        "a pattern begins with `/`",
        "this is not the value of a Cache-Control field",
        "none.html cannot be read",
        "large.html cannot be read: it is larger than 1 MiB",
        "this is not the status of an error",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    assert!(
        said.contains("dreamserver.toml:2") && said.contains("dreamserver.toml:3"),
        "{said}"
    );
}

#[test]
fn tags_of_content_are_the_same_wherever_the_content_is() {
    let (here, there) = (Folder::new("here"), Folder::new("there"));
    let large: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
    for root in [&here, &there] {
        root.write("small.txt", "small");
        root.write("large.bin", &large);
    }
    for name in ["small.txt", "large.bin"] {
        let file = std::fs::File::options().write(true).open(there.join(name));
        file.unwrap().set_modified(old).unwrap();
    }
    let serve = |root: &Folder| {
        let root = root.text();
        configured(&format!(
            "[sites.\"*\"]\nfiles = {{ root = \"{root}\", etag = \"content\" }}"
        ))
    };
    let servers = [serve(&here), serve(&there)];
    for path in ["/small.txt", "/large.bin"] {
        let mut tags = Vec::new();
        for site in &servers {
            // A request that names a tag waits for that of the file.
            let asked = get_with(path, "If-None-Match: \"another\"\r\n");
            let answer = site.server.client().ask(asked);
            assert_eq!(answer.status, 200);
            let tag = answer.field("ETag").expect("a tag").to_owned();
            let known = get_with(path, &format!("If-None-Match: {tag}\r\n"));
            assert_eq!(site.server.client().ask(known).status, 304);
            let part = format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n");
            assert_eq!(site.server.client().ask(get_with(path, &part)).status, 206);
            tags.push(tag);
        }
        assert_eq!(tags[0], tags[1], "{path}");
    }
    let server = &servers[0].server;
    let asked = get_with("/large.bin", "If-None-Match: \"another\"\r\n");
    let tag = server.client().ask(asked).field("ETag").unwrap().to_owned();
    here.write("new.bin", vec![b'x'; 300_000]);
    std::fs::rename(here.join("new.bin"), here.join("large.bin")).unwrap();
    eventually("the new content has its own tag", || {
        let answer = fetch(server, "/large.bin");
        answer.field("ETag").is_some_and(|new| new != tag)
    });
    // Without a tag nobody waits.
    here.write("other.bin", vec![b'y'; 300_000]);
    assert_eq!(fetch(server, "/other.bin").status, 200);
    eventually("it gets one later", || {
        fetch(server, "/other.bin").field("ETag").is_some()
    });
}
