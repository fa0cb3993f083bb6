//! Announcements: one datagram, and a name is served.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dream_testkit::{DEADLINE, Folder, Origin, Server, eventually, free_port, respond};

use crate::start::binary;

/// A core server of its own, with its state in a folder.
pub(crate) struct Core {
    pub(crate) server: Server,
    pub(crate) control: SocketAddr,
}

impl Core {
    #[track_caller]
    pub(crate) fn start(home: &Folder) -> Core {
        Core::start_as(home, &["core"])
    }

    /// A server with this configuration file, and announcements beside it.
    #[track_caller]
    pub(crate) fn configured(home: &Folder, config: &str) -> Core {
        let file = home.write("dreamserver.toml", config);
        Core::start_as(home, &["--config", file.to_str().unwrap()])
    }

    #[track_caller]
    pub(crate) fn start_as(home: &Folder, command: &[&str]) -> Core {
        let ports = ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
        Core::run(home, &binary(), &[command, &ports].concat())
    }

    /// At these ports.
    #[track_caller]
    pub(crate) fn start_at(home: &Folder, listen: &str, control: &str) -> Core {
        let arguments = ["core", "--listen", listen, "--control", control];
        Core::run(home, &binary(), &arguments)
    }

    /// With these arguments, and the state in a folder of `home`.
    #[track_caller]
    pub(crate) fn run(home: &Folder, program: &str, arguments: &[&str]) -> Core {
        let state = home.join("state");
        let arguments = [arguments, &["--state", state.to_str().unwrap()]].concat();
        let server = Server::start_in(program, home.path(), &arguments);
        let line = server.message(|line| line.contains("nnouncements come in at"));
        let control = line.rsplit(' ').next().unwrap().parse().unwrap();
        Core { server, control }
    }

    /// A sender with a socket of its own, which stays open until the reply is there.
    #[track_caller]
    pub(crate) fn say(&self, text: impl AsRef<[u8]>) -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.send_to(text.as_ref(), self.control).unwrap();
        let mut reply = [0; 65536];
        let (len, from) = socket.recv_from(&mut reply).unwrap();
        assert_eq!(from, self.control);
        String::from_utf8(reply[..len].to_vec()).unwrap()
    }

    #[track_caller]
    pub(crate) fn ask(&self, host: &str) -> (u16, String) {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = self.server.client().ask(request);
        (answer.status, answer.text())
    }

    #[track_caller]
    pub(crate) fn announce(&self, host: &str, origin: &Origin) {
        let port = origin.address().port();
        assert_eq!(
            self.say(format!("add {host} {port}")),
            format!("ok add {host} {port}")
        );
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let control = self.control.to_string();
        let output = Command::new(binary())
            .args(arguments)
            .args(["--control", &control])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

pub(crate) fn saying(text: &'static str) -> Origin {
    Origin::each(move |_| respond(200, "text/plain", text.as_bytes()))
}

#[test]
fn one_datagram_and_a_name_is_served() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    let (status, page) = core.ask("example.com");
    assert_eq!(status, 404);
    assert!(
        page.contains("add example.com 5665"),
        "what to send: {page}"
    );
    core.announce("example.com", &origin);
    for host in ["example.com", "EXAMPLE.com.", "example.com:8080"] {
        assert_eq!(core.ask(host), (200, "hello".into()), "{host}");
    }
    assert_eq!(core.ask("www.example.com").0, 404);
    assert_eq!(origin.last().head.field("Host"), Some("example.com:8080"));
}

#[test]
fn senders_need_not_wait_for_a_reply() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    let text = format!("add quick.localhost {}", origin.address().port());
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(text.as_bytes(), core.control)
        .unwrap();
    eventually("it is served", || core.ask("quick.localhost").0 == 200);
}

#[test]
fn a_line_by_tcp_says_the_same() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    let port = origin.address().port();
    for (line, half_close) in [
        (format!("add a.test {port}\n"), false),
        (format!("add b.test {port}"), true),
    ] {
        let mut stream = TcpStream::connect(core.control).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        if half_close {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, format!("ok {}\n", line.trim_end()));
    }
    assert_eq!(core.ask("a.test").0, 200);
    assert_eq!(core.ask("b.test").0, 200);
}

#[test]
fn what_was_acknowledged_outlives_the_process() {
    let (home, origin) = (Folder::new("core"), saying("still here"));
    let core = Core::start(&home);
    core.announce("kept.example", &origin);
    core.announce("gone.example", &origin);
    assert_eq!(core.say("remove gone.example"), "ok remove gone.example");
    // Dropping it is SIGKILL.
    drop(core);
    let core = Core::start(&home);
    assert_eq!(core.ask("kept.example"), (200, "still here".into()));
    assert_eq!(core.ask("gone.example").0, 404);
}

#[test]
fn nothing_is_acknowledged_into_a_folder_that_was_removed() {
    let (home, origin) = (Folder::new("core"), saying("here"));
    let core = Core::start(&home);
    core.announce("kept.example", &origin);
    let state = home.join("state");
    fs::remove_dir_all(&state).unwrap();
    let refusal = format!("err not-kept: {}: ", state.display());
    for _ in 0..3 {
        let reply = core.say("add new.example 5665");
        assert!(reply.starts_with(&refusal), "{reply}");
    }
    assert_eq!(core.ask("kept.example"), (200, "here".into()));
    assert_eq!(core.ask("new.example").0, 404);
}

#[test]
fn files_that_were_removed_are_written_anew() {
    let (home, origin) = (Folder::new("core"), saying("here"));
    let core = Core::start(&home);
    core.announce("old.example", &origin);
    for file in files(&home) {
        fs::remove_file(file).unwrap();
    }
    let again = format!("add new.example {}", origin.address().port());
    eventually("it is kept", || core.say(&again).starts_with("ok"));
    eventually("all is written anew", || checkpoints(&home) == 1);
    drop(core);
    let core = Core::start(&home);
    assert_eq!(core.ask("old.example"), (200, "here".into()));
    assert_eq!(core.ask("new.example"), (200, "here".into()));
}

#[test]
fn starts_alone_do_not_fill_the_folder() {
    let home = Folder::new("core");
    for _ in 0..9 {
        drop(Core::start(&home));
    }
    let _core = Core::start(&home);
    eventually("what they left is put together", || checkpoints(&home) == 1);
}

fn files(home: &Folder) -> Vec<PathBuf> {
    let names = fs::read_dir(home.join("state")).unwrap();
    names.map(|name| name.unwrap().path()).collect()
}

/// Those that are whole.
fn checkpoints(home: &Folder) -> usize {
    let is_one = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("checkpoint-") && name.ends_with(".txt")
    };
    files(home).iter().filter(is_one).count()
}

#[test]
fn what_is_said_again_is_not_written_again() {
    let (home, origin) = (Folder::new("core"), saying("here"));
    let core = Core::start(&home);
    core.announce("again.example", &origin);
    let journal = || {
        let names = fs::read_dir(home.join("state")).unwrap();
        let paths = names.map(|name| name.unwrap().path());
        let is_journal = |path: &PathBuf| path.to_str().unwrap().contains("journal-");
        let lengths = paths
            .filter(is_journal)
            .map(|path| fs::read(path).unwrap().len());
        lengths.sum::<usize>()
    };
    let before = journal();
    for _ in 0..3 {
        core.announce("again.example", &origin);
    }
    assert_eq!(journal(), before);
    core.say("remove again.example");
    assert!(journal() > before);
    core.announce("again.example", &origin);
    assert_eq!(core.ask("again.example"), (200, "here".into()));
}

#[test]
fn nonsense_gets_an_error_that_says_what_was_wrong() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let own = core.server.port();
    for (text, code) in [
        (&b""[..], "empty"),
        (b"\xff\xfe", "not-text"),
        (b"add", "missing"),
        (b"add example.com", "missing"),
        (b"add example.com 70000", "bad-port"),
        (b"add example.com 0", "bad-port"),
        (b"add ex_ample.com 80", "bad-domain"),
        (b"add example.com 80 ttl=never", "bad-option"),
        (b"add example.com 80 pid=999999999", "bad-option"),
        (b"add example.com 80 colour=red", "bad-option"),
        (b"add example.com 80 host=10.0.0.5", "bad-option"),
        (b"add example.com 40608", "own-port"),
        (b"launch example.com", "unknown-command"),
        (b"remove never.example", "unknown-domain"),
        (b"ping pong", "unexpected"),
        (&[b'a'; 5000], "too-long"),
    ] {
        let reply = core.say(text);
        assert!(
            reply.starts_with(&format!("err {code}: ")),
            "{text:?}: {reply}"
        );
        assert!(!reply.contains('\n'), "{reply}");
    }
    for own in [own, core.control.port()] {
        let reply = core.say(format!("add circle.example {own}"));
        assert!(reply.starts_with("err own-port: "), "{reply}");
    }
    assert_eq!(core.say("ping"), "ok ping");
}

#[test]
fn a_name_moves_only_to_a_port_that_answers() {
    let (home, old) = (Folder::new("core"), saying("old"));
    let core = Core::start(&home);
    core.announce("shop.example", &old);
    let port = free_port();
    assert_eq!(
        core.say(format!("add shop.example {port}")),
        format!("ok add shop.example {port} waiting")
    );
    assert_eq!(core.ask("shop.example").1, "old", "nobody is cut off");
    let listed = core.say("list");
    let from = format!("shop.example {port} from={} ", old.address().port());
    assert!(listed.contains(&from), "{listed}");
    let (_, table) = core.command(&["list"]);
    assert!(table.contains(" waiting "), "{table}");
    let new = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = new.accept() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew");
        }
    });
    eventually("it moves once the port answers", || {
        core.ask("shop.example").1 == "new"
    });
}

#[test]
fn a_name_leaves_a_port_that_no_longer_answers() {
    let (home, old) = (Folder::new("core"), saying("old"));
    let core = Core::start(&home);
    core.announce("shop.example", &old);
    drop(old);
    let port = free_port();
    core.say(format!("add shop.example {port}"));
    eventually("the old port is given up", || {
        core.say("list").contains(&port.to_string()) && core.ask("shop.example").0 == 502
    });
}

#[test]
fn an_exchange_under_way_finishes_where_it_began() {
    let home = Folder::new("core");
    let old = Origin::start(|connection| {
        if connection.read_request().is_some() {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            // The rest comes when the test asks for it, over a second connection.
            connection.wait_for_close();
        }
    });
    let new = saying("new");
    let core = Core::start(&home);
    core.announce("stream.example", &old);
    let mut client = core.server.client();
    client.send("GET / HTTP/1.1\r\nHost: stream.example\r\n\r\n");
    client.read_head().unwrap();
    assert_eq!(client.read_some(5).unwrap(), b"first");
    core.announce("stream.example", &new);
    assert_eq!(core.ask("stream.example").1, "new");
    assert!(!client.is_closed(), "the old exchange goes on");
}

#[test]
fn a_check_is_asked_before_a_name_moves() {
    let (home, old) = (Folder::new("core"), saying("old"));
    let ready = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_ready = ready.clone();
    let new = Origin::each(move |request| {
        let up = is_ready.load(std::sync::atomic::Ordering::SeqCst);
        match request.head.start.contains("/up") && !up {
            true => respond(503, "text/plain", b"not yet"),
            false => respond(200, "text/plain", b"new"),
        }
    });
    let core = Core::start(&home);
    core.announce("checked.example", &old);
    let port = new.address().port();
    let reply = core.say(format!("add checked.example {port} check=/up"));
    assert_eq!(reply, format!("ok add checked.example {port} waiting"));
    assert_eq!(core.ask("checked.example").1, "old");
    ready.store(true, std::sync::atomic::Ordering::SeqCst);
    eventually("it moves", || core.ask("checked.example").1 == "new");
}

#[test]
fn a_lease_ends_unless_it_is_renewed() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    let port = origin.address().port();
    core.say(format!("add short.example {port} ttl=2s"));
    core.say(format!("add long.example {port} ttl=2s"));
    core.say(format!("add long.example {port} ttl=1h"));
    assert_eq!(core.ask("short.example").0, 200);
    eventually("it ends", || core.ask("short.example").0 == 404);
    assert_eq!(core.ask("long.example").0, 200);
    assert!(core.say("list").contains("long.example"));
}

#[test]
fn a_name_ends_with_its_process() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    let mut program = Command::new("sleep").arg("1000").spawn().unwrap();
    let port = origin.address().port();
    let text = format!("add program.example {port} pid={}", program.id());
    assert_eq!(core.say(text), format!("ok add program.example {port}"));
    assert_eq!(core.ask("program.example").0, 200);
    let gone = core.say(format!("add gone.example {port} pid=4194305"));
    assert!(gone.starts_with("err bad-option: pid"), "{gone}");
    program.kill().unwrap();
    // Its parent, which is this test, has not asked how it ended: it counts as gone all the same.
    eventually("it ends", || core.ask("program.example").0 == 404);
    program.wait().unwrap();
}

#[test]
fn wildcards_and_names_in_other_scripts() {
    let (home, one, other) = (Folder::new("core"), saying("wild"), saying("exact"));
    let core = Core::start(&home);
    core.announce("*.example.com", &one);
    core.announce("one.example.com", &other);
    assert_eq!(core.ask("any.thing.example.com").1, "wild");
    assert_eq!(core.ask("one.example.com").1, "exact");
    assert_eq!(core.ask("example.com").0, 404);
    let port = one.address().port();
    let reply = core.say(format!("add Bücher.example {port}"));
    assert_eq!(reply, format!("ok add xn--bcher-kva.example {port}"));
    assert_eq!(core.ask("xn--bcher-kva.example").0, 200);
}

#[test]
fn announcements_that_are_too_many_are_counted() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    // By TCP, since a datagram may be among those that are dropped.
    let dropped = || {
        let mut stream = TcpStream::connect(core.control).unwrap();
        stream.write_all(b"status\n").unwrap();
        let mut status = String::new();
        stream.read_to_string(&mut status).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("dropped="));
        line.and_then(|count| count.parse::<u32>().ok()).unwrap()
    };
    assert_eq!(dropped(), 0);
    // More than the system keeps for a process that does not read.
    core.server.signal(dream_testkit::Signal::STOP);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..50_000 {
        socket.send_to(b"junk", core.control).unwrap();
    }
    core.server.signal(dream_testkit::Signal::CONT);
    eventually("they are counted", || dropped() > 0);
}

#[test]
fn the_list_comes_in_pages() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let names: Vec<String> = (0..600)
        .map(|number| format!("name-{number:03}.example"))
        .collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for name in &names {
        socket
            .send_to(format!("add {name} 9").as_bytes(), core.control)
            .unwrap();
    }
    eventually("all are there", || {
        core.say("list").starts_with("ok list 600 ")
    });
    let mut seen = Vec::new();
    let mut command = "list".to_owned();
    loop {
        let reply = core.say(&command);
        let (first, page) = reply.split_once('\n').unwrap();
        seen.extend(
            page.lines()
                .map(|line| line.split(' ').next().unwrap().to_owned()),
        );
        match first.split_once("next=") {
            Some((_, next)) => command = format!("list after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, names);
}

/// The value of `key` in the line of `host`.
fn listed(core: &Core, host: &str, key: &str) -> Option<String> {
    let list = core.say("list");
    let line = list
        .lines()
        .find(|line| line.split(' ').next() == Some(host));
    let mut words = line.unwrap_or_else(|| panic!("{host}: {list}")).split(' ');
    words.find_map(|word| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
}

#[test]
fn what_a_name_was_asked_is_counted_once_and_for_itself() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let failing = Origin::each(|_| respond(503, "text/plain", b"no"));
    let core = Core::start(&home);
    // One target, and yet each name has its own counts.
    core.announce("a.example", &origin);
    core.announce("b.example", &origin);
    for _ in 0..5 {
        assert_eq!(core.ask("a.example").0, 200);
    }
    assert_eq!(core.ask("c.example").0, 404);
    // It is counted when the answer has left, which may be a moment after it has come.
    eventually("five are counted", || {
        listed(&core, "a.example", "requests").as_deref() == Some("5")
    });
    assert_eq!(listed(&core, "a.example", "failed").as_deref(), Some("0"));
    assert_eq!(listed(&core, "b.example", "requests").as_deref(), Some("0"));
    // The counts go on when the name moves, and when the configuration is read again.
    core.announce("a.example", &failing);
    core.server.signal(dream_testkit::Signal::HUP);
    assert_eq!(core.ask("a.example").0, 503);
    drop(failing);
    eventually("nobody answers", || core.ask("a.example").0 == 502);
    eventually("the failures are counted", || {
        let requests: u64 = listed(&core, "a.example", "requests")
            .unwrap()
            .parse()
            .unwrap();
        let failed: u64 = listed(&core, "a.example", "failed")
            .unwrap()
            .parse()
            .unwrap();
        requests >= 7 && failed == requests - 5
    });
    // A name that comes again begins anew.
    core.say("remove a.example");
    core.announce("a.example", &origin);
    assert_eq!(listed(&core, "a.example", "requests").as_deref(), Some("0"));
}

#[test]
fn the_list_tells_whether_the_port_answers() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    core.announce("up.example", &origin);
    core.say(format!("add down.example {}", free_port()));
    assert_eq!(listed(&core, "up.example", "health").as_deref(), Some("up"));
    assert_eq!(
        listed(&core, "down.example", "health").as_deref(),
        Some("down")
    );
    drop(origin);
    eventually("it is seen that nothing answers any more", || {
        listed(&core, "up.example", "health").as_deref() == Some("down")
    });
}

#[test]
fn the_age_of_a_name_outlives_moves_and_restarts() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let core = Core::start(&home);
    core.announce("old.example", &origin);
    let age = |core: &Core| {
        listed(core, "old.example", "age")
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    eventually("a second has passed", || age(&core) >= 1);
    core.announce("old.example", &origin);
    assert!(age(&core) >= 1, "said again, it is not younger");
    drop(core);
    let core = Core::start(&home);
    assert!(age(&core) >= 1, "it was remembered");
}

#[test]
fn the_commands_say_and_do_the_same() {
    let (home, origin) = (Folder::new("core"), saying("hello"));
    let mut core = Core::start(&home);
    let port = origin.address().port().to_string();
    let (code, text) = core.command(&["list"]);
    assert!(
        code == Some(0) && text.contains("nothing is announced"),
        "{text}"
    );
    let (code, text) = core.command(&["add", "cli.example", &port]);
    assert!(code == Some(0) && text.contains("cli.example"), "{text}");
    assert_eq!(core.ask("cli.example").0, 200);
    let (_, text) = core.command(&["list"]);
    assert!(
        text.contains("cli.example") && text.contains(&port),
        "{text}"
    );
    let (_, text) = core.command(&["list", "--json"]);
    let names: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(names[0]["domain"], "cli.example");
    assert_eq!(names[0]["health"], "up");
    assert!(names[0]["age"].is_u64() && names[0]["requests"].is_u64());
    let (_, text) = core.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&status["names"], &status["pid"]),
        (&1.into(), &core.server.id().into())
    );
    let (code, text) = core.command(&["add", "cli.example", "0"]);
    assert!(code == Some(2) && text.contains("bad-port"), "{text}");
    let (code, text) = core.command(&["remove", "cli.example"]);
    assert!(code == Some(0) && text.contains("no longer"), "{text}");
    let (code, _) = core.command(&["stop"]);
    assert_eq!(code, Some(0));
    assert!(
        core.server
            .wait(DEADLINE)
            .is_some_and(|status| status.success())
    );
    let (code, text) = core.command(&["list"]);
    assert!(
        code == Some(1) && text.contains("dreamserver core"),
        "{text}"
    );
}

#[test]
fn a_plain_server_beside_a_running_one_goes_on_without_announcements() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let control = core.control.to_string();
    let beside = Folder::new("beside");
    let server = Server::start_in(
        &binary(),
        beside.path(),
        &["--listen", "127.0.0.1:0", "--control", &control],
    );
    server.message(|line| line.contains("goes on without announcements"));
    assert_eq!(
        server
            .client()
            .ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .status,
        404
    );
    assert_eq!(core.say("ping"), "ok ping");
}

#[test]
fn a_second_core_says_that_there_is_one() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let control = core.control.to_string();
    let exit = Server::run(
        &binary(),
        home.path(),
        &["core", "--listen", "127.0.0.1:0", "--control", &control],
    );
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.contains(&control), "{exit}");
}

#[test]
fn a_name_reaches_another_machine_where_that_is_allowed() {
    let home = Folder::new("hosts");
    // Addresses of this machine other than those of `localhost` stand for other machines.
    let other = std::net::TcpListener::bind("127.0.0.3:0").unwrap();
    let port = other.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = other.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nfar");
        }
    });
    let core = Core::start(&home);
    let reply = core.say(format!("add far.example {port} host=127.0.0.3"));
    assert!(
        reply.starts_with("err bad-option: ") && reply.contains("control.hosts"),
        "{reply}"
    );
    drop(core);
    let core = Core::configured(&home, "[control]\nhosts = true\n");
    assert_eq!(
        core.say(format!("add far.example {port} host=127.0.0.3")),
        format!("ok add far.example {port}")
    );
    assert_eq!(core.ask("far.example"), (200, "far".into()));
    let list = core.say("list");
    assert!(list.contains(&format!("far.example {port} host=127.0.0.3")));
    let own = core.server.port();
    for (host, port, code) in [
        ("0.0.0.0", 80, "bad-option"),
        ("224.0.0.1", 80, "bad-option"),
        ("::", 80, "bad-option"),
        ("10.0.0.300", 80, "bad-option"),
        ("127.0.0.1", own, "own-port"),
        ("::ffff:127.0.0.1", own, "own-port"),
        ("::1", 40608, "own-port"),
    ] {
        let reply = core.say(format!("add bad.example {port} host={host}"));
        assert!(
            reply.starts_with(&format!("err {code}: ")),
            "{host}: {reply}"
        );
    }
}
