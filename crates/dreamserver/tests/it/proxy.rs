//! The reverse proxy: what it changes in heads, what it never changes in bodies, and what it does when
//! endpoints are slow, dead or many.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dream_testkit::{
    Body, Checksum, Client, DEADLINE, Folder, Origin, ReadError, Request, Server, eventually,
    free_port, pattern, poll_until, respond,
};

use crate::start::{configured, get, get_with, post, proxy, proxy_to, site_before};

/// What an endpoint gets of a `GET` with `fields`.
#[track_caller]
fn forwarded(fields: &str) -> Request {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    assert_eq!(server.client().ask(get_with("/x?y=z", fields)).status, 200);
    origin.last()
}

/// What a client gets of an endpoint's answer.
#[track_caller]
fn returned(raw: &str) -> dream_testkit::Response {
    let origin = Origin::answering(raw);
    let server = proxy(&origin);
    server.client().ask(get("/"))
}

#[test]
fn a_request_goes_through_as_it_is() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    let request = "POST /a/B%20c?d=%2F&e HTTP/1.1\r\nHOST: Example.COM:81\r\ncOOkie: a=b; c=d\r\nX-Twice: 1\r\n\
                   X-Twice: 2\r\nX-Latin: \u{e9}\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello";
    let bytes = dream_testkit::latin1_bytes(request);
    server.client().send(bytes);
    eventually("the request arrives", || origin.requests().len() == 1);
    let got = origin.last();
    assert_eq!(
        (got.method.as_str(), got.target.as_str()),
        ("POST", "/a/B%20c?d=%2F&e")
    );
    assert_eq!(got.head.all("Host"), ["Example.COM:81"]);
    assert_eq!(got.head.all("X-Twice"), ["1", "2"]);
    assert_eq!(got.field("Cookie"), Some("a=b; c=d"));
    assert_eq!(got.field("X-Latin"), Some("\u{e9}"));
    assert_eq!(got.field("X-Empty"), Some(""));
    assert_eq!(got.body, b"hello");
}

#[test]
fn hop_by_hop_fields_end_here() {
    let got = forwarded(
        "Connection: keep-alive, X-Hop , TE\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
         Proxy-Authorization: Basic x\r\nTE: trailers, gzip\r\nTrailer: X\r\nAlt-Svc: h3\r\nX-Stays: 1\r\n",
    );
    let names = [
        "X-Hop",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Trailer",
        "Alt-Svc",
        "Upgrade",
    ];
    for name in names {
        assert!(!got.head.has(name), "{name} goes through: {:?}", got.head);
    }
    assert!(!got.head.lists("TE", "gzip"));
    assert_eq!(got.field("X-Stays"), Some("1"));
}

#[test]
fn hop_by_hop_fields_of_responses_end_here() {
    let answer = returned(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nAlt-Svc: h3=\":443\"\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n",
    );
    for name in [
        "X-Hop",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Upgrade",
        "Alt-Svc",
    ] {
        assert!(
            !answer.head.has(name),
            "{name} goes through: {:?}",
            answer.head
        );
    }
    assert_eq!(answer.field("X-Stays"), Some("1"));
}

#[test]
fn a_connection_field_cannot_remove_what_matters() {
    let got = forwarded(
        "Connection: close, Host, X-Forwarded-For, X-Real-IP, X-Request-Id, Via\r\nX-Request-Id: a\r\n",
    );
    assert_eq!(got.head.all("Host"), ["localhost"]);
    assert_eq!(got.field("X-Forwarded-For"), Some("127.0.0.1"));
    assert!(got.head.has("X-Request-Id"));
}

#[test]
fn forwarding_fields_of_a_stranger_are_overwritten() {
    let got = forwarded(
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
         X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: mine\r\n",
    );
    assert_eq!(got.head.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(got.head.all("X-Forwarded-Proto"), ["http"]);
    assert_eq!(got.head.all("X-Forwarded-Host"), ["localhost"]);
    assert_eq!(got.head.all("X-Real-IP"), ["127.0.0.1"]);
    assert_eq!(got.head.all("X-Forwarded-Port").len(), 1);
    assert_ne!(got.field("X-Forwarded-Port"), Some("1"));
    let forwarded = got.field("Forwarded").expect("a Forwarded field");
    assert!(
        forwarded.contains("for=127.0.0.1") && !forwarded.contains("6.6.6.6"),
        "{forwarded}"
    );
    assert_ne!(got.field("X-Request-Id"), Some("mine"));
}

#[test]
fn a_trusted_proxy_is_believed() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let config = site_before(&origin, "[listen]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let server = configured(&config).server;
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine-1\r\n";
    let answer = server.client().ask(get_with("/", fields));
    assert_eq!(answer.field("X-Request-Id"), Some("mine-1"));
    let got = origin.last();
    assert_eq!(
        got.head.all("X-Forwarded-For").join(", "),
        "6.6.6.6, 127.0.0.1"
    );
    assert_eq!(got.head.all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(got.field("X-Real-IP"), Some("6.6.6.6"));
    assert_eq!(got.field("X-Request-Id"), Some("mine-1"));
    server
        .client()
        .ask(get_with("/", "X-Request-Id: not|a|plain|id\r\n"));
    assert_ne!(origin.last().field("X-Request-Id"), Some("not|a|plain|id"));
}

#[test]
fn underscore_names_and_proxy_are_dropped() {
    let got = forwarded(
        "X_Forwarded_For: 6.6.6.6\r\nContent_Length: 9\r\nProxy: http://evil\r\nX-Fine: 1\r\n",
    );
    assert!(!got.head.has("Proxy"));
    assert!(
        !got.head.fields.iter().any(|(name, _)| name.contains('_')),
        "{:?}",
        got.head
    );
    assert!(got.head.has("X-Fine"));
}

#[test]
fn via_and_request_id_are_there_both_ways() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nServer: theirs\r\nContent-Length: 0\r\n\r\n");
    let server = proxy(&origin);
    let answer = server.client().ask(get("/"));
    let got = origin.last();
    assert!(got.head.lists("Via", "1.1 dreamserver"), "{:?}", got.head);
    assert!(
        answer.head.lists("Via", "1.1 dreamserver"),
        "{:?}",
        answer.head
    );
    assert_eq!(got.field("X-Request-Id"), answer.field("X-Request-Id"));
    let id = answer.field("X-Request-Id").expect("a request id");
    assert_eq!(
        (id.len(), id.as_bytes()[14]),
        (36, b'7'),
        "a UUID of version 7: {id}"
    );
    assert_eq!(answer.head.all("Server"), ["theirs"]);
    assert!(answer.head.has("Date"));
}

#[test]
fn early_hints_go_through() {
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    let hints = client.read_response("GET").unwrap();
    assert_eq!(
        (hints.status, hints.field("Link")),
        (103, Some("</style.css>"))
    );
    assert_eq!(client.read_response("GET").unwrap().text(), "ok");
    // RFC 9110 §15.2: never to a client of HTTP/1.0.
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.read_response("GET").unwrap().status, 200);
}

#[test]
fn chunks_and_trailers_go_both_ways() {
    let origin = Origin::start(|connection| {
        while let Some(request) = connection.read_request() {
            let trailer = request
                .trailers
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let trailer: Vec<String> = trailer.collect();
            let text = String::from_utf8_lossy(&request.body).into_owned();
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\nX-Sum: back\r\nX-Got: {}\r\n\r\n",
                text.len(),
                trailer.join(";")
            ));
        }
    });
    let server = proxy(&origin);
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.ask(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n1;ext=\"a b\"\r\n!\r\n0\r\nX-Sum: there\r\n\r\n",
        );
        assert_eq!(
            (answer.text().as_str(), answer.framing),
            ("hello!", Body::Chunked)
        );
        assert_eq!(
            answer.trailers[0],
            ("X-Sum".to_string(), "back".to_string())
        );
        assert_eq!(answer.trailers[1].1, "X-Sum=there");
    }
}

#[test]
fn trailers_cannot_bring_what_heads_may_not() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    let answer = server.client().ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: evil\r\nContent-Length: 5\r\n\
         Transfer-Encoding: gzip\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nConnection: close\r\nX-Real-IP: 6.6.6.6\r\n\r\n",
    );
    if answer.status == 200 {
        let trailers = origin.last().trailers;
        let bad = |name: &str| {
            trailers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        for name in [
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "Forwarded",
            "Connection",
            "X-Real-IP",
        ] {
            assert!(!bad(name), "{name} in {trailers:?}");
        }
    } else {
        assert_eq!(answer.status, 400);
    }
}

#[test]
fn a_response_until_close_is_given_with_its_end() {
    let origin = Origin::script(&[b"HTTP/1.1 200 OK\r\n\r\nuntil the end"]);
    let server = proxy(&origin);
    let mut client = server.client();
    assert_eq!(client.ask(get("/")).text(), "until the end");
    let origin = Origin::script(&[b"HTTP/1.0 200 OK\r\n\r\nold"]);
    let server = proxy(&origin);
    assert_eq!(server.client().ask(get("/")).text(), "old");
}

#[test]
fn bodies_stream_while_they_come() {
    let (turn, wait) = (Arc::new(AtomicUsize::new(0)), Duration::from_secs(10));
    let turns = Arc::clone(&turn);
    let origin = Origin::start(move |connection| {
        connection.read_head();
        connection.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..5 {
            connection.write("6\r\ndata\n\n\r\n");
            poll_until(wait, || {
                (turns.load(Ordering::SeqCst) > number).then_some(())
            });
        }
        connection.write("0\r\n\r\n");
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    let head = client.read_head().unwrap();
    let mut seen = 0;
    // Each event must arrive before the endpoint sends the next.
    let count = |bytes: &[u8]| {
        seen += bytes.len();
        turn.store(seen / 6, Ordering::SeqCst);
    };
    client
        .read_body(head.response_body("GET").unwrap(), count)
        .unwrap();
    assert_eq!(seen, 30);
}

/// The size of a big body: 64 MiB, or 2 GiB where `DREAM_LARGE=1`.
fn large() -> u64 {
    if std::env::var("DREAM_LARGE").is_ok_and(|value| value == "1") {
        2 << 30
    } else {
        64 << 20
    }
}

/// Sends `length` bytes of the pattern through `write`; gives their checksum.
fn send_pattern(length: u64, mut write: impl FnMut(&[u8]) -> bool) -> Checksum {
    let mut sum = Checksum::new();
    // A megabyte of the pattern over and over: making new bytes costs more than sending them.
    let mut block = vec![0; 1 << 20];
    pattern(0, &mut block);
    while sum.length() < length {
        let now = (length - sum.length()).min(block.len() as u64) as usize;
        sum.update(&block[..now]);
        if !write(&block[..now]) {
            break;
        }
        block.rotate_left(1);
    }
    sum
}

#[test]
fn a_large_download_keeps_memory_flat() {
    let length = large();
    let sent = Arc::new(Mutex::new(None));
    let result = Arc::clone(&sent);
    let origin = Origin::start(move |connection| {
        connection.read_request();
        connection.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        let sum = send_pattern(length, |block| connection.write(block));
        *result.lock().unwrap() = Some(sum);
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    let head = client.read_head().unwrap();
    let mut got = Checksum::new();
    client
        .read_body(head.response_body("GET").unwrap(), |bytes| {
            got.update(bytes)
        })
        .unwrap();
    eventually("the endpoint is done", || sent.lock().unwrap().is_some());
    assert_eq!(Some(got), *sent.lock().unwrap());
    assert_eq!(got.length(), length);
    assert_flat(&server);
}

#[test]
fn a_large_upload_keeps_memory_flat() {
    for framing in [Body::Length(large()), Body::Chunked] {
        let got = Arc::new(Mutex::new(Checksum::new()));
        let sum = Arc::clone(&got);
        let origin = Origin::start(move |connection| take_upload(connection, &sum));
        let server = proxy(&origin);
        let sent = upload(&mut server.client(), framing, large());
        assert_eq!(sent, *got.lock().unwrap());
        assert_flat(&server);
    }
}

fn upload(client: &mut Client, framing: Body, length: u64) -> Checksum {
    let sum = match framing {
        Body::Chunked => {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let sum = send_pattern(length, |block| {
                client.send(format!("{:x}\r\n", block.len()));
                client.send(block);
                client.send("\r\n");
                true
            });
            client.send("0\r\n\r\n");
            sum
        }
        _ => {
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
            ));
            send_pattern(length, |block| client.try_send(block).is_ok())
        }
    };
    assert_eq!(client.answer_to("POST").status, 200);
    sum
}

/// Reads an upload's content, chunked or not, without keeping it.
fn take_upload(connection: &mut dream_testkit::Connection, sum: &Mutex<Checksum>) {
    let Some((head, _)) = connection.read_head() else {
        return;
    };
    let mut add = |bytes: &[u8]| sum.lock().unwrap().update(bytes);
    match head.framing(Body::Length(0)) {
        Ok(Body::Length(length)) => drop(connection.take_exactly(length, &mut add)),
        _ => while connection.take_chunk(&mut add).is_some_and(|size| size > 0) {},
    }
    connection.write(respond(200, "text/plain", b"ok"));
}

#[track_caller]
fn assert_flat(server: &Server) {
    let (now, peak) = (server.rss() >> 20, server.peak_rss() >> 20);
    assert!(peak < 64, "{now} MiB of memory now, {peak} MiB at the most");
}

#[test]
fn a_slow_reader_stops_the_endpoint() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let origin = Origin::start(move |connection| {
        connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let block = vec![b'x'; 65536];
        loop {
            match connection.write_within(&block, Duration::from_secs(1)) {
                0 => return,
                some => count.fetch_add(some, Ordering::SeqCst),
            };
        }
    });
    let server = proxy(&origin);
    let mut client = Client::connect_narrow(server.address());
    client.send(get("/"));
    client.read_head().unwrap();
    // The endpoint ends when it could not write for a second: it was stopped, far from its gigabyte.
    let mut last = 0;
    let stalled = poll_until(DEADLINE, || {
        let now = written.load(Ordering::SeqCst);
        let same = now == last && now > 0;
        last = now;
        thread::sleep(Duration::from_millis(300));
        same.then_some(now)
    });
    let stalled = stalled.expect("the endpoint's writes stall");
    assert!(
        stalled < 64 << 20,
        "{stalled} bytes were taken for a client that reads none"
    );
    assert_flat(&server);
}

#[test]
fn a_slow_endpoint_stops_the_upload() {
    let origin = Origin::start(|connection| {
        connection.read_head();
        // Reads nothing more, until the client has gone.
        connection.wait_for_cut();
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n");
    let stream = client.stream();
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut sent: u64 = 0;
    let block = vec![b'x'; 65536];
    while let Ok(now) = std::io::Write::write(&mut &stream, &block) {
        sent += now as u64;
        assert!(sent < 256 << 20, "the upload never stops");
    }
    assert_flat(&server);
    origin.cut_connections();
}

#[test]
fn a_client_that_goes_away_cancels_its_request() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&gone);
    let origin = Origin::start(move |connection| {
        connection.read_request();
        connection.wait_for_close();
        flag.store(true, Ordering::SeqCst);
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    eventually("the request arrives", || origin.requests().len() == 1);
    client.reset();
    eventually("the endpoint's connection is closed", || {
        gone.load(Ordering::SeqCst)
    });
}

#[test]
fn connections_to_the_endpoint_are_reused() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    let mut client = server.client();
    for _ in 0..100 {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn connections_are_reused_after_large_bodies_both_ways() {
    let large = vec![b'x'; 1_000_000];
    let origin = Origin::answering(respond(200, "text/plain", &large));
    let server = proxy(&origin);
    let mut client = server.client();
    for _ in 0..5 {
        assert_eq!(client.ask(get("/")).body.len(), large.len());
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        let answer = client.ask([head.as_bytes(), &large].concat());
        assert_eq!(answer.body.len(), large.len());
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_dead_reused_connection_is_tried_again_silently() {
    // Answers one request a connection, then waits for the second one and closes without an answer.
    let origin = Origin::start(|connection| {
        if connection.read_request().is_some() {
            connection.write(respond(200, "text/plain", b"ok"));
            connection.read_head();
        }
    });
    let server = proxy(&origin);
    let mut client = server.client();
    for _ in 0..10 {
        assert_eq!(client.ask(get("/")).status, 200);
    }
}

#[test]
fn a_post_is_not_sent_twice() {
    let origin = Origin::start(|connection| {
        if connection.number == 0 && connection.read_request().is_some() {
            connection.write(respond(200, "text/plain", b"ok"));
        }
        connection.read_request();
    });
    let server = proxy(&origin);
    let mut client = server.client();
    assert_eq!(client.ask(get("/")).status, 200);
    let answer = client.ask(post("/pay", "money"));
    assert_eq!(answer.status, 502);
    let paid = origin
        .requests()
        .iter()
        .filter(|request| request.target == "/pay")
        .count();
    assert_eq!(paid, 1);
}

#[test]
fn an_idle_connection_that_the_endpoint_closed_is_not_used() {
    let origin = Origin::start(|connection| {
        while connection.read_request().is_some() {
            connection.write(respond(200, "text/plain", b"ok"));
        }
    });
    let server = proxy(&origin);
    let mut client = server.client();
    for _ in 0..10 {
        assert_eq!(client.ask(post("/", "x")).status, 200);
        origin.cut_connections();
    }
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn the_next_endpoint_is_tried_on_a_connect_error() {
    let origin = Origin::answering(respond(200, "text/plain", b"alive"));
    let dead = format!("http://127.0.0.1:{}", free_port());
    let server = proxy_to(&[&dead, &origin.url()]);
    let mut client = server.client();
    for _ in 0..10 {
        assert_eq!(client.ask(post("/", "body")).text(), "alive");
    }
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn endpoints_take_turns() {
    let origins: Vec<Origin> = (0..3)
        .map(|n| Origin::answering(respond(200, "text/plain", &[b'0' + n])))
        .collect();
    let urls: Vec<String> = origins.iter().map(Origin::url).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let server = proxy_to(&urls);
    let mut client = server.client();
    for _ in 0..30 {
        client.ask(get("/"));
    }
    // One connection lives on one core, whose turns are even.
    for origin in &origins {
        assert_eq!(origin.requests().len(), 10);
    }
}

#[test]
fn a_dead_endpoint_gives_a_page_with_the_request_id() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let server = proxy_to(&[&dead]);
    for (accept, kind, start) in [
        ("text/html,*/*;q=0.8", "text/html", "<"),
        ("application/json", "application/json", "{"),
        ("*/*", "text/plain", "502"),
    ] {
        let answer = server
            .client()
            .ask(get_with("/", &format!("Accept: {accept}\r\n")));
        assert_eq!(answer.status, 502, "{accept}");
        let shown = answer.field("Content-Type").unwrap_or_default();
        assert!(shown.starts_with(kind), "{accept}: {shown}");
        assert!(
            answer.text().trim_start().starts_with(start),
            "{accept}: {}",
            answer.text()
        );
        let id = answer.field("X-Request-Id").expect("a request id");
        assert!(answer.text().contains(id), "{accept}: {}", answer.text());
    }
}

#[test]
fn a_silent_endpoint_is_a_504() {
    let origin = Origin::start(|connection| connection.wait_for_close());
    let server = configured(&site_before(
        &origin,
        "[timeouts]\nresponse_head = \"300ms\"\n",
    ))
    .server;
    let mut client = server.client();
    let answer = client.ask(get("/"));
    assert_eq!(answer.status, 504);
    assert!(
        answer
            .text()
            .contains(answer.field("X-Request-Id").expect("a request id"))
    );
}

#[test]
fn an_endpoint_that_stops_in_a_body_is_cut() {
    let origin = Origin::start(|connection| {
        connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
        connection.wait_for_close();
    });
    let server = configured(&site_before(
        &origin,
        "[timeouts]\nresponse_body = \"300ms\"\n",
    ))
    .server;
    let mut client = server.client();
    client.send(get("/"));
    let error = client.read_response("GET").unwrap_err();
    assert!(
        matches!(error, ReadError::Closed(_) | ReadError::Reset),
        "{error}"
    );
}

#[test]
fn endpoints_may_be_unix_sockets() {
    let folder = Folder::new("unix");
    let path = folder.join("app.sock");
    let origin = Origin::start_unix(&path, |connection| {
        while connection.read_request().is_some() {
            connection.write(respond(200, "text/plain", b"over a socket"));
        }
    });
    let server = proxy_to(&[&format!("unix:{}", path.display())]);
    let mut client = server.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/x")).text(), "over a socket");
    }
    assert_eq!(origin.last().field("Host"), Some("localhost"));
}

#[test]
fn loops_end_with_508() {
    let home = Folder::new("loop");
    let port = free_port();
    home.write(
        "dreamserver.toml",
        format!("[sites.\"*\"]\nproxy = \"http://127.0.0.1:{port}\"\n"),
    );
    let listen = format!("127.0.0.1:{port}");
    let arguments = ["--config", "dreamserver.toml", "--listen", &listen];
    let server = Server::start_in(&crate::start::binary(), home.path(), &arguments);
    assert_eq!(server.client().ask(get("/")).status, 508);
}

#[test]
fn a_redirect_to_the_endpoint_leads_to_us() {
    let origin = Origin::each(|request| {
        let host = request.field("X-Origin").unwrap_or_default();
        format!("HTTP/1.1 302 Found\r\nLocation: {host}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let server = proxy(&origin);
    let ours = format!("127.0.0.1:{}", server.port());
    let ask = |location: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {ours}\r\nX-Origin: {location}\r\n\r\n");
        let answer = server.client().ask(request);
        answer.field("Location").unwrap_or_default().to_string()
    };
    let rewritten = ask(&format!("{}/login?a=b", origin.url()));
    assert!(
        rewritten == "/login?a=b" || rewritten == format!("http://{ours}/login?a=b"),
        "{rewritten}"
    );
    assert_eq!(
        ask("https://elsewhere.example/x"),
        "https://elsewhere.example/x"
    );
    assert_eq!(ask("/relative"), "/relative");
}

#[test]
fn redirects_are_followed_where_asked() {
    let origin = Origin::each(|request| match request.target.as_str() {
        "/a" => b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/loop" => b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n".to_vec(),
        other => respond(200, "text/plain", other.as_bytes()),
    });
    let config = site_before(&origin, "") + "follow_redirects = true\n";
    let server = configured(&config).server;
    let mut client = server.client();
    assert_eq!(client.ask(get("/a")).text(), "/b");
    assert_eq!(
        client
            .ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            .status,
        302
    );
    let looped = client.ask(get("/loop"));
    assert!(
        matches!(looped.status, 302 | 502 | 508),
        "{}",
        looped.status
    );
    assert!(origin.requests().len() < 50);
}

#[test]
fn headers_can_be_set_and_removed() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nX-Powered-By: old\r\nContent-Length: 0\r\n\r\n");
    let config = format!(
        "[sites.\"*\"]\nproxy = \"{}\"\n\n[sites.\"*\".headers.request]\nset = {{ X-Set = \"yes\" }}\n\n\
         [sites.\"*\".headers.response]\nremove = [\"X-Powered-By\"]\nadd = {{ X-Added = \"1\" }}\n",
        origin.url()
    );
    let server = configured(&config).server;
    let answer = server.client().ask(get("/"));
    assert_eq!(origin.last().field("X-Set"), Some("yes"));
    assert_eq!(
        (answer.field("X-Powered-By"), answer.field("X-Added")),
        (None, Some("1"))
    );
}

#[test]
fn a_host_that_the_configuration_sets_does_not_hide_the_one_that_was_asked_for() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let config = format!(
        "[sites.\"*\"]\nproxy = \"{}\"\nheaders.request.set = {{ Host = \"inner.test\" }}\n",
        origin.url()
    );
    let server = configured(&config).server;
    let mut client = server.client();
    client.ask("GET / HTTP/1.1\r\nHost: outer.test\r\n\r\n");
    let got = origin.last();
    assert_eq!(got.head.all("Host"), ["inner.test"]);
    assert_eq!(got.head.all("X-Forwarded-Host"), ["outer.test"]);
    server.log_line(|line| line.contains("outer.test"));
}
