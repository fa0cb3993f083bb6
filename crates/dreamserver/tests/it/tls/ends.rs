//! How connections end: what is whole says so, and what broke off cannot pass for whole (RFC 8446 §6.1).

use std::net::Shutdown;

use dream_testkit::{Client, Origin, ReadError, eventually, respond};

use super::{get, house};

/// An answer without a length, of which the client sees the end by that of its connection.
const ENDLESS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[test]
fn a_body_until_the_close_has_a_proper_end() {
    let origin = Origin::answering(format!("{ENDLESS}0\r\n\r\n"));
    let house = house(origin);
    let mut client = house.client();
    client.send("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    let head = client.read_head().unwrap();
    assert!(!head.has("Content-Length") && !head.has("Transfer-Encoding"));
    assert!(matches!(client.read_some(6), Err(ReadError::Closed(body)) if body == b"hello"));
}

#[test]
fn a_body_that_broke_off_has_none() {
    let origin = Origin::script(&[ENDLESS.as_bytes(); 3]);
    let house = house(origin);
    for request in [
        "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ] {
        let mut client = house.client();
        client.send(request);
        let broken = match client.read_head() {
            Ok(_) => client.read_some(1000).unwrap_err(),
            Err(error) => error,
        };
        assert!(
            matches!(broken, ReadError::Cut(_) | ReadError::Reset),
            "{request}: {broken}"
        );
    }
}

#[test]
fn every_proper_end_is_said() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let house = house(origin);
    for request in [
        "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n",
        "no request at all\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let mut client = house.client();
        client.ask(request);
        let end = client.read_some(1).unwrap_err();
        assert!(matches!(end, ReadError::Closed(_)), "{request}: {end}");
    }
}

#[test]
fn a_client_that_has_said_all_gets_its_answer_and_an_end() {
    let house = house(Origin::answering(respond(200, "text/plain", b"ok")));
    let mut client = house.client();
    client.send(get("/"));
    client.close_notify();
    assert_eq!(client.answer().text(), "ok");
    assert!(matches!(client.read_some(1), Err(ReadError::Closed(_))));
    // The same of one that only closes its socket.
    let mut client = house.client();
    client.send(get("/"));
    client.half_close();
    assert_eq!(client.answer().text(), "ok");
    assert!(matches!(client.read_some(1), Err(ReadError::Closed(_))));
}

#[test]
fn an_idle_client_that_leaves_is_let_go() {
    // Endpoints keep no connection either, so that each is a client's.
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let house = house(Origin::answering(answer));
    let mut polite = house.client();
    assert_eq!(polite.ask(get("/")).status, 200);
    polite.close_notify();
    assert!(matches!(polite.read_some(1), Err(ReadError::Closed(_))));
    let mut rude = house.client();
    assert_eq!(rude.ask(get("/")).status, 200);
    rude.half_close();
    assert!(matches!(rude.read_some(1), Err(ReadError::Closed(_))));
    house.client().reset();
    eventually("their places are free", || house.server.connections() == 0);
}

#[test]
fn half_an_upload_is_never_a_whole_one() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let house = house(Origin::echo());
        let origin = house.origin();
        let start = format!("POST / HTTP/1.1\r\nHost: a.example\r\n{framing}\r\n\r\n3\r\nabc\r\n");
        let leave: [fn(Client); 4] = [
            |mut client| client.close_notify(),
            |mut client| client.half_close(),
            |client| client.reset(),
            |mut client| {
                client.close_notify();
                client.stream().shutdown(Shutdown::Both).unwrap();
            },
        ];
        for (number, leave) in leave.into_iter().enumerate() {
            let mut client = house.client();
            client.send(&start);
            eventually("the beginning arrives", || {
                let received = origin.received();
                let arrived = |bytes: &Vec<u8>| bytes.windows(3).any(|part| part == b"abc");
                received.iter().filter(|bytes| arrived(bytes)).count() > number
            });
            leave(client);
            eventually("the endpoint is left", || origin.open_connections() == 0);
        }
        assert!(origin.requests().is_empty(), "{framing}");
        house.serves();
    }
}
