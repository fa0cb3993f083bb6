//! The handler as a whole, on real folders, in every [`Way`] that this system has.

use dream_http::{Name, RequestHead};
use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

use super::root::Way;
use super::{Files, Options, Store};
use crate::exchange::{Body, Request, Response};

/// A folder `root` with some files, beside a `secret` that must never be served.
struct Site {
    folder: TempDir,
    files: Files,
    store: Store,
    now: Instant,
    runtime: tokio::runtime::Runtime,
}

/// What came back, with the body read.
struct Answer {
    status: u16,
    response: Response,
    body: String,
}

impl Answer {
    fn field(&self, name: Name) -> &str {
        let value = self.response.head.fields.get(name).unwrap_or_default();
        std::str::from_utf8(value).unwrap()
    }
}

/// Runs a test in every way.
fn each_way(test: impl Fn(Site)) {
    let mut ways = vec![Way::Walk, Way::detect()];
    #[cfg(target_os = "linux")]
    if let Way::Kernel { .. } = Way::detect() {
        ways.push(Way::Kernel { cached: false });
    }
    for way in ways {
        test(Site::new(way));
    }
}

impl Site {
    fn new(way: Way) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("docs/deep")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(root.join("index.html"), "<h1>home</h1>").unwrap();
        fs::write(root.join("docs/index.html"), "docs").unwrap();
        fs::write(root.join("digits.txt"), "0123456789").unwrap();
        Site::at(way, root, folder)
    }

    fn at(way: Way, root: PathBuf, folder: TempDir) -> Site {
        let options = Options {
            root,
            ..Options::default()
        };
        Site {
            folder,
            files: Files::with_way(options, way),
            store: Store::new(1024 * 1024),
            now: Instant::now(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn age(&self, name: &str) {
        let file = fs::File::options()
            .write(true)
            .open(self.path(name))
            .unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        file.set_modified(old).unwrap();
    }

    fn later(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    fn ask(&self, method: &str, path: &str, fields: &[(Name, &str)]) -> Answer {
        let request = request(method, path, fields);
        let path = request.head.path().to_vec();
        let answer = self.files.answer_at(&self.store, &request, &path, self.now);
        let mut response = self.runtime.block_on(answer);
        Answer {
            status: response.head.status,
            body: text_of(&mut response.body),
            response,
        }
    }

    fn assert_missing(&self, path: &str) {
        let answer = self.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}");
        assert!(!answer.body.contains("secret"), "{path}");
    }
}

fn request(method: &str, path: &str, fields: &[(Name, &str)]) -> Request {
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query.as_bytes())));
    head.set_path(path.as_bytes(), query);
    for (name, value) in fields {
        head.fields.append(*name, value.as_bytes()).unwrap();
    }
    Request::of_nobody(head)
}

fn text_of(body: &mut Body) -> String {
    match body {
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::File(file) => {
            let mut bytes = vec![0; file.len as usize];
            file.shared
                .file
                .read_exact_at(&mut bytes, file.offset)
                .unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Body::Parts(parts) => {
            let mut text = String::new();
            while parts.advance() {
                text.push_str(str::from_utf8(&parts.text).unwrap());
                let mut bytes = vec![0; parts.file.len as usize];
                let file = &parts.file.shared.file;
                file.read_exact_at(&mut bytes, parts.file.offset).unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
            text
        }
        _ => String::new(),
    }
}

#[test]
fn files_and_index_files() {
    each_way(|site| {
        for _ in 0..2 {
            let answer = site.get("/");
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, "<h1>home</h1>")
            );
            assert_eq!(answer.field(Name::ContentType), "text/html; charset=utf-8");
            assert_eq!(answer.field(Name::XContentTypeOptions), "nosniff");
            assert_eq!(answer.field(Name::AcceptRanges), "bytes");
            assert!(answer.field(Name::Etag).starts_with('"'));
            assert!(answer.field(Name::LastModified).ends_with(" GMT"));
            assert_eq!(site.get("/docs/").body, "docs");
            assert_eq!(site.get("/digits.txt").body, "0123456789");
            assert_eq!(site.get("/docs/index.html").body, "docs");
            for missing in [
                "/nothing",
                "/digits.txt/",
                "/digits.txt/x",
                "/docs/deep/",
                "/a/b",
            ] {
                assert_eq!(site.get(missing).status, 404, "{missing}");
            }
        }
    });
}

#[test]
fn empty_and_large_files() {
    each_way(|site| {
        site.write("empty.txt", "");
        let large = "x".repeat(200_000);
        site.write("large.txt", &large);
        assert_eq!(site.get("/empty.txt").response.body.len(), Some(0));
        let answer = site.get("/large.txt");
        assert!(matches!(answer.response.body, Body::File(_)));
        assert_eq!(answer.body, large);
        let tail = site.ask("GET", "/large.txt", &[(Name::Range, "bytes=-3")]);
        assert_eq!(tail.field(Name::ContentRange), "bytes 199997-199999/200000");
        assert_eq!(tail.body, "xxx");
    });
}

#[test]
fn folders_get_their_slash() {
    each_way(|site| {
        let moved = |path: &str| {
            let answer = site.get(path);
            assert_eq!(answer.status, 301, "{path}");
            answer.field(Name::Location).to_owned()
        };
        assert_eq!(moved("/docs"), "/docs/");
        assert_eq!(moved("/docs?a=/b&c"), "/docs/?a=/b&c");
        assert_eq!(moved("/docs/deep"), "/docs/deep/");
        assert_eq!(moved("/%64ocs"), "/%64ocs/");
    });
}

#[test]
fn a_stripped_prefix_gets_its_slash_too() {
    each_way(|site| {
        let ask = |path: &str, stripped: &[u8]| {
            let request = request("GET", path, &[]);
            let answer = site
                .files
                .answer_at(&site.store, &request, stripped, site.now);
            site.runtime.block_on(answer).head
        };
        let head = ask("/static?a", b"/");
        assert_eq!(head.status, 301);
        assert_eq!(head.fields.get(Name::Location), Some(&b"/static/?a"[..]));
        assert_eq!(ask("/static/", b"/").status, 200);
        let head = ask("/static/docs", b"/docs");
        assert_eq!(head.fields.get(Name::Location), Some(&b"/static/docs/"[..]));
    });
}

#[test]
fn a_redirect_never_leaves_the_site() {
    each_way(|site| {
        fs::create_dir_all(site.path("\\evil.com")).unwrap();
        fs::create_dir_all(site.path("evil.com")).unwrap();
        assert_eq!(
            site.get("/\\evil.com").field(Name::Location),
            "/%5Cevil.com/"
        );
        assert_eq!(site.get("//evil.com").status, 404);
        // The client's own path may be another one than what is looked up.
        for (path, location) in [
            ("//evil.com/..", "/evil.com/../"),
            ("///evil.com", "/evil.com/"),
            ("/\\/evil.com", "/%5C/evil.com/"),
            ("//", "/"),
        ] {
            let request = request("GET", path, &[]);
            let response = super::redirect_to_folder(&request);
            let sent = response.head.fields.get(Name::Location).unwrap();
            assert_eq!(sent, location.as_bytes(), "{path}");
        }
    });
}

#[test]
fn no_spelling_leads_out() {
    each_way(|site| {
        for path in [
            "/../secret",
            "/docs/../../secret",
            "/docs/deep/../../../secret",
            "/%2e%2e/secret",
            "/%2e./secret",
            "/.%2E/secret",
            "/..%2fsecret",
            "/..%2Fsecret",
            "/%2e%2e%2fsecret",
            "/%252e%252e/secret",
            "/..%5csecret",
            "/..\\secret",
            "/\\..\\secret",
            "/..%00/secret",
            "/secret%00.html",
            "//../secret",
            "/./../secret",
            "/...//secret",
            "/..;/secret",
            "/%c0%ae%c0%ae/secret",
            "/%uff0e%uff0e/secret",
            "/docs/..",
            "/docs/%2e%2e/%2e%2e/secret",
            "//etc/passwd",
            "/%2fetc/passwd",
            "/%2Fetc%2Fpasswd",
        ] {
            site.assert_missing(path);
        }
        let absolute = site.folder.path().join("secret");
        site.assert_missing(absolute.to_str().unwrap());
        site.assert_missing(&format!("/{}", absolute.display()));
    });
}

#[test]
fn symlinks_within_are_followed() {
    each_way(|site| {
        let link = |target: &str, name: &str| symlink(target, site.path(name)).unwrap();
        link("digits.txt", "in.txt");
        link("docs", "folder");
        link("../digits.txt", "docs/up.txt");
        link("./docs/../docs/./deep/../../digits.txt", "winding.txt");
        link("in.txt", "twice.txt");
        link("docs/", "slash");
        link(".", "self");
        for name in [
            "in.txt",
            "docs/up.txt",
            "folder/up.txt",
            "winding.txt",
            "twice.txt",
            "self/self/in.txt",
        ] {
            assert_eq!(site.get(&format!("/{name}")).body, "0123456789", "{name}");
        }
        assert_eq!(site.get("/folder/").body, "docs");
        assert_eq!(site.get("/slash/").body, "docs");
        for name in ["folder", "slash", "self"] {
            assert_eq!(site.get(&format!("/{name}")).status, 301, "{name}");
        }
    });
}

#[test]
fn symlinks_that_lead_out_are_not_followed() {
    each_way(|site| {
        let link = |target: &str, name: &str| symlink(target, site.path(name)).unwrap();
        link("../secret", "out");
        link("..", "parent");
        link("docs/../../secret", "out2");
        link("../root/digits.txt", "out-and-in");
        link(site.path("digits.txt").to_str().unwrap(), "absolute-in");
        link(
            site.folder.path().join("secret").to_str().unwrap(),
            "absolute",
        );
        link("/etc", "etc");
        link("/proc/self/root", "magic");
        link("loop", "loop");
        link("ping", "pong");
        link("pong", "ping");
        link("nowhere", "dangling");
        for path in [
            "/out",
            "/parent/secret",
            "/out2",
            "/out-and-in",
            "/absolute-in",
            "/absolute",
            "/etc/passwd",
            "/magic/etc/passwd",
            "/loop",
            "/loop/a",
            "/ping",
            "/dangling",
            "/parent",
            "/parent/",
            "/etc/",
        ] {
            assert_eq!(site.get(path).status, 404, "{path}");
            site.assert_missing(path);
        }
    });
}

#[test]
fn long_chains_of_symlinks_end() {
    each_way(|site| {
        symlink("digits.txt", site.path("l0")).unwrap();
        for number in 1..60 {
            let target = format!("l{}", number - 1);
            symlink(target, site.path(&format!("l{number}"))).unwrap();
        }
        assert_eq!(site.get("/l30").status, 200);
        assert_eq!(site.get("/l59").status, 404);
    });
}

#[test]
fn hidden_files_are_not_there() {
    each_way(|site| {
        site.write(".env", "secret");
        site.write(".git/config", "secret");
        site.write("docs/.htpasswd", "secret");
        site.write(".well-known/acme-challenge/token", "token");
        for path in [
            "/.env",
            "/.git/config",
            "/.git/",
            "/.git",
            "/docs/.htpasswd",
            "/%2eenv",
        ] {
            assert_eq!(site.get(path).status, 404, "{path}");
        }
        assert_eq!(site.get("/.well-known/acme-challenge/token").body, "token");
    });
}

#[test]
fn only_files_are_opened_and_nothing_hangs() {
    each_way(|site| {
        let mut mkfifo = std::process::Command::new("mkfifo");
        assert!(mkfifo.arg(site.path("fifo")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
        fs::create_dir(site.path("docs/deep/index.html")).unwrap();
        for path in ["/fifo", "/fifo/", "/socket", "/docs/deep/"] {
            assert_eq!(site.get(path).status, 404, "{path}");
        }
        assert_eq!(site.get(&format!("/{}", "n".repeat(300))).status, 404);
        assert_eq!(site.get(&"/n".repeat(3000)).status, 404);
    });
}

#[test]
fn methods() {
    each_way(|site| {
        for path in ["/digits.txt", "/docs/", "/docs", "/nothing"] {
            let (get, head) = (site.get(path), site.ask("HEAD", path, &[]));
            assert_eq!(head.status, get.status, "{path}");
            assert!(matches!(head.response.body, Body::Empty));
            assert_eq!(head.response.head.content_length, get.response.body.len());
            assert_eq!(head.field(Name::Etag), get.field(Name::Etag));
        }
        let options = site.ask("OPTIONS", "/", &[]);
        assert_eq!(
            (options.status, options.field(Name::Allow)),
            (204, "GET, HEAD, OPTIONS")
        );
        for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get"] {
            let answer = site.ask(method, "/", &[]);
            assert_eq!(
                (answer.status, answer.field(Name::Allow)),
                (405, "GET, HEAD, OPTIONS")
            );
        }
    });
}

#[test]
fn ranges() {
    each_way(|site| {
        let ask = |range| site.ask("GET", "/digits.txt", &[(Name::Range, range)]);
        for (range, body, content_range) in [
            ("bytes=2-4", "234", "bytes 2-4/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-1", "9", "bytes 9-9/10"),
        ] {
            let answer = ask(range);
            assert_eq!((answer.status, answer.body.as_str()), (206, body));
            assert_eq!(answer.field(Name::ContentRange), content_range);
            assert!(!answer.field(Name::Etag).is_empty());
        }
        let behind = ask("bytes=10-");
        assert_eq!(
            (behind.status, behind.field(Name::ContentRange)),
            (416, "bytes */10")
        );
        for ignored in ["bytes=0-5,4-5", "bytes=4-2", "pages=1-2"] {
            assert_eq!(ask(ignored).status, 200, "{ignored}");
        }
        let head = site.ask("HEAD", "/digits.txt", &[(Name::Range, "bytes=2-4")]);
        assert_eq!(
            (head.status, head.response.head.content_length),
            (200, Some(10))
        );
    });
}

#[test]
fn several_ranges() {
    each_way(|site| {
        let large = "x".repeat(200_000);
        site.write("large.txt", &large);
        for (name, size, last) in [("/digits.txt", 10, "9"), ("/large.txt", 200_000, "x")] {
            let ask = |method| site.ask(method, name, &[(Name::Range, "bytes=0-1, -1")]);
            let answer = ask("GET");
            assert_eq!(answer.status, 206, "{name}");
            let kind = answer.field(Name::ContentType);
            let boundary = kind
                .strip_prefix("multipart/byteranges; boundary=")
                .unwrap();
            let first = &site.get(name).body[..2];
            let head = "Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes";
            let expected = format!(
                "--{boundary}\r\n{head} 0-1/{size}\r\n\r\n{first}\r\n--{boundary}\r\n{head} {0}-{0}/{size}\r\n\r\n{last}\r\n\
                 --{boundary}--\r\n",
                size - 1
            );
            assert_eq!(answer.body, expected);
            assert!(!answer.response.head.fields.has(Name::ContentRange));
            assert!(answer.response.head.fields.has(Name::Etag));
            let head = ask("HEAD");
            assert_eq!(
                (head.status, head.response.head.content_length),
                (200, Some(size))
            );
        }
    });
}

#[test]
fn preconditions() {
    each_way(|site| {
        let first = site.get("/digits.txt");
        let etag = first.field(Name::Etag);
        let ask = |fields: &[(Name, &str)]| site.ask("GET", "/digits.txt", fields);
        let known = ask(&[(Name::IfNoneMatch, etag)]);
        assert_eq!(known.status, 304);
        assert_eq!(known.field(Name::Etag), etag);
        assert!(!known.response.head.fields.has(Name::ContentType));
        assert!(matches!(known.response.body, Body::Empty));
        let since = first.field(Name::LastModified);
        assert_eq!(ask(&[(Name::IfModifiedSince, since)]).status, 304);
        assert_eq!(ask(&[(Name::IfMatch, "\"other\"")]).status, 412);
        assert_eq!(ask(&[(Name::IfMatch, etag)]).status, 200);
        let range = (Name::Range, "bytes=0-0");
        assert_eq!(ask(&[range, (Name::IfRange, etag)]).status, 206);
        assert_eq!(ask(&[range, (Name::IfRange, "\"other\"")]).status, 200);
        assert_eq!(
            site.ask("GET", "/nothing", &[(Name::IfMatch, "\"a\"")])
                .status,
            404
        );
    });
}

#[test]
fn own_error_pages() {
    each_way(|site| {
        site.write("not_found.html", "lost?");
        site.write("bad_request.html", "what?");
        let missing = site.get("/nothing");
        assert_eq!((missing.status, missing.body.as_str()), (404, "lost?"));
        assert_eq!(missing.field(Name::ContentType), "text/html; charset=utf-8");
        assert_eq!(missing.field(Name::Etag), "");
        let bad = site.get("/a%00");
        assert_eq!((bad.status, bad.body.as_str()), (400, "what?"));
        assert_eq!(site.get("/not_found.html").status, 200);
    });
}

#[test]
fn an_error_page_that_comes_or_goes_is_seen_within_a_second() {
    each_way(|mut site| {
        let is_own = |site: &Site| site.get("/nothing").body == "lost?";
        assert!(!is_own(&site));
        site.write("not_found.html", "lost?");
        site.later(999);
        assert!(!is_own(&site));
        site.later(1);
        assert!(is_own(&site));
        fs::remove_file(site.path("not_found.html")).unwrap();
        site.later(1000);
        assert!(!is_own(&site));
    });
}

#[test]
fn a_change_is_seen_within_a_second() {
    each_way(|mut site| {
        let old = site.get("/digits.txt");
        // The same size and, with a coarse clock, perhaps the same time.
        site.write("digits.txt", "9876543210");
        site.later(999);
        assert_eq!(site.get("/digits.txt").body, "0123456789");
        site.later(1);
        let new = site.get("/digits.txt");
        assert_eq!(new.body, "9876543210");
        site.age("digits.txt");
        site.later(1000);
        let aged = site.get("/digits.txt");
        assert_ne!(aged.field(Name::Etag), old.field(Name::Etag));
        assert_eq!(
            aged.field(Name::LastModified),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        fs::remove_file(site.path("digits.txt")).unwrap();
        site.later(1000);
        assert_eq!(site.get("/digits.txt").status, 404);
        site.write("digits.txt", "back");
        assert_eq!(site.get("/digits.txt").body, "back");
    });
}

#[test]
fn a_switched_root_is_seen_within_a_second() {
    each_way(|site| {
        let Site { folder, files, .. } = site;
        let path = |name: &str| folder.path().join(name);
        for release in ["1", "2"] {
            fs::create_dir_all(path(release)).unwrap();
            fs::write(path(release).join("a.txt"), release).unwrap();
            fs::write(path(release).join("b.txt"), release).unwrap();
        }
        symlink("1", path("current")).unwrap();
        let mut site = Site::at(files.way, path("current"), folder);
        assert_eq!(site.get("/a.txt").body, "1");
        symlink("2", site.folder.path().join("next")).unwrap();
        let current = site.folder.path().join("current");
        fs::rename(site.folder.path().join("next"), current).unwrap();
        // Seen for the first time just before the root is looked up anew: trusted for the rest of that second only.
        site.later(900);
        assert_eq!(site.get("/b.txt").body, "1");
        site.later(100);
        assert_eq!(site.get("/b.txt").body, "2");
        assert_eq!(site.get("/a.txt").body, "2");
    });
}

#[test]
fn a_missing_root_tells_the_next_step() {
    each_way(|site| {
        let Site { folder, files, .. } = site;
        let root = folder.path().join("not-yet");
        let mut site = Site::at(files.way, root.clone(), folder);
        let answer = site.get("/");
        assert_eq!(answer.status, 404);
        assert!(answer.body.contains("dreamserver files DIR"));
        assert!(!answer.body.contains(root.to_str().unwrap()));
        fs::create_dir(&root).unwrap();
        fs::write(root.join("index.html"), "here").unwrap();
        site.later(0);
        assert_eq!(site.get("/").body, "here");
    });
}

#[test]
fn handlers_do_not_share_files() {
    each_way(|site| {
        let other = Site::new(site.files.way);
        other.write("digits.txt", "other");
        let other = Site {
            store: site.store,
            ..other
        };
        assert_eq!(other.get("/digits.txt").body, "other");
        let site = Site {
            store: other.store,
            ..site
        };
        assert_eq!(site.get("/digits.txt").body, "0123456789");
    });
}

#[test]
fn memory_answers_without_the_disk() {
    each_way(|site| {
        assert_eq!(site.get("/digits.txt").status, 200);
        fs::remove_dir_all(site.path("")).unwrap();
        assert_eq!(site.get("/digits.txt").body, "0123456789");
    });
}
