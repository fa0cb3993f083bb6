//! `dreamserver demo`: the small server for trying out clients.

use crate::peers::{WEBSOCKET_CLIENT, has, websockets_python};
use crate::start::{binary, get, get_with, run as run_program};
use crate::transcripts;
use dream_testkit::{Client, DEADLINE, Folder, Server};
use serde_json::Value;
use std::process::Command;
use std::time::Instant;

fn demo(folder: &Folder) -> Server {
    let arguments = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--directory",
        folder.text(),
    ];
    Server::start(&binary(), &arguments)
}

#[test]
fn it_does_what_the_guide_shows() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let address = server.address().to_string();
    transcripts::run(
        "## The toolbox",
        folder.path(),
        &[("127.0.0.1:4221", &address)],
    );
    let line = server.log_line(|line| line.contains("/user-agent"));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["agent"], "my-client/1.0");
    assert_eq!(line["status"], 200);
}

#[test]
fn connections_have_lines_of_their_own() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let mut client = server.client();
    let port = client.port();
    assert_eq!(client.ask(get("/")).status, 200);
    drop(client);
    let line = |state: &str| {
        let state = format!("\"state\":\"{state}\"");
        let wanted = |line: &str| line.contains(&state) && line.contains(&format!(":{port},"));
        serde_json::from_str::<Value>(&server.log_line(wanted)).unwrap()
    };
    let (opened, closed) = (line("opened"), line("closed"));
    assert_eq!(opened["event"], "CONNECTION");
    assert_eq!(opened["ip"], "127.0.0.1");
    assert_eq!(opened["port"], server.port());
    assert!(opened.get("lasted_ms").is_none() && closed["lasted_ms"].is_number());
}

#[test]
fn it_serves_the_folder_and_nothing_else() {
    let folder = Folder::new("demo");
    folder.write("note.txt", "hello");
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
    let server = demo(&folder);
    let mut client = server.client();
    assert_eq!(client.ask(get("/files/note.txt")).text(), "hello");
    for path in ["/files/none", "/files/out", "/none", "/"] {
        let status = if path == "/" { 200 } else { 404 };
        assert_eq!(client.ask(get(path)).status, status, "{path}");
    }
    for path in [
        "/files/../../etc/passwd",
        "/files/%2e%2e/%2e%2e/etc/passwd",
        "/files/..%2f..%2fetc%2fpasswd",
    ] {
        let answer = server.client().ask(get(path));
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
}

#[test]
fn what_is_posted_is_there_byte_by_byte_for_many_at_once() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let address = server.address();
    let clients: Vec<_> = (0..50_u8)
        .map(|number| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let content: Vec<u8> = (0..10_000 + usize::from(number))
                    .map(|at| at as u8 ^ number)
                    .collect();
                let post = format!(
                    "POST /files/{number}.bin HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                    content.len()
                );
                for _ in 0..2 {
                    client.send([post.as_bytes(), &content].concat());
                    assert_eq!(client.answer_to("POST").status, 201);
                    assert_eq!(
                        client.ask(get(&format!("/files/{number}.bin"))).body,
                        content
                    );
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let gzip = server
        .client()
        .ask(get_with("/files/1.bin", "Accept-Encoding: gzip\r\n"));
    assert_eq!(gzip.field("Content-Encoding"), Some("gzip"));
    let out = "POST /files/..%2fout HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert!(matches!(server.client().ask(out).status, 400 | 403 | 404));
    assert!(!folder.path().parent().unwrap().join("out").exists());
}

#[test]
fn a_folder_of_its_own_is_made_and_named() {
    let mut server = Server::start(&binary(), &["demo", "--listen", "127.0.0.1:0"]);
    let greeting = server.message(|line| line.contains("dreamserver-demo-"));
    let at = greeting.find("the folder ").unwrap() + "the folder ".len();
    let folder = greeting[at..].split(' ').next().unwrap().to_owned();
    std::fs::write(format!("{folder}/a.txt"), "a").unwrap();
    assert_eq!(server.client().ask(get("/files/a.txt")).text(), "a");
    server.signal(dream_testkit::Signal::TERM);
    assert!(server.wait(DEADLINE).is_some_and(|status| status.success()));
    std::fs::remove_dir_all(folder).unwrap();
    let home = Folder::new("home");
    let exit = run_program(home.path(), &["demo", "--directory", "nowhere"]);
    assert_eq!(exit.code, Some(1));
    assert!(exit.stderr.contains("mkdir -p nowhere"), "{}", exit.stderr);
}

#[test]
fn an_echo_is_the_rest_of_the_path_decoded() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let mut client = server.client();
    for (path, said) in [
        ("/echo/a%20b/c", "a b/c"),
        ("/echo/", ""),
        ("/echo/%3Cscript%3E", "<script>"),
        ("/echo/a+b", "a+b"),
    ] {
        let answer = client.ask(get(path));
        assert_eq!((answer.status, &*answer.text()), (200, said), "{path}");
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    }
    let bytes = client.ask(get("/echo/%ff"));
    assert_eq!(
        (&*bytes.body, bytes.field("Content-Type")),
        (&[0xff][..], Some("text/plain"))
    );
    let head = client.ask("HEAD /echo/hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.field("Content-Length"), Some("5"));
    let wrong = client.ask("POST /echo/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (wrong.status, wrong.field("Allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn what_cannot_be_had_is_refused_in_words() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    for (path, most) in [
        ("/status/199", "599"),
        ("/status/600", "599"),
        ("/status/ok", "599"),
        ("/delay/11", "10"),
        ("/delay/-1", "10"),
        ("/delay/nan", "10"),
        ("/delay/inf", "10"),
        ("/bytes/100000001", "100000000"),
        ("/bytes/-1", "100000000"),
        ("/stream/10001", "10000"),
        ("/drip?bytes=1001", "1000"),
        ("/drip?bytes=0", "1000"),
        ("/drip?duration=11", "10"),
        ("/sse?interval=1e9", "10"),
        ("/sse?count=99999999999999999999", "1000"),
    ] {
        let answer = server.client().ask(get(path));
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            answer.text().contains(&format!("to {most}")),
            "{path}: {}",
            answer.text()
        );
    }
}

#[test]
fn every_status_is_answered_and_the_connection_stays() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let mut client = server.client();
    for status in 200..=599 {
        let answer = client.ask(get(&format!("/status/{status}")));
        assert_eq!(answer.status, status);
    }
}

#[test]
fn a_large_body_is_measured_and_not_kept() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let before = server.rss();
    let mut client = server.client();
    let size = 20_000_000;
    client.send(format!(
        "POST /anything HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
    ));
    client.send(vec![b'x'; size]);
    let told: Value = serde_json::from_str(&client.answer().text()).unwrap();
    assert_eq!(told["body"]["bytes"], size);
    assert_eq!(told["body"].get("text"), None);
    assert!(server.peak_rss() < before + (8 << 20));
    let head = "POST /anything HTTP/1.1\r\nHost: a\r\nContent-Length: 100000001\r\n\r\n";
    assert_eq!(client.ask(head).status, 413);
}

#[test]
fn a_drip_takes_its_time_and_keeps_its_length() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let begun = Instant::now();
    let answer = server
        .client()
        .ask(get("/drip?bytes=3&duration=0.4&delay=0.2"));
    assert_eq!(
        (answer.field("Content-Length"), &*answer.text()),
        (Some("3"), "***")
    );
    assert!(begun.elapsed().as_millis() >= 600);
}

#[test]
fn a_websocket_sends_back_what_it_gets() {
    let folder = Folder::new("demo");
    let server = demo(&folder);
    let target = format!("ws://{}/ws", server.address());
    let python = websockets_python();
    if has(&python, &["-c", "import websockets.asyncio.client"]) {
        let ran = Command::new(&python)
            .args(["-c", WEBSOCKET_CLIENT, &target])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(said.trim(), "closed 1000", "{complaint}");
    }
    let plain = server.client().ask(get("/ws"));
    assert_eq!(
        (plain.status, plain.field("Upgrade")),
        (426, Some("websocket"))
    );
    let old = server.client().ask(get_with("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n"));
    assert_eq!(old.status, 426);
}
