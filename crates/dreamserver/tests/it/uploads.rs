//! Uploads over the wire: what is created, replaced and removed, that nobody sees half a file, and that nothing else is changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use dream_testkit::{
    Authority, Client, DEADLINE, Exit, Folder, Response, Server, Signal, eventually, pattern,
};

use crate::start::{binary, get, run};

/// A server whose folder may be changed, with these options beside `root`.
struct House {
    root: Folder,
    server: Server,
    home: Folder,
}

impl House {
    #[track_caller]
    fn new(options: &str) -> House {
        let root = Folder::new("uploads");
        House::around(root, options)
    }

    #[track_caller]
    fn around(root: Folder, options: &str) -> House {
        let home = Folder::new("configured");
        home.write("dreamserver.toml", config(root.path(), options));
        let server = start(&home);
        House { root, server, home }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, fields: &str, body: &[u8]) -> Response {
        self.server
            .client()
            .ask(request(method, path, fields, body))
    }

    #[track_caller]
    fn put(&self, path: &str, body: &str) -> Response {
        self.ask("PUT", path, "", body.as_bytes())
    }

    #[track_caller]
    fn text(&self, path: &str) -> String {
        self.server.client().ask(get(path)).text()
    }

    /// The names of all that is in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn config(root: &Path, options: &str) -> String {
    let root = root.display();
    format!("[sites.\"*\"]\nfiles = {{ root = \"{root}\", upload = true{options} }}\n")
}

fn start(home: &Folder) -> Server {
    let arguments = ["--config", "dreamserver.toml", "--listen", "127.0.0.1:0"];
    Server::start_in(&binary(), home.path(), &arguments)
}

fn request(method: &str, path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn a_file_is_created_read_and_replaced() {
    let house = House::new("");
    let made = house.put("/a%20b.txt", "one");
    assert_eq!(
        (made.status, made.field("Location")),
        (201, Some("/a%20b.txt"))
    );
    assert_eq!(made.body, b"");
    let read = house.server.client().ask(get("/a%20b.txt"));
    assert_eq!(read.text(), "one");
    assert_eq!(read.field("ETag"), made.field("ETag"));
    let replaced = house.put("/a%20b.txt", "another");
    assert_eq!((replaced.status, replaced.field("Location")), (204, None));
    assert_eq!(house.text("/a%20b.txt"), "another");
    let posted = house.ask("POST", "/posted", "", b"");
    assert_eq!(posted.status, 201);
    assert_eq!(house.names(), ["a b.txt", "posted"]);
    let mode = fs::metadata(house.root.join("posted"))
        .unwrap()
        .permissions();
    assert_eq!(
        mode.mode() & 0o7133,
        0,
        "nobody else writes it, and nobody runs it"
    );
}

/// The memory of a core is believed for a second; whoever uploads sees the new file at once, on every core.
#[test]
fn what_was_uploaded_is_what_is_read_next() {
    let house = House::new(", delete = true");
    for round in 0..50 {
        let text = format!("round {round:03}");
        house.put("/same-size.txt", &text);
        for _ in 0..4 {
            assert_eq!(house.text("/same-size.txt"), text);
        }
    }
    assert_eq!(house.ask("DELETE", "/same-size.txt", "", b"").status, 204);
    assert_eq!(house.server.client().ask(get("/same-size.txt")).status, 404);
}

#[test]
fn a_chunked_body_on_a_connection_that_goes_on() {
    let house = House::new("");
    let mut client = house.server.client();
    let head = "PUT /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let made = client.ask(format!(
        "{head}3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX: y\r\n\r\n"
    ));
    assert_eq!(made.status, 201);
    assert_eq!(client.ask(get("/c")).text(), "abcdefg");
    // One that waits to be told, and is told.
    client.send(
        "PUT /c HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(client.read_response("PUT").unwrap().status, 100);
    client.send("hi");
    assert_eq!(client.answer().status, 204);
    // And one that is told better not to.
    client.send(
        "PUT /.c HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(client.read_response("PUT").unwrap().status, 403);
}

#[test]
fn a_large_file_arrives_whole() {
    let house = House::new("");
    let size: usize = 40_000_000;
    let mut client = house.server.client();
    client.send(format!(
        "PUT /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    ));
    let mut bytes = vec![0; size];
    pattern(0, &mut bytes);
    for piece in bytes.chunks(100_000) {
        client.send(piece);
    }
    assert_eq!(client.answer().status, 201);
    assert!(fs::read(house.root.join("large")).unwrap() == bytes);
    assert!(house.server.client().ask(get("/large")).body == bytes);
}

#[test]
fn preconditions_protect_what_is_there() {
    let house = House::new(", delete = true");
    let tag = house.put("/a", "one").field("ETag").unwrap().to_owned();
    let status = |method, fields: &str| house.ask(method, "/a", fields, b"two").status;
    assert_eq!(status("PUT", "If-None-Match: *\r\n"), 412);
    assert_eq!(status("PUT", "If-Match: \"other\"\r\n"), 412);
    assert_eq!(
        status(
            "PUT",
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        ),
        412
    );
    assert_eq!(status("DELETE", "If-Match: \"other\"\r\n"), 412);
    assert_eq!(house.text("/a"), "one");
    assert_eq!(house.ask("PUT", "/b", "If-Match: *\r\n", b"x").status, 412);
    assert_eq!(
        house.ask("PUT", "/b", "If-None-Match: *\r\n", b"x").status,
        201
    );
    assert_eq!(status("PUT", &format!("If-Match: {tag}\r\n")), 204);
    assert_eq!(status("PUT", &format!("If-Match: {tag}\r\n")), 412);
    assert_eq!(house.text("/a"), "two");
}

/// Of many who all want to be the first, one is; of many who replace, all do, and whole.
#[test]
fn a_hundred_uploads_to_one_name() {
    let house = House::new("");
    let at_once = |fields: &'static str, path: &'static str| {
        let uploads: Vec<_> = (0..100u8)
            .map(|number| {
                let mut client = house.server.client();
                thread::spawn(move || {
                    let body = vec![number; 100_000];
                    client.ask(request("PUT", path, fields, &body)).status
                })
            })
            .collect();
        let statuses = uploads.into_iter().map(|upload| upload.join().unwrap());
        let mut statuses: Vec<u16> = statuses.collect();
        statuses.sort_unstable();
        statuses
    };
    let first = at_once("If-None-Match: *\r\n", "/first");
    assert_eq!((first[0], first[1], first[99]), (201, 412, 412));
    let all = at_once("", "/any");
    assert_eq!((all[0], all[1], all[99]), (201, 204, 204));
    for name in ["first", "any"] {
        let bytes = fs::read(house.root.join(name)).unwrap();
        assert_eq!(bytes.len(), 100_000);
        assert!(
            bytes.iter().all(|byte| *byte == bytes[0]),
            "{name} is a mixture"
        );
    }
    assert_eq!(house.names(), ["any", "first"]);
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let house = House::new("");
    house.put("/a", &"0".repeat(300_000));
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = house.server.client();
            for round in 1..40u8 {
                let body = vec![b'0' + round; 300_000];
                assert_eq!(client.ask(request("PUT", "/a", "", &body)).status, 204);
            }
        });
        let mut client = house.server.client();
        while !writer.is_finished() {
            let body = client.ask(get("/a")).body;
            assert_eq!(body.len(), 300_000);
            assert!(body.iter().all(|byte| *byte == body[0]));
        }
    });
}

#[test]
fn what_breaks_off_leaves_nothing() {
    let house = House::new(", max_body = \"1 MB\"");
    house.put("/kept", "kept");
    let begin = |fields: &str| {
        let mut client = house.server.client();
        client.send(format!(
            "PUT /kept HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
        ));
        client
    };
    // Gone, hard and soft, in the middle.
    for hard in [true, false] {
        let mut client = begin("Content-Length: 500000\r\n");
        client.send(vec![b'x'; 200_000]);
        eventually("something is being written", || house.names().len() == 2);
        match hard {
            true => client.reset(),
            false => drop(client),
        }
        eventually("nothing is left", || house.names() == ["kept"]);
    }
    // Too large, said and not said before.
    assert_eq!(begin("Content-Length: 1000001\r\n").answer().status, 413);
    let mut client = begin("Transfer-Encoding: chunked\r\n");
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 0x10_0000], b"\r\n"].concat();
    let _ = client.try_send(&chunk);
    assert_eq!(client.answer().status, 413);
    // No HTTP.
    let mut client = begin("Transfer-Encoding: chunked\r\n");
    client.send("5\r\nabcdeXX");
    assert_eq!(client.answer().status, 400);
    eventually("nothing is left", || house.names() == ["kept"]);
    assert_eq!(house.text("/kept"), "kept");
}

#[test]
fn a_killed_server_leaves_nothing_that_the_next_does_not_remove() {
    let mut house = House::new("");
    house.root.write("below/kept", "kept");
    let mut clients: Vec<Client> = ["/a", "/below/b"]
        .iter()
        .map(|path| {
            let mut client = house.server.client();
            client.send(format!(
                "PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n"
            ));
            client.send(vec![b'x'; 200_000]);
            client
        })
        .collect();
    let hidden = |house: &House| {
        let below = fs::read_dir(house.root.join("below")).unwrap().count() - 1;
        house.names().len() - 1 + below
    };
    eventually("both are being written", || hidden(&house) == 2);
    // A second server does not take for left what the first one writes.
    let other = start(&house.home);
    let name = house
        .names()
        .into_iter()
        .find(|name| name.starts_with('.'))
        .unwrap();
    assert_eq!(other.client().ask(get(&format!("/{name}"))).status, 404);
    clients[0].send(vec![b'x'; 300_000]);
    assert_eq!(clients[0].answer().status, 201);
    assert_eq!(hidden(&house), 2, "one file, and one in the making");
    drop(other);
    house.server.signal(Signal::KILL);
    assert!(house.server.wait(DEADLINE).is_some());
    assert_eq!(hidden(&house), 2);
    house.server = start(&house.home);
    assert_eq!(house.text("/below/kept"), "kept");
    eventually("what was left is gone", || {
        house.names() == ["a", "below"] && hidden(&house) == 1
    });
}

#[test]
fn names_that_mean_more_than_themselves_are_refused() {
    let house = House::new(", delete = true");
    house.root.write("index.html", "home");
    house.root.write("docs/a.txt", "a");
    house.root.write(".env", "secret");
    for path in [
        "/index.html",
        "/docs/Index.html",
        "/not_found.html",
        "/bad_request.html",
        "/503.html",
        "/a.js.gz",
        "/a.js.BR",
        "/a.zst",
        "/.env",
        "/.git/hooks/x",
        "/docs/.x",
        "/.well-known/acme-challenge/x",
    ] {
        assert_eq!(house.put(path, "mine").status, 403, "{path}");
        assert_eq!(house.ask("DELETE", path, "", b"").status, 403, "{path}");
    }
    for path in ["/", "/docs", "/docs/", "/none/a", "/index.html/a"] {
        assert_eq!(house.put(path, "mine").status, 409, "{path}");
        assert_eq!(house.ask("POST", path, "", b"mine").status, 409, "{path}");
    }
    let long = format!("/{}", "n".repeat(300));
    for path in [
        "/..",
        "/../x",
        "/%2e%2e/x",
        "/a%00",
        "/a%0a",
        "/a%2fb",
        "/%ff",
        "//a",
        &long,
    ] {
        assert_eq!(house.put(path, "mine").status, 400, "{path}");
    }
    assert_eq!(house.names(), [".env", "docs", "index.html"]);
    assert_eq!(house.text("/"), "home");
}

#[test]
fn nothing_outside_is_changed() {
    let outer = Folder::new("outer");
    outer.write("victim", "safe");
    let house = House::new(", delete = true");
    house.root.write("below/kept", "kept");
    symlink(outer.path(), house.root.join("out")).unwrap();
    symlink("..", house.root.join("up")).unwrap();
    symlink("below", house.root.join("near")).unwrap();
    symlink(outer.join("victim"), house.root.join("victim")).unwrap();
    symlink("loop", house.root.join("loop")).unwrap();
    for path in [
        "/out/victim",
        "/out/new",
        "/up/new",
        "/victim",
        "/loop",
        "/loop/a",
    ] {
        assert_eq!(house.put(path, "changed").status, 409, "{path}");
        assert_eq!(house.ask("DELETE", path, "", b"").status, 409, "{path}");
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    assert_eq!(fs::read(outer.join("victim")).unwrap(), b"safe");
    // What may be read by this name may be changed by it.
    assert_eq!(house.put("/near/new", "inside").status, 201);
    assert_eq!(fs::read(house.root.join("below/new")).unwrap(), b"inside");
}

/// A folder and a symlink that leads out take turns under one name, as fast as they can.
#[test]
fn a_symlink_that_is_swapped_in_leads_nowhere() {
    let outer = Folder::new("outer");
    let house = House::new(", delete = true");
    let (way, folder, link) = (
        house.root.join("way"),
        house.root.join("folder"),
        house.root.join("link"),
    );
    fs::create_dir(&folder).unwrap();
    symlink(outer.path(), &link).unwrap();
    thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            for _ in 0..2000 {
                for real in [&folder, &link] {
                    fs::rename(real, &way).unwrap();
                    fs::rename(&way, real).unwrap();
                }
            }
        });
        let mut client = house.server.client();
        let mut asked = 0;
        while !swapper.is_finished() || asked < 100 {
            let answer = client.ask(request("PUT", "/way/file", "", b"x"));
            assert!(
                matches!(answer.status, 201 | 204 | 409),
                "{}",
                answer.status
            );
            asked += 1;
        }
    });
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_file_is_refused() {
    let house = House::new("");
    let status = |fields: &str| house.ask("PUT", "/a", fields, b"abc");
    assert_eq!(status("Content-Range: bytes 0-2/10\r\n").status, 400);
    let encoded = status("Content-Encoding: gzip\r\n");
    assert_eq!(
        (encoded.status, encoded.field("Accept-Encoding")),
        (415, Some("identity"))
    );
    assert_eq!(
        status("Content-Type: multipart/form-data; boundary=x\r\n").status,
        415
    );
    for foreign in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
    ] {
        assert_eq!(status(foreign).status, 403, "{foreign}");
    }
    assert_eq!(house.names(), Vec::<String>::new());
    for ours in [
        "Sec-Fetch-Site: same-origin\r\n",
        "Origin: http://localhost\r\n",
    ] {
        assert!(matches!(status(ours).status, 201 | 204), "{ours}");
    }
}

#[test]
fn methods_are_those_that_are_switched_on() {
    let house = House::new("");
    house.put("/a", "a");
    let allow = "GET, HEAD, OPTIONS, PUT, POST";
    let refused = house.ask("DELETE", "/a", "", b"");
    assert_eq!((refused.status, refused.field("Allow")), (405, Some(allow)));
    let options = house.ask("OPTIONS", "/a", "", b"");
    assert_eq!((options.status, options.field("Allow")), (204, Some(allow)));
    assert_eq!(house.ask("PATCH", "/a", "", b"").status, 405);
    let house = House::new(", delete = true");
    house.put("/a", "a");
    fs::create_dir(house.root.join("folder")).unwrap();
    for (path, status) in [("/a", 204), ("/a", 404), ("/folder", 409), ("/none/a", 409)] {
        assert_eq!(house.ask("DELETE", path, "", b"").status, status, "{path}");
    }
    let read_only = crate::start::files(&house.root);
    let refused = read_only.client().ask(request("PUT", "/a", "", b"a"));
    assert_eq!(
        (refused.status, refused.field("Allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn all_files_together_stay_below_max_total() {
    let root = Folder::new("uploads");
    root.write("there/before", vec![0; 50_000]);
    let house = House::around(root, ", delete = true, max_total = \"100000\"");
    let status = |path: &str, size: usize| house.ask("PUT", path, "", &vec![0; size]).status;
    assert_eq!(status("/a", 60_000), 507);
    assert_eq!(status("/a", 30_000), 201);
    // While a file is replaced both are there.
    assert_eq!(status("/a", 30_000), 507);
    assert_eq!(house.ask("DELETE", "/a", "", b"").status, 204);
    assert_eq!(status("/a", 30_000), 201);
    // Empty files are not free.
    let made = (0..20).map(|number| status(&format!("/{number}"), 0));
    assert!(made.filter(|status| *status == 507).count() > 10);
    let mut client = house.server.client();
    client.send("PUT /b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = client.try_send([b"20000\r\n".as_slice(), &[0; 0x2_0000], b"\r\n0\r\n\r\n"].concat());
    assert_eq!(client.answer().status, 507);
    eventually("what broke off has given its room back", || {
        house.names().iter().all(|name| !name.starts_with('.'))
    });
}

/// A file that cannot grow any more is a full disk for the server; the shell makes it one without a disk.
#[test]
fn a_full_disk_is_a_507() {
    let root = Folder::new("uploads");
    let home = Folder::new("configured");
    home.write("dreamserver.toml", config(root.path(), ""));
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let arguments = [
        "-c",
        script,
        "sh",
        &binary(),
        "--config",
        "dreamserver.toml",
        "--listen",
        "127.0.0.1:0",
    ];
    let server = Server::start_in("/bin/bash", home.path(), &arguments);
    let ask = |size: usize| {
        server
            .client()
            .ask(request("PUT", "/a", "", &vec![0; size]))
    };
    assert_eq!(ask(100_000).status, 201);
    let full = ask(1_000_000);
    assert_eq!(full.status, 507);
    assert_eq!(fs::metadata(root.join("a")).unwrap().size(), 100_000);
    eventually("nothing is left", || {
        fs::read_dir(root.path()).unwrap().count() == 1
    });
    assert_eq!(ask(10).status, 204);
}

/// A real file system without room, where this user may make one.
#[test]
fn a_full_file_system_is_a_507() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: file systems cannot be mounted here");
        return;
    };
    let home = Folder::new("configured");
    home.write("dreamserver.toml", config(disk.0.path(), ""));
    let server = start(&home);
    let put = |size: usize| {
        server
            .client()
            .ask(request("PUT", "/a", "", &vec![0; size]))
    };
    assert_eq!(put(2_000_000).status, 507);
    let mut client = server.client();
    client.send("PUT /b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = client.try_send([b"200000\r\n".as_slice(), &[0; 0x20_0000], b"\r\n0\r\n\r\n"].concat());
    assert_eq!(client.answer().status, 507);
    assert_eq!(put(10).status, 201);
    let left = || fs::read_dir(disk.0.path()).unwrap().count();
    eventually("nothing is left of what broke off", || left() == 1);
}

/// A file system of 1 MiB, which is gone when the test is.
struct SmallDisk(Folder);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let disk = SmallDisk(Folder::new("small"));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk.0.text()]);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.0.text()]).output();
    }
}

/// The line in the log tells what came of it.
#[test]
fn uploads_are_logged_like_everything_else() {
    let house = House::new(", max_total = \"10000\"");
    house.put("/a", "abc");
    house
        .server
        .log_line(|line| line.contains("method=PUT") && line.contains("status=201"));
    house.ask("PUT", "/b", "", &[0; 20_000]);
    house.server.log_line(|line| line.contains("status=507"));
    house.server.message(|line| line.contains("max_total"));
}

fn check(config: &str, arguments: &[&str]) -> Exit {
    let home = Folder::new("configured");
    home.write("dreamserver.toml", config);
    run(
        home.path(),
        &[&["check", "--config", "dreamserver.toml"], arguments].concat(),
    )
}

#[test]
fn an_open_door_is_said_aloud() {
    let refused = check(&config(Path::new("/srv/up"), ""), &[]);
    assert_eq!(refused.code, Some(2), "{refused}");
    for part in [
        "anybody who reaches this server could upload",
        "anonymous = true",
        "uploads could fill the disk",
        "max_total",
    ] {
        assert!(refused.stderr.contains(part), "{refused}");
    }
    let open = config(
        Path::new("/srv/up"),
        ", anonymous = true, max_total = \"1 GB\"",
    );
    assert_eq!(check(&open, &[]).code, Some(0));
    let half = check(&config(Path::new("/srv/up"), ", anonymous = true"), &[]);
    assert!(
        half.code == Some(2) && !half.stderr.contains("anybody"),
        "{half}"
    );
    let local = config(Path::new("/srv/up"), "");
    assert_eq!(
        check(&format!("listen = \"localhost:8080\"\n{local}"), &[]).code,
        Some(0)
    );
    // The command line has the last word on where it listens.
    let home = Folder::new("configured");
    home.write(
        "dreamserver.toml",
        format!("listen = \"localhost:0\"\n{local}"),
    );
    let exit = run(
        home.path(),
        &["--config", "dreamserver.toml", "--listen", ":0"],
    );
    assert!(
        exit.code == Some(2) && exit.stderr.contains("anonymous = true"),
        "{exit}"
    );
}

#[test]
fn options_that_contradict_are_errors() {
    let odd = check(
        "[sites.\"*\"]\nfiles = { root = \"up\", delete = true }\n",
        &[],
    );
    assert!(
        odd.code == Some(2) && odd.stderr.contains("`delete` without `upload`"),
        "{odd}"
    );
    let odd = check(
        &config(
            Path::new("up"),
            ", hidden = true, anonymous = true, max_total = 1",
        ),
        &[],
    );
    assert!(
        odd.code == Some(2) && odd.stderr.contains("`upload` and `hidden`"),
        "{odd}"
    );
}

#[test]
fn clients_who_must_show_a_certificate_are_known() {
    let home = Folder::new("configured");
    home.write("clients.pem", Authority::new("clients").pem());
    let upload = "files = { root = \"up\", upload = true, max_total = \"1 GB\" }";
    for (optional, code) in [("", 0), (", client_optional = true", 2)] {
        let tls = format!("tls = {{ client_ca = \"clients.pem\"{optional} }}");
        let config = format!("[sites.\"a.example\"]\n{tls}\n{upload}\n");
        home.write("dreamserver.toml", config);
        let exit = run(home.path(), &["check", "--config", "dreamserver.toml"]);
        assert_eq!(exit.code, Some(code), "{exit}");
    }
}
