//! Endpoints that break the rules: their answer becomes a 502 or a cut connection, and never one byte of it
//! goes to the next client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dream_testkit::{DEADLINE, Origin, ReadError, Response, Server, eventually, latin1};

use crate::start::{configured, get, proxy, site_before};

/// What a client sees of an endpoint that answers with `raw` and closes.
fn answer_from(raw: &[u8]) -> Result<Response, ReadError> {
    let origin = Origin::script(&[raw]);
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    client.read_response("GET")
}

#[track_caller]
fn is_a_502(raw: &[u8]) {
    let shown = latin1(raw);
    match answer_from(raw) {
        Ok(answer) => {
            assert_eq!(answer.status, 502, "{shown:?}");
            assert!(
                !answer.text().contains("EVIL"),
                "{shown:?}: {}",
                answer.text()
            );
        }
        Err(error) => panic!("{shown:?}: {error}"),
    }
}

/// The head may have been fine and gone out: then the body must not look whole.
#[track_caller]
fn is_refused_or_cut(raw: &[u8]) {
    let shown = latin1(raw);
    match answer_from(raw) {
        Ok(answer) => assert_eq!(answer.status, 502, "{shown:?}: {:?}", answer.text()),
        Err(ReadError::Closed(_) | ReadError::Reset) => {}
        Err(error) => panic!("{shown:?}: {error}"),
    }
}

#[test]
fn what_is_not_http_is_a_502() {
    for raw in [
        &b"EVIL garbage\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01EVIL",
        b"HTTP/2 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/0.9 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"ICY 200 OK\r\n\r\nEVIL",
        b"HTTP/1.1  200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 abc OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"http/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        is_a_502(raw);
    }
}

#[test]
fn bad_fields_are_a_502() {
    for raw in [
        &b"HTTP/1.1 200 OK\r\nX EVIL: 1\r\nContent-Length: 4\r\n\r\nEVIL"[..],
        b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\nEVIL",
    ] {
        is_a_502(raw);
    }
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_a_502() {
    for raw in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nEVIL"
            [..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nEVIL!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nEVIL!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4x\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n",
    ] {
        is_a_502(raw);
    }
}

#[test]
fn a_broken_or_short_body_does_not_look_whole() {
    for raw in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbad\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        is_refused_or_cut(raw);
    }
    is_refused_or_cut(&large(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n",
        b"",
    ));
}

/// An answer with a body of a million bytes, which takes another way than a small one, and what stands behind it.
fn large(head: &[u8], behind: &[u8]) -> Vec<u8> {
    [head, &vec![b'x'; 1_000_000], behind].concat()
}

#[test]
fn an_endless_head_is_a_502() {
    let raw = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    is_a_502(raw.as_bytes());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(20_000));
    is_a_502(many.as_bytes());
}

/// The endpoint sends `raw` and stays; what the two clients after the first see must be their own.
#[track_caller]
fn next_clients_get_their_own(raw: &[u8], server: &Server) {
    let shown = latin1(&raw[..raw.len().min(200)]);
    server.client().ask(get("/first"));
    for _ in 0..2 {
        let mut client = server.client();
        client.send(get("/next"));
        match client.read_response("GET") {
            Ok(answer) => assert!(!answer.text().contains("EVIL"), "{shown:?}"),
            Err(error) => assert!(!error.to_string().contains("EVIL"), "{shown:?}: {error}"),
        }
    }
}

#[test]
fn bytes_after_a_response_are_never_the_next_clients_answer() {
    for raw in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"[..],
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\nEVIL",
        &large(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        ),
    ] {
        let sent = raw.to_vec();
        let origin = Origin::start(move |connection| {
            while let Some(request) = connection.read_request() {
                if request.target == "/first" {
                    connection.write(&sent);
                } else {
                    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
                }
            }
        });
        let server = proxy(&origin);
        next_clients_get_their_own(raw, &server);
    }
}

#[test]
fn a_body_after_head_is_never_the_next_clients_answer() {
    let origin = Origin::start(|connection| {
        while let Some(request) = connection.read_request() {
            if request.method == "HEAD" {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
            } else {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
            }
        }
    });
    let server = proxy(&origin);
    for _ in 0..5 {
        server.client().ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(server.client().ask(get("/")).text(), "own");
    }
}

#[test]
fn an_unasked_101_is_a_502() {
    is_a_502(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nEVIL",
    );
}

#[test]
fn an_answer_before_any_request_is_not_taken() {
    // The endpoint talks first, when the connection is idle: nothing of it may be paired with a request.
    let unasked = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&unasked);
    let origin = Origin::start(move |connection| {
        while connection.read_request().is_some() {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
            connection.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nEVIL");
            sent.fetch_add(1, Ordering::SeqCst);
        }
    });
    let server = proxy(&origin);
    for number in 1..=10 {
        let answer = server.client().ask(get("/"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "own"));
        eventually("the endpoint says what no one asked", || {
            unasked.load(Ordering::SeqCst) == number
        });
    }
}

#[test]
fn endless_interim_responses_end() {
    let origin = Origin::start(|connection| {
        connection.read_request();
        while connection.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {}
    });
    let config = site_before(&origin, "[timeouts]\nresponse_head = \"300ms\"\n");
    let server = configured(&config).server;
    let mut client = server.client();
    client.send(get("/"));
    let end = Instant::now() + DEADLINE;
    loop {
        match client.read_response("GET") {
            Ok(response) if response.status == 103 => assert!(Instant::now() < end),
            Ok(response) => return assert!(matches!(response.status, 502 | 504)),
            Err(ReadError::Closed(_) | ReadError::Reset) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
