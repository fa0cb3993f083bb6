//! What systemd and its like pass to a service, and what they want to be told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::thread;

use dream_testkit::{DEADLINE, Exit, Folder, Server, eventually, free_port};
use rustix::process::Signal;

use crate::peers::has;
use crate::start::binary;

/// Opens the sockets that its first argument names and becomes the program of the others, as a service manager does;
/// `CONTROL` among them is the address of the `control` sockets.
const PASS: &str = r#"
import fcntl, os, socket, sys
opened, control = [], ""
for name in sys.argv[1].split():
    kind = name.split("-")[0]
    if kind == "both":
        opened.append((name, socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)))
    elif kind == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("unix.sock")
        listener.listen()
        opened.append((name, listener))
    elif kind == "pair":
        opened.append((name, socket.socketpair()[0]))
    elif kind == "connection":
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append((name, socket.create_connection(listener.getsockname())))
        peer, _ = listener.accept()
        peer.set_inheritable(True)
    else:
        tcp = socket.create_server(("127.0.0.1", 0))
        opened.append((name, tcp))
        if kind == "control":
            control = "127.0.0.1:%d" % tcp.getsockname()[1]
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.bind(tcp.getsockname())
            opened.append((name, udp))
for name, passed in opened:
    if passed.family != socket.AF_UNIX:
        print("passed", name, passed.getsockname()[1], file=sys.stderr, flush=True)
aside = [fcntl.fcntl(passed.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for _, passed in opened]
for number, passed in enumerate(aside):
    os.dup2(passed, 3 + number)
os.environ["LISTEN_PID"] = os.environ.get("FOR", str(os.getpid()))
os.environ["LISTEN_FDS"] = str(len(opened))
os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in opened)
program = [argument.replace("CONTROL", control) for argument in sys.argv[2:]]
os.execv(program[0], program)
"#;

const STATE: [&str; 2] = ["--state", "state"];

fn arguments<'a>(binary: &'a str, sockets: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let start = ["-c", PASS, sockets, binary];
    [&start, more, &STATE].concat()
}

/// Passes sockets to a server.
#[track_caller]
fn start_with(home: &Folder, sockets: &str, more: &[&str]) -> Server {
    Server::start_in("python3", home.path(), &arguments(&binary(), sockets, more))
}

#[track_caller]
fn run_with(home: &Folder, sockets: &str, more: &[&str]) -> Exit {
    Server::run("python3", home.path(), &arguments(&binary(), sockets, more))
}

/// The port of the socket that was passed under this name.
#[track_caller]
fn port(server: &Server, name: &str) -> u16 {
    let line = server.message(|line| line.starts_with(&format!("passed {name} ")));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn python() -> bool {
    has("python3", &["--version"])
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

#[test]
fn a_core_listens_where_systemd_does_and_hears_announcements_there() {
    if !python() {
        return;
    }
    let home = Folder::new("systemd");
    let server = start_with(&home, "web control more", &["core", "--control", "CONTROL"]);
    for name in ["web", "more"] {
        let address = SocketAddr::from(([127, 0, 0, 1], port(&server, name)));
        for _ in 0..20 {
            let answer = dream_testkit::Client::connect(address).ask(GET);
            assert_eq!(answer.status, 404);
        }
    }
    assert_eq!(server.port(), port(&server, "web"));
    let control = SocketAddr::from(([127, 0, 0, 1], port(&server, "control")));
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.set_read_timeout(Some(DEADLINE)).unwrap();
    sender.send_to(b"ping", control).unwrap();
    let mut reply = [0; 100];
    let len = sender.recv(&mut reply).unwrap();
    assert_eq!(&reply[..len], b"ok ping");
    let mut line = TcpStream::connect(control).unwrap();
    line.write_all(b"ping\n").unwrap();
    let mut reply = String::new();
    line.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "ok ping\n");
    // It was free to be shared, and is no longer: nobody else may hear what is announced.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    other.set_reuse_address(true).unwrap();
    assert!(other.bind(&control.into()).is_err());
}

#[test]
fn one_socket_for_both_families_is_enough() {
    // A machine without IPv6 has no such socket.
    if !python() || std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let home = Folder::new("systemd");
    let server = start_with(&home, "both", &["core", "--control", "127.0.0.1:0"]);
    server.message(|line| line.contains(&format!("at http://localhost:{}/", server.port())));
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), server.port());
        assert_eq!(dream_testkit::Client::connect(address).ask(GET).status, 404);
    }
}

#[test]
fn what_is_not_in_the_configuration_is_closed() {
    if !python() {
        return;
    }
    let home = Folder::new("systemd");
    let server = start_with(&home, "web", &["files", "--listen", "127.0.0.1:0"]);
    // Port 0 is whichever there is.
    assert_eq!(server.port(), port(&server, "web"));
    let elsewhere = format!("localhost:{}", free_port());
    let server = start_with(&home, "web", &["files", "--listen", &elsewhere]);
    server.message(|line| line.contains("not in its configuration"));
    let address = SocketAddr::from(([127, 0, 0, 1], port(&server, "web")));
    eventually("it is closed", || TcpStream::connect(address).is_err());
    assert_eq!(server.client().ask(GET).status, 404);
}

#[test]
fn what_is_no_listening_socket_is_refused_by_name() {
    if !python() {
        return;
    }
    for (sockets, reason) in [
        (
            "web unix",
            "descriptor 4 (unix), which is no TCP or UDP socket",
        ),
        ("pair", "descriptor 3 (pair), which is no TCP or UDP socket"),
        (
            "connection",
            "descriptor 3 (connection), which is a connection",
        ),
    ] {
        let home = Folder::new("systemd");
        let exit = run_with(&home, sockets, &["core", "--control", "off"]);
        assert_eq!(exit.code, Some(1), "{exit}");
        assert!(exit.stderr.contains(reason), "{exit}");
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    if !python() {
        return;
    }
    let home = Folder::new("systemd");
    let binary = binary();
    let mut line = vec!["FOR=1", "python3"];
    line.extend(arguments(
        &binary,
        "web",
        &["core", "--listen", "127.0.0.1:0", "--control", "off"],
    ));
    let server = Server::start_in("env", home.path(), &line);
    assert_ne!(server.port(), port(&server, "web"));
}

#[test]
fn systemds_own_activation() {
    const ACTIVATE: &str = "systemd-socket-activate";
    if !has(ACTIVATE, &["--version"]) {
        return;
    }
    let home = Folder::new("systemd");
    let (binary, listen) = (binary(), format!("127.0.0.1:{}", free_port()));
    let start = [
        "--listen",
        &listen,
        &binary,
        "core",
        "--control",
        "127.0.0.1:0",
    ];
    let address: SocketAddr = listen.parse().unwrap();
    // The server is started by the first connection, which waits for it.
    let first = thread::spawn(move || {
        let mut client = None;
        eventually("it listens", || {
            client = TcpStream::connect(address).ok();
            client.is_some()
        });
        let mut client = client.unwrap();
        client.write_all(GET.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    let server = Server::start_in(ACTIVATE, home.path(), &[&start[..], &STATE].concat());
    assert_eq!(server.address(), address);
    assert!(first.join().unwrap().starts_with("HTTP/1.1 404 "));
}

/// Where a service manager listens, and the variable that says so.
fn manager(home: &Folder) -> (UnixDatagram, String) {
    let path = home.join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    (socket, format!("NOTIFY_SOCKET={}", path.display()))
}

/// What the server tells, until it tells `last`.
fn told(socket: &UnixDatagram, last: &str) -> String {
    let mut all = String::new();
    while !all.contains(last) {
        let mut notice = [0; 4096];
        let len = socket.recv(&mut notice).unwrap();
        all.push_str(std::str::from_utf8(&notice[..len]).unwrap());
    }
    all
}

#[test]
fn the_service_manager_is_told_when_it_serves_reloads_and_ends() {
    let home = Folder::new("systemd");
    let (socket, variable) = manager(&home);
    let binary = binary();
    let mut server = Server::start_in(
        "env",
        home.path(),
        &[&variable, &binary, "files", "--listen", "127.0.0.1:0"],
    );
    let ready = told(&socket, "STATUS=");
    assert!(ready.starts_with("READY=1\nSTATUS=dreamserver "), "{ready}");
    assert!(ready.contains(&server.port().to_string()), "{ready}");
    server.signal(Signal::HUP);
    let reload = told(&socket, "READY=1");
    assert!(
        reload.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reload}"
    );
    server.signal(Signal::TERM);
    assert!(told(&socket, "STOPPING=1").contains("STATUS=finishes"));
    assert!(server.wait(DEADLINE).is_some_and(|status| status.success()));
}

#[test]
fn the_service_manager_is_told_who_has_taken_over() {
    let home = Folder::new("systemd");
    let (socket, variable) = manager(&home);
    let (binary, core) = (binary(), ["core", "--control", "127.0.0.1:0"]);
    let mut line = [&[&*variable, &binary], &core[..], &STATE].concat();
    line.extend(["--listen", "127.0.0.1:0"]);
    let mut first = Server::start_in("env", home.path(), &line);
    told(&socket, "READY=1");
    let second = Server::start_in(&binary, home.path(), &[&core[..], &STATE].concat());
    let successor = format!("MAINPID={}\n", second.id());
    assert!(told(&socket, "MAINPID=").ends_with(&successor));
    assert!(first.wait(DEADLINE).is_some_and(|status| status.success()));
}

#[cfg(target_os = "linux")]
#[test]
fn the_service_manager_may_listen_at_a_name_that_is_no_file() {
    use std::os::linux::net::SocketAddrExt;
    let home = Folder::new("systemd");
    let name = format!("dreamserver-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let variable = format!("NOTIFY_SOCKET=@{name}");
    let binary = binary();
    let _server = Server::start_in(
        "env",
        home.path(),
        &[&variable, &binary, "files", "--listen", "127.0.0.1:0"],
    );
    assert!(told(&socket, "READY=1").starts_with("READY=1\n"));
}

#[test]
fn nobody_who_listens_there_is_no_reason_not_to_serve() {
    let home = Folder::new("systemd");
    let binary = binary();
    let server = Server::start_in(
        "env",
        home.path(),
        &[
            "NOTIFY_SOCKET=/nowhere/at/all",
            &binary,
            "files",
            "--listen",
            "127.0.0.1:0",
        ],
    );
    server.message(|line| line.contains("service manager cannot be told"));
    assert_eq!(server.client().ask(GET).status, 404);
}
