//! `Upgrade`: a tunnel after the endpoint's 101, and nothing before it.

use std::sync::mpsc;

use dream_testkit::{Client, Connection, DEADLINE, Origin, Server, eventually, respond};

use crate::start::{configured, get, get_with, proxy, site_before};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An endpoint that agrees, and then runs `talk`.
fn agreeing(talk: impl Fn(&mut Connection) + Send + Sync + 'static) -> Origin {
    Origin::start(move |connection| {
        if connection.read_request().is_some() && connection.write(AGREE) {
            talk(connection);
        }
    })
}

#[track_caller]
fn upgraded(server: &Server) -> Client {
    let mut client = server.client();
    client.send(ASK);
    let answer = client.read_response("GET").unwrap();
    assert_eq!(answer.status, 101);
    assert!(
        answer.head.lists("Connection", "upgrade") && answer.head.lists("Upgrade", "websocket")
    );
    assert_eq!(
        answer.field("Sec-WebSocket-Accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    client
}

#[test]
fn bytes_go_both_ways_after_the_101() {
    let origin = agreeing(|connection| {
        loop {
            let bytes = connection.read_some(1);
            if bytes.is_empty() || !connection.write(&bytes) {
                return;
            }
        }
    });
    let server = proxy(&origin);
    let mut client = upgraded(&server);
    for text in ["ping", "\0\u{1}\u{2}", "GET / HTTP/1.1\r\n\r\n"] {
        client.send(text);
        assert_eq!(client.read_some(text.len()).unwrap(), text.as_bytes());
    }
    let got = origin.last();
    assert!(got.head.lists("Connection", "upgrade") && got.head.lists("Upgrade", "websocket"));
    assert!(got.head.has("X-Forwarded-For"));
}

#[test]
fn bytes_with_the_101_are_part_of_the_tunnel() {
    let origin = Origin::start(|connection| {
        connection.read_request();
        connection.write(format!("{AGREE}first words"));
        connection.wait_for_close();
    });
    let server = proxy(&origin);
    let mut client = upgraded(&server);
    assert_eq!(client.read_some(11).unwrap(), b"first words");
}

#[test]
fn a_half_close_is_kept() {
    let origin = agreeing(|connection| {
        let said = connection.read_to_end();
        connection.write([b"you said ", said.as_slice()].concat());
    });
    let server = proxy(&origin);
    let mut client = upgraded(&server);
    client.send("all of it");
    client.half_close();
    assert_eq!(client.read_to_end(), b"you said all of it");
    let origin = agreeing(|connection| {
        connection.write("bye");
        connection.half_close();
        connection.read_to_end();
    });
    let server = proxy(&origin);
    let mut client = upgraded(&server);
    assert_eq!(client.read_to_end(), b"bye");
    client.send("one more thing");
    client.half_close();
    eventually("the last words arrive", || {
        origin
            .received()
            .iter()
            .any(|bytes| bytes.ends_with(b"one more thing"))
    });
}

#[test]
fn nothing_of_the_client_goes_up_before_the_101() {
    // CVE-2026-2833: bytes after `Upgrade` were forwarded although the endpoint might refuse, and became its next request.
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::start(move |connection| {
        connection.read_request();
        let _ = released.lock().unwrap().recv_timeout(DEADLINE);
        connection.write(respond(200, "text/plain", b"no upgrade"));
        connection.read_request();
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(format!("{ASK}{}", get("/smuggled")));
    eventually("the request arrives", || origin.requests().len() == 1);
    let first = origin.received()[0].clone();
    assert!(!String::from_utf8_lossy(&first).contains("smuggled"));
    release.send(()).unwrap();
    assert_eq!(client.answer().text(), "no upgrade");
    for request in origin.requests() {
        // As a request of its own, with all that we add, it may go; as raw bytes it may not.
        assert!(request.target != "/smuggled" || request.head.has("Via"));
    }
}

#[test]
fn early_bytes_of_the_client_follow_the_101() {
    let origin = agreeing(|connection| {
        let bytes = connection.read_some(5);
        connection.write(bytes);
        connection.wait_for_close();
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(format!("{ASK}early"));
    assert_eq!(client.read_response("GET").unwrap().status, 101);
    assert_eq!(client.read_some(5).unwrap(), b"early");
}

#[test]
fn other_upgrades_are_dropped() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    for fields in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: totally-made-up/1.0\r\n",
    ] {
        let answer = server.client().ask(get_with("/", fields));
        assert_eq!(answer.status, 200, "{fields}");
        let got = origin.last();
        assert!(!got.head.has("HTTP2-Settings"), "{fields}");
        assert!(!got.head.lists("Upgrade", "h2c"), "{fields}");
        assert!(
            !got.head.lists("Upgrade", "totally-made-up/1.0"),
            "{fields}"
        );
    }
    let http_1_0 = ASK.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(server.client().ask(http_1_0).status, 200);
    assert!(!origin.last().head.has("Upgrade"));
}

#[test]
fn a_refused_upgrade_is_an_answer() {
    let origin = Origin::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let server = proxy(&origin);
    let mut client = server.client();
    let answer = client.ask(ASK);
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(client.ask(get("/")).status, 403);
}

#[test]
fn a_silent_tunnel_ends() {
    let origin = agreeing(Connection::wait_for_close);
    let server = configured(&site_before(&origin, "[timeouts]\ntunnel = \"300ms\"\n")).server;
    let mut client = upgraded(&server);
    assert!(client.closes_within(DEADLINE));
}

#[test]
fn a_client_that_goes_away_ends_the_tunnel() {
    let origin = agreeing(Connection::wait_for_close);
    let server = proxy(&origin);
    upgraded(&server).reset();
    eventually("the endpoint's connection is closed", || {
        origin.open_connections() == 0
    });
}
