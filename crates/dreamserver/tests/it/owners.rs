//! Names belong to the users whose programs listen: nobody else moves them, removes them, or ends the server.
//!
//! Users are told apart by the sockets that they opened. Root can give a socket of the tests to any user, so one process is
//! enough for all of them. Without root there are no strangers: then these tests hold that our own user may do all of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::fchown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dream_testkit::{DEADLINE, Folder, eventually, free_port};
use rustix::process::{Signal, geteuid};

use crate::announce::Core;

/// Two users who need no account: the kernel knows numbers only.
const ALICE: u32 = 54_001;
const BOB: u32 = 54_002;

const CONFIG: &str = "[control]\nowners = true\nhosts = true\n";

/// Are there strangers? Said once for each test that would need them.
fn strangers() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("not root: only what our own user may do is tried, and no stranger");
    }
    root
}

/// Gives a socket to a user.
fn give(socket: &impl AsFd, user: u32) {
    if geteuid().is_root() {
        fchown(socket, Some(user), None).unwrap();
    }
}

/// The number that a user has in this run.
fn number(user: u32) -> u32 {
    match geteuid().is_root() {
        true => user,
        false => geteuid().as_raw(),
    }
}

/// A program of a user: says the same to everybody.
struct Program {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    listener: TcpListener,
}

impl Program {
    #[track_caller]
    fn start(user: u32, text: &'static str) -> Program {
        Program::at(user, "127.0.0.1:0", text)
    }

    #[track_caller]
    fn at(user: u32, address: &str, text: &'static str) -> Program {
        let listener = TcpListener::bind(address).unwrap();
        give(&listener, user);
        let accepting = listener.try_clone().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = connections.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = accepting.accept() {
                seen.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                let _ = write!(stream, "{head} {}\r\n\r\n{text}", text.len());
            }
        });
        Program {
            address: listener.local_addr().unwrap(),
            connections,
            listener,
        }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// It ends, and nobody listens there any more.
impl Drop for Program {
    fn drop(&mut self) {
        let _ = socket2::SockRef::from(&self.listener).shutdown(std::net::Shutdown::Both);
    }
}

/// What a user says by UDP; the socket stays open until the reply is there.
#[track_caller]
pub(crate) fn say_as(core: &Core, user: u32, text: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    give(&socket, user);
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(core.control).unwrap();
    socket.send(text.as_bytes()).unwrap();
    let mut reply = [0; 65536];
    let len = socket.recv(&mut reply).unwrap();
    String::from_utf8(reply[..len].to_vec()).unwrap()
}

/// What a user says by TCP.
#[track_caller]
fn say_by_tcp(core: &Core, user: u32, text: &str) -> String {
    let mut stream = TcpStream::connect(core.control).unwrap();
    give(&stream, user);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    writeln!(stream, "{text}").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply.trim_end().to_owned()
}

#[track_caller]
fn add(core: &Core, name: &str, program: &Program) {
    let port = program.port();
    let reply = core.say(format!("add {name} {port}"));
    assert_eq!(reply, format!("ok add {name} {port}"));
}

#[track_caller]
fn refused(reply: &str) {
    assert!(reply.starts_with("err not-owner: "), "{reply}");
    assert!(!reply.contains('\n'), "{reply}");
}

/// The line of the list that is about a name.
fn line(core: &Core, name: &str) -> Option<String> {
    let list = core.say("list");
    let mut lines = list.lines().skip(1);
    lines
        .find(|line| line.starts_with(&format!("{name} ")))
        .map(str::to_owned)
}

#[track_caller]
fn assert_owner(core: &Core, name: &str, user: u32) {
    let line = line(core, name).unwrap();
    let owner = format!("owner={}", number(user));
    assert!(line.split(' ').any(|word| word == owner), "{line}");
}

#[test]
fn a_name_moves_to_ports_of_its_owner_and_of_root_only() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let (first, second) = (
        Program::start(ALICE, "first"),
        Program::start(ALICE, "second"),
    );
    let (stranger, root) = (Program::start(BOB, "stranger"), Program::start(0, "root"));
    add(&core, "shop.example", &first);
    assert_owner(&core, "shop.example", ALICE);
    if strangers() {
        for _ in 0..2 {
            let reply = core.say(format!("add shop.example {}", stranger.port()));
            refused(&reply);
            assert!(reply.contains("belongs to user 54001"), "{reply}");
            assert_eq!(core.ask("shop.example").1, "first");
        }
    }
    for (program, text) in [(&second, "second"), (&root, "root"), (&first, "first")] {
        add(&core, "shop.example", program);
        assert_eq!(core.ask("shop.example").1, text);
        assert_owner(&core, "shop.example", ALICE);
    }
    // The same once more is what most programs do at each start.
    add(&core, "shop.example", &first);
}

#[test]
fn only_the_owner_and_root_remove_a_name() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let program = Program::start(ALICE, "hello");
    let remove = "remove shop.example";
    for user in [ALICE, 0] {
        for say in [say_as, say_by_tcp] {
            add(&core, "shop.example", &program);
            if strangers() {
                for say in [say_as, say_by_tcp] {
                    let reply = say(&core, BOB, remove);
                    refused(&reply);
                    assert!(reply.contains("user 54001") && reply.contains("user 54002"));
                }
                assert_eq!(core.ask("shop.example").0, 200);
            }
            assert_eq!(say(&core, user, remove), format!("ok {remove}"));
            assert_eq!(
                core.say(remove),
                "err unknown-domain: shop.example was not announced"
            );
        }
    }
}

#[test]
fn a_socket_that_is_closed_proves_nothing() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let program = Program::start(ALICE, "hello");
    add(&core, "shop.example", &program);
    // The server reads it when the sender is gone, and the sentence goes to the next who has the address.
    core.server.signal(Signal::STOP);
    let address = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        give(&socket, ALICE);
        socket
            .send_to(b"remove shop.example", core.control)
            .unwrap();
        socket.local_addr().unwrap()
    };
    core.server.signal(Signal::CONT);
    eventually("it is refused", || {
        core.say("status").contains("\nrefused=1\n")
    });
    assert!(line(&core, "shop.example").is_some(), "from {address}");
}

#[test]
fn only_root_ends_the_server_by_a_command() {
    let home = Folder::new("owners");
    let mut core = Core::configured(&home, CONFIG);
    if strangers() {
        for say in [say_as, say_by_tcp] {
            refused(&say(&core, BOB, "shutdown"));
        }
        for free in ["ping", "status", "list"] {
            assert!(say_as(&core, BOB, free).starts_with("ok "), "{free}");
        }
    }
    assert_eq!(say_as(&core, 0, "shutdown"), "ok shutdown");
    let status = core.server.wait(DEADLINE);
    assert!(status.is_some_and(|status| status.success()));
}

#[test]
fn the_owner_outlives_the_process() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let (program, stranger) = (Program::start(ALICE, "hers"), Program::start(BOB, "his"));
    add(&core, "shop.example", &program);
    // Dropping it is SIGKILL.
    drop(core);
    let core = Core::configured(&home, CONFIG);
    assert_owner(&core, "shop.example", ALICE);
    if strangers() {
        refused(&core.say(format!("add shop.example {}", stranger.port())));
        refused(&say_as(&core, BOB, "remove shop.example"));
    }
    assert_eq!(core.ask("shop.example").1, "hers");
}

#[test]
fn whoever_listens_first_is_the_owner() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let port = free_port();
    let waiting = format!("add shop.example {port}");
    assert_eq!(core.say(&waiting), format!("ok {waiting} waiting"));
    assert!(!line(&core, "shop.example").unwrap().contains("owner="));
    // Nobody has it yet, so it may go to anybody …
    let stranger = Program::start(BOB, "his");
    add(&core, "shop.example", &stranger);
    assert_owner(&core, "shop.example", BOB);
    assert!(say_as(&core, BOB, "remove shop.example").starts_with("ok "));
    // … and one that waits belongs to the first who is there, without a further word.
    core.say(&waiting);
    let program = Program::at(ALICE, &format!("127.0.0.1:{port}"), "hers");
    eventually("it has an owner", || {
        line(&core, "shop.example").is_some_and(|line| line.contains(" owner="))
    });
    drop(core);
    let core = Core::configured(&home, CONFIG);
    assert_owner(&core, "shop.example", ALICE);
    assert_eq!(
        (core.ask("shop.example").1, program.port()),
        ("hers".into(), port)
    );
}

#[test]
fn a_name_on_its_way_arrives_only_where_its_owner_listens() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let old = Program::start(ALICE, "old");
    add(&core, "shop.example", &old);
    let port = free_port();
    let moving = format!("add shop.example {port}");
    assert_eq!(core.say(&moving), format!("ok {moving} waiting"));
    // A restart does not make it arrive either.
    drop(core);
    let core = Core::configured(&home, CONFIG);
    assert_eq!(core.ask("shop.example").1, "old");
    let new = format!("127.0.0.1:{port}");
    if strangers() {
        let stranger = Program::at(BOB, &new, "stolen");
        eventually("it was looked twice whether somebody is there", || {
            stranger.connections() >= 2
        });
        assert_eq!(core.ask("shop.example").1, "old");
        drop(old);
        // That nobody answers at the old port does not help the stranger.
        let seen = stranger.connections();
        eventually("it was looked twice more", || {
            stranger.connections() >= seen + 2
        });
        assert_eq!(core.ask("shop.example").0, 502);
    }
    let program = eventually_at(ALICE, &new, "new");
    eventually("it arrives", || core.ask("shop.example").1 == "new");
    assert_owner(&core, "shop.example", ALICE);
    drop(program);
}

/// A program at an address that another one had a moment ago.
fn eventually_at(user: u32, address: &str, text: &'static str) -> Program {
    eventually("the address is free", || TcpListener::bind(address).is_ok());
    Program::at(user, address, text)
}

#[test]
fn a_port_that_goes_to_another_user_keeps_its_names_and_gets_no_more() {
    if !strangers() {
        return;
    }
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let program = Program::start(ALICE, "hers");
    let address = program.address.to_string();
    add(&core, "shop.example", &program);
    drop(program);
    let stranger = eventually_at(BOB, &address, "his");
    // Requests are not checked: that would cost each of them a question to the kernel.
    assert_eq!(core.ask("shop.example").1, "his");
    refused(&core.say(format!("add shop.example {}", stranger.port())));
    assert_owner(&core, "shop.example", ALICE);
}

#[test]
fn a_port_of_two_users_is_nobodys() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let four = Program::start(ALICE, "four");
    // Without IPv6 there is no second user either.
    let Ok(six) = TcpListener::bind(("::1", four.port())) else {
        add(&core, "shop.example", &four);
        return;
    };
    if strangers() {
        give(&six, BOB);
        let reply = core.say(format!("add shop.example {}", four.port()));
        refused(&reply);
        assert!(
            reply.contains("127.0.0.1") && reply.contains("::1"),
            "{reply}"
        );
    }
    drop(six);
    add(&core, "shop.example", &four);
}

#[test]
fn a_wildcard_of_another_user_takes_no_name_away() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let (exact, wild) = (Program::start(ALICE, "exact"), Program::start(BOB, "wild"));
    add(&core, "a.example.com", &exact);
    add(&core, "*.example.com", &wild);
    assert_owner(&core, "*.example.com", BOB);
    assert_eq!(core.ask("a.example.com").1, "exact");
    assert_eq!(core.ask("b.example.com").1, "wild");
}

#[test]
fn a_stranger_does_not_have_a_name_end_sooner() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let program = Program::start(ALICE, "hers");
    let port = program.port();
    add(&core, "shop.example", &program);
    let short = format!("add shop.example {port} ttl=1s");
    let pid = format!("add shop.example {port} pid={}", std::process::id());
    if strangers() {
        refused(&say_as(&core, BOB, &short));
        refused(&say_as(&core, BOB, &pid));
    }
    let long = format!("add shop.example {port} ttl=1h");
    assert!(say_as(&core, ALICE, &long).starts_with("ok "));
    if strangers() {
        refused(&say_as(&core, BOB, &short));
        // To renew it is what any sender may do, without its socket being looked at.
        assert!(say_as(&core, BOB, &long).starts_with("ok "));
    }
    assert!(say_by_tcp(&core, ALICE, &short).starts_with("ok "));
    eventually("it ends", || core.ask("shop.example").0 == 404);
}

#[test]
fn only_root_has_a_name_reach_another_machine() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let far = Program::at(ALICE, "127.0.0.3:0", "far");
    let port = far.port();
    let text = format!("add far.example {port} host=127.0.0.3");
    if strangers() {
        refused(&say_as(&core, BOB, &text));
        refused(&say_by_tcp(&core, BOB, &text));
    }
    assert_eq!(
        say_as(&core, 0, &text),
        format!("ok add far.example {port}")
    );
    assert_owner(&core, "far.example", 0);
    assert_eq!(core.ask("far.example").1, "far");
    if strangers() {
        let stranger = Program::start(BOB, "his");
        refused(&core.say(format!("add far.example {}", stranger.port())));
    }
}

#[test]
fn names_of_a_server_that_asked_nobody_get_their_owners() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, "");
    let program = Program::start(ALICE, "hers");
    add(&core, "shop.example", &program);
    assert!(!line(&core, "shop.example").unwrap().contains("owner"));
    if strangers() {
        assert!(say_as(&core, BOB, "remove shop.example").starts_with("ok "));
        add(&core, "shop.example", &program);
    }
    drop(core);
    let core = Core::configured(&home, CONFIG);
    eventually("it has an owner", || {
        line(&core, "shop.example").is_some_and(|line| line.contains(" owner="))
    });
    assert_owner(&core, "shop.example", ALICE);
}

#[test]
fn ten_thousand_tries_leave_nothing_behind() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let (program, stranger) = (Program::start(ALICE, "hers"), Program::start(BOB, "his"));
    add(&core, "shop.example", &program);
    let kept = || -> u64 {
        let files = std::fs::read_dir(home.join("state")).unwrap();
        let journals = files
            .map(Result::unwrap)
            .filter(|file| file.file_name().to_string_lossy().contains("journal"));
        journals.map(|file| file.metadata().unwrap().len()).sum()
    };
    assert!(kept() > 0, "there is a journal");
    let before = (kept(), core.server.descriptors());
    let memory = core.server.rss();
    // To a port of a stranger, and of nobody: the one is refused, the other may wait once and no more often.
    let text = match strangers() {
        true => format!("add shop.example {}", stranger.port()),
        false => format!("add shop.example {} ttl=never", program.port()),
    };
    let begun = Instant::now();
    for _ in 0..10_000 {
        say_quickly(&core, &text);
    }
    eprintln!("10,000 tries took {:?}", begun.elapsed());
    assert_eq!((kept(), core.server.descriptors()), before);
    let grown = core.server.rss().saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more");
    assert_eq!(core.ask("shop.example").1, "hers");
    assert_owner(&core, "shop.example", ALICE);
}

/// Says it on one socket, so that a test of many is short.
#[track_caller]
fn say_quickly(core: &Core, text: &str) {
    thread_local! {
        static SOCKET: UdpSocket = UdpSocket::bind("127.0.0.1:0").unwrap();
    }
    SOCKET.with(|socket| {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.send_to(text.as_bytes(), core.control).unwrap();
        let mut reply = [0; 2000];
        let len = socket.recv(&mut reply).unwrap();
        assert!(reply[..len].starts_with(b"err "), "{:?}", &reply[..len]);
    });
}

#[test]
fn a_name_that_is_sent_to_nobody_again_and_again_is_waited_for_once() {
    let home = Folder::new("owners");
    let core = Core::configured(&home, CONFIG);
    let program = Program::start(ALICE, "hers");
    add(&core, "shop.example", &program);
    let port = free_port();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = format!("add shop.example {port}");
    let memory = core.server.rss();
    for _ in 0..2000 {
        socket.send_to(text.as_bytes(), core.control).unwrap();
    }
    // Each waits for a second at most; when this one has, the others have too.
    core.say(&text);
    let grown = core.server.rss().saturating_sub(memory);
    assert!(grown < 16 << 20, "{grown} bytes more");
    let address = format!("127.0.0.1:{port}");
    if strangers() {
        let stranger = Program::at(BOB, &address, "stolen");
        eventually("it is looked at", || stranger.connections() >= 1);
        let begun = Instant::now();
        eventually("it is looked at again", || stranger.connections() >= 4);
        // One look a second, where two thousand would be at once.
        assert!(begun.elapsed() > Duration::from_millis(1500));
    }
    assert_eq!(core.ask("shop.example").1, "hers");
    let _new = eventually_at(ALICE, &address, "new");
    eventually("it moves", || core.ask("shop.example").1 == "new");
}
