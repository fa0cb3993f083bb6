//! A second server takes over from the first, and nobody who is connected or connects notices.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use dream_testkit::{
    Client, Connection, DEADLINE, Folder, Origin, Server, Signal, eventually, pattern, respond,
};

use crate::announce::{Core, saying};
use crate::start::binary;

#[test]
fn a_second_core_goes_on_where_the_first_is() {
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let mut first = Core::start(&home);
    first.announce("example.com", &origin);
    first.announce("*.example.com", &origin);
    let mut idle = first.server.client();
    assert_eq!(idle.ask(get("example.com")).text(), "hello");
    let second = Core::start(&home);
    assert_eq!(second.server.address(), first.server.address());
    assert_eq!(second.control, first.control);
    assert_eq!(second.ask("example.com"), (200, "hello".into()));
    assert_eq!(second.ask("www.example.com"), (200, "hello".into()));
    assert!(second.say("status").contains("names=2"));
    let last = idle.ask(get("example.com"));
    assert_eq!(last.text(), "hello", "who is connected stays");
    assert!(last.says_close());
    let status = first.server.wait(DEADLINE).expect("it ends by itself");
    assert_eq!(status.code(), Some(0));
    second.announce("later.example", &origin);
    assert_eq!(second.ask("later.example").0, 200);
}

#[test]
fn without_arguments_it_listens_where_the_first_did() {
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let first = Core::start(&home);
    first.announce("example.com", &origin);
    let second = Core::run(&home, &binary(), &["core", "--control", "127.0.0.1:0"]);
    assert_eq!(second.server.address(), first.server.address());
    assert_eq!(second.ask("example.com").0, 200);
}

#[test]
fn a_switch_goes_on() {
    let (home, old) = (Folder::new("take-over"), saying("old"));
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = ready.clone();
    let new = Origin::each(move |_| match is_ready.load(Ordering::SeqCst) {
        true => respond(200, "text/plain", b"new"),
        false => respond(503, "text/plain", b"not yet"),
    });
    let first = Core::start(&home);
    first.announce("moving.example", &old);
    let reply = first.say(format!(
        "add moving.example {} check=/up",
        new.address().port()
    ));
    assert!(reply.ends_with("waiting"), "{reply}");
    let second = Core::start(&home);
    assert_eq!(second.ask("moving.example").1, "old");
    ready.store(true, Ordering::SeqCst);
    eventually("it moves", || second.ask("moving.example").1 == "new");
}

/// `DREAM_TAKEOVERS=100` makes it 100 in a row.
#[test]
fn take_overs_under_load_lose_nothing() {
    let count = std::env::var("DREAM_TAKEOVERS").map_or(5, |count| count.parse().unwrap());
    let home = Folder::new("take-over");
    let (hello, bodies, chat) = (saying("hello"), Origin::start(bodies), Origin::tunnel());
    let mut core = Core::start(&home);
    core.announce("hello.example", &hello);
    core.announce("bodies.example", &bodies);
    core.announce("chat.example", &chat);
    let load = Load {
        address: core.server.address(),
        control: core.control,
        over: AtomicBool::new(false),
        rounds: Default::default(),
    };
    let mut old = Vec::new();
    thread::scope(|scope| {
        let threads = load.start(scope);
        let _ended = Ended(&load.over);
        let failed = || threads.iter().any(ScopedJoinHandle::is_finished);
        for number in 0..count {
            let before = load.counts();
            eventually("each kind of load is under way", || {
                let now = load.counts();
                failed() || before.iter().zip(now).all(|(before, now)| now > *before)
            });
            let next = Core::start(&home);
            old.push(std::mem::replace(&mut core, next));
            assert!(!failed(), "lost something in take-over {number}");
        }
    });
    for (number, core) in old.iter_mut().enumerate() {
        let status = core.server.wait(DEADLINE);
        let status = status.unwrap_or_else(|| panic!("server {number} does not end"));
        assert_eq!(status.code(), Some(0), "server {number}");
    }
    let announced = load.counts()[5];
    let status = core.say("status");
    let names = format!("names={}\n", announced + 3);
    assert!(
        status.contains(&names),
        "each acknowledged name is there: {status}"
    );
}

/// Ends the load, also when the test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Clients of each kind. Whatever goes wrong for one of them ends the test.
struct Load {
    address: std::net::SocketAddr,
    control: std::net::SocketAddr,
    over: AtomicBool,
    /// So often each of them has succeeded.
    rounds: [AtomicUsize; 6],
}

/// Bytes of the long transfers, which go on while servers change.
const LONG: usize = 4 << 20;
/// They are sent in pieces of this length, with a pause between.
const PIECE: usize = 64 << 10;

impl Load {
    fn counts(&self) -> [usize; 6] {
        std::array::from_fn(|number| self.rounds[number].load(Ordering::Relaxed))
    }

    /// Each kind of client in a thread of its own, again and again.
    fn start<'a>(&'a self, scope: &'a Scope<'a, '_>) -> Vec<ScopedJoinHandle<'a, ()>> {
        let kinds: [fn(&Load); 6] = [
            Load::connect,
            Load::keep_alive,
            Load::download,
            Load::upload,
            Load::talk,
            Load::announce,
        ];
        let start = |(number, kind): (usize, fn(&Load))| {
            scope.spawn(move || {
                while !self.over.load(Ordering::Relaxed) {
                    kind(self);
                    self.rounds[number].fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        kinds.into_iter().enumerate().map(start).collect()
    }

    fn connect(&self) {
        let mut client = Client::connect(self.address);
        let answer =
            client.ask("GET / HTTP/1.1\r\nHost: hello.example\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.text(), "hello");
    }

    /// Until the server says that it closes.
    fn keep_alive(&self) {
        let mut client = Client::connect(self.address);
        for number in 0..1000 {
            let answer = client.ask(get("hello.example"));
            assert_eq!(answer.text(), "hello", "request {number} of a connection");
            if answer.says_close() {
                break;
            }
        }
    }

    fn download(&self) {
        let mut client = Client::connect(self.address);
        let answer = client.ask(get("bodies.example"));
        assert!(answer.body == whole(), "a download");
    }

    fn upload(&self) {
        let mut client = Client::connect(self.address);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: bodies.example\r\nContent-Length: {LONG}\r\n\r\n"
        ));
        for piece in whole().chunks(PIECE) {
            client.send(piece);
        }
        assert_eq!(client.answer_to("POST").text(), "received");
    }

    fn talk(&self) {
        let mut client = Client::connect(self.address);
        client.send("GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(client.read_response("GET").unwrap().status, 101);
        for _ in 0..1000 {
            client.send("word");
            assert_eq!(client.read_some(4).unwrap(), b"word");
        }
    }

    fn announce(&self) {
        let number = self.rounds[5].load(Ordering::Relaxed);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let add = format!("add name-{number}.example 9");
        socket.send_to(add.as_bytes(), self.control).unwrap();
        let mut reply = [0; 1024];
        let len = socket.recv(&mut reply).expect("a reply");
        let reply = String::from_utf8_lossy(&reply[..len]);
        assert!(reply.starts_with("ok add"), "{reply}");
    }
}

/// The body of the long transfers.
fn whole() -> Vec<u8> {
    let mut bytes = vec![0; LONG];
    pattern(0, &mut bytes);
    bytes
}

/// Gives and takes long bodies.
fn bodies(connection: &mut Connection) {
    while let Some((head, _)) = connection.read_head() {
        if head.start.starts_with("POST") {
            let mut received: Vec<u8> = Vec::new();
            let all = connection.take_exactly(LONG as u64, |piece| received.extend(piece));
            assert!(all.is_some() && received == whole(), "an upload");
            connection.write(respond(200, "text/plain", b"received"));
        } else {
            connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n"));
            for piece in whole().chunks(PIECE) {
                connection.write(piece);
            }
        }
    }
}

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Whoever wants to take over and is gone after a step leaves everything as it was.
#[test]
fn a_taker_that_dies_at_any_step_changes_nothing() {
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let core = Core::start(&home);
    let steps = [
        "dreamserver takes over, versions 1 to 1, program 9, serves core",
        "give",
        "ready",
    ];
    let mut names = 0;
    for taken in 0..=steps.len() {
        for last in [None, Some("no time"), Some("nonsense")] {
            let mut taker = Taker::new(&home);
            for step in &steps[..taken] {
                taker.say(step);
            }
            if let Some(last) = last {
                writeln!(taker.0.get_mut(), "{last}").unwrap();
            }
            drop(taker);
            names += 1;
            core.announce(&format!("name-{names}.example"), &origin);
            let host = format!("name-{names}.example");
            assert_eq!(core.ask(&host), (200, "hello".into()), "{taken} {last:?}");
        }
    }
    let status = core.say("status");
    assert!(status.contains(&format!("names={names}\n")), "{status}");
    // And a real one can still take over.
    assert_eq!(Core::start(&home).ask("name-1.example").0, 200);
}

/// A taker by hand.
struct Taker(BufReader<UnixStream>);

impl Taker {
    fn new(home: &Folder) -> Taker {
        let door = home.join("state/take-over.sock");
        eventually("there is a door", || door.exists());
        let stream = UnixStream::connect(door).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Taker(BufReader::new(stream))
    }

    /// Says a line; gives the last line of the answer. Descriptors that come with it are closed by the kernel.
    fn say(&mut self, line: &str) -> String {
        writeln!(self.0.get_mut(), "{line}").unwrap();
        loop {
            let mut answer = String::new();
            let end = self.0.read_line(&mut answer).unwrap() == 0;
            let more = ["lock", "socket"];
            if end || !more.iter().any(|start| answer.starts_with(start)) {
                return answer;
            }
        }
    }
}

#[test]
fn versions_are_agreed_upon() {
    let home = Folder::new("take-over");
    let core = Core::start(&home);
    let say = |versions: &str| {
        let hello = format!("dreamserver takes over, versions {versions}, program 9, serves core");
        Taker::new(&home).say(&hello)
    };
    for (versions, agreed) in [("1 to 7", 2), ("2 to 2", 2), ("1 to 1", 1)] {
        let hello = format!("dreamserver hands over, version {agreed}, ");
        assert!(say(versions).starts_with(&hello), "{versions}");
    }
    let refused = say("3 to 7");
    assert_eq!(
        refused,
        "no its take-over has the versions 3 to 7, ours 1 to 2\n"
    );
    assert!(core.say("ping").starts_with("ok"));
}

/// The new one cannot listen where it is to, or its arguments are wrong, or it is killed: the old one says so, and goes on.
#[test]
fn a_taker_that_fails_says_why() {
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let core = Core::start(&home);
    core.announce("example.com", &origin);
    let state = home.join("state");
    let common = [
        "--control",
        "127.0.0.1:0",
        "--state",
        state.to_str().unwrap(),
    ];
    let start = |more: &[&str]| {
        let arguments = [&["core"], more, &common].concat();
        Server::run(&binary(), home.path(), &arguments)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let exit = start(&["--listen", &address]);
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.contains("is taken by"), "{}", exit.stderr);
    let reason = core.server.message(|line| line.contains("goes on"));
    assert!(reason.contains("is taken by"), "{reason}");
    assert_eq!(start(&["--listen", "nowhere"]).code, Some(2));
    assert_eq!(core.ask("example.com").0, 200);
    core.announce("later.example", &origin);
    assert_eq!(core.ask("later.example").0, 200);
}

/// `DREAM_TAKEOVERS=100` makes it 100 in a row.
#[test]
fn takers_and_givers_that_are_killed_lose_nothing() {
    let count = std::env::var("DREAM_TAKEOVERS").map_or(10, |count| count.parse().unwrap());
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let mut core = Core::start(&home);
    let state = home.join("state");
    let (address, control) = (core.server.address().to_string(), core.control.to_string());
    for number in 0..count {
        core.announce(&format!("name-{number}.example"), &origin);
        let mut taker = Command::new(binary())
            .args([
                "core",
                "--listen",
                &address,
                "--control",
                &control,
                "--state",
            ])
            .arg(&state)
            .current_dir(home.path())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in the take-over, which takes about 20 ms.
        thread::sleep(Duration::from_millis(3 * (number as u64 % 10)));
        taker.kill().unwrap();
        taker.wait().unwrap();
        // If it had taken over already, its place is empty now.
        if core.server.wait(Duration::from_millis(500)).is_some() {
            core = Core::start_at(&home, &address, &control);
        }
        eventually("all names are there", || {
            core.say("list")
                .starts_with(&format!("ok list {}", number + 1))
        });
        assert_eq!(core.ask(&format!("name-{number}.example")).0, 200);
    }
}

/// The giver is gone when the taker has everything: the taker goes on alone.
#[test]
fn a_giver_that_dies_is_not_missed() {
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let first = Core::start(&home);
    first.announce("example.com", &origin);
    let (address, control) = (
        first.server.address().to_string(),
        first.control.to_string(),
    );
    let mut second = None;
    let (begun, has_begun) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            begun.send(()).unwrap();
            second = Some(Core::start_at(&home, &address, &control));
        });
        has_begun.recv().unwrap();
        first.server.signal(Signal::KILL);
    });
    assert_eq!(second.unwrap().ask("example.com"), (200, "hello".into()));
}

/// As one that is told to end and has not given way: by now it has only the time for that, but it has it.
#[test]
fn a_giver_that_is_told_to_end_finishes_what_it_has() {
    let home = Folder::new("take-over");
    let (more, is_more) = mpsc::channel();
    let is_more = Mutex::new(is_more);
    let origin = Origin::start(move |connection| {
        // Who only looks whether the port accepts asks for nothing.
        if connection.read_head().is_some() {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            is_more.lock().unwrap().recv().unwrap();
            connection.write(" last");
        }
    });
    let mut first = Core::start(&home);
    first.announce("example.com", &origin);
    let (mut client, mut idle) = (first.server.client(), first.server.client());
    client.send(get("example.com"));
    assert_eq!(client.read_head().unwrap().status().unwrap(), 200);
    idle.ask(get("nobody.example"));
    let _second = Core::start(&home);
    first.server.message(|line| line.contains("has taken over"));
    first.server.signal(Signal::TERM);
    first
        .server
        .message(|line| line.contains("a second signal ends at once"));
    assert!(
        idle.closes_within(DEADLINE),
        "who asks for nothing is sent away"
    );
    more.send(()).unwrap();
    assert_eq!(client.read_some(10).unwrap(), b"first last");
    let status = first.server.wait(DEADLINE).expect("it ends by itself");
    assert_eq!(status.code(), Some(0));
}

/// A program that knows no take-over holds the port for announcements; it ends when it hears `shutdown`.
#[test]
fn another_program_at_the_port_is_told_to_end() {
    let home = Folder::new("take-over");
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let (control, by_tcp) = both();
    let (listen, at) = (http.local_addr().unwrap(), control.local_addr().unwrap());
    let other = thread::spawn(move || {
        let mut datagram = [0; 100];
        loop {
            let len = control.recv(&mut datagram).unwrap();
            if &datagram[..len] == b"shutdown" {
                drop((http, control, by_tcp));
                return;
            }
        }
    });
    let core = Core::start_at(&home, &listen.to_string(), &at.to_string());
    other.join().unwrap();
    assert_eq!(core.control, at);
    assert_eq!(core.ask("example.com").0, 404);
}

/// A port that nobody else has, neither for UDP nor for TCP.
fn both() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

#[test]
fn a_server_with_another_state_is_no_stranger() {
    let (home, other) = (Folder::new("take-over"), Folder::new("take-over"));
    let core = Core::start(&home);
    let control = core.control.to_string();
    let state = other.join("state");
    let state = ["--state", state.to_str().unwrap()];
    let arguments = ["core", "--listen", "127.0.0.1:0", "--control", &control];
    let exit = Server::run(&binary(), other.path(), &[&arguments[..], &state].concat());
    assert_eq!(exit.code, Some(1));
    assert!(
        exit.stderr.contains("is a dreamserver running already?"),
        "{}",
        exit.stderr
    );
    assert!(core.say("ping").starts_with("ok"));
}

#[test]
fn a_server_with_sites_is_taken_over_by_run_only() {
    let home = Folder::new("take-over");
    let config = "[sites.\"site.example\"]\nrespond = \"site\"\n";
    let first = Core::configured(&home, config);
    assert_eq!(first.ask("site.example").1, "site");
    let state = home.join("state");
    let start = |command: &[&str]| {
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
            "--state",
        ];
        let state = [state.to_str().unwrap()];
        Server::run(
            &binary(),
            home.path(),
            &[command, &arguments, &state].concat(),
        )
    };
    let exit = start(&["core"]);
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.contains("run --take-over"), "{}", exit.stderr);
    home.write(
        "dreamserver.toml",
        config.replace("= \"site\"", "= \"new\""),
    );
    let second = Core::start_as(&home, &["run", "--take-over"]);
    assert_eq!(second.server.address(), first.server.address());
    assert_eq!(second.ask("site.example").1, "new");
}

#[test]
fn the_path_of_the_state_may_be_long() {
    let (home, origin) = (Folder::new(&"long".repeat(40)), saying("hello"));
    let first = Core::start(&home);
    first.announce("example.com", &origin);
    assert_eq!(Core::start(&home).ask("example.com").0, 200);
}

/// With fewer cores than the first had, each of its sockets is served.
#[test]
#[cfg(target_os = "linux")]
fn every_socket_is_served_by_fewer_cores() {
    let (home, origin) = (Folder::new("take-over"), saying("hello"));
    let first = Core::start(&home);
    first.announce("example.com", &origin);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cpu: String = allowed
        .unwrap()
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let arguments = [
        "-c",
        &cpu,
        &binary(),
        "core",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
    ];
    let second = Core::run(&home, "taskset", &arguments);
    assert_eq!(second.server.address(), first.server.address());
    // The kernel chooses one of the first's sockets for each connection.
    for _ in 0..50 {
        assert_eq!(second.ask("example.com"), (200, "hello".into()));
    }
}
