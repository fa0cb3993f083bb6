//! HTTP without TLS on the port of TLS.

use dream_testkit::{Client, Origin, eventually};

use super::house;

#[test]
fn who_forgets_the_s_is_told() {
    let house = house(Origin::echo());
    let port = house.tls.port();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n",
        "x".repeat(12_000)
    );
    let body = "b".repeat(500_000);
    let post = format!(
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for request in [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "G",
        &long,
        &post,
    ] {
        let shown = &request[..request.len().min(60)];
        let mut client = Client::connect(house.tls);
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{shown}");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(
            text.contains(&format!("https://…:{port}/")),
            "{shown}: {text}"
        );
        assert!(answer.says_close(), "{shown}");
        assert!(client.read_to_end().is_empty(), "{shown}");
    }
    house.serves();
}

#[test]
fn who_still_sends_reads_the_answer_all_the_same() {
    let house = house(Origin::echo());
    let mut client = Client::connect(house.tls);
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n");
    eventually("it is answered", || client.has_bytes());
    assert_eq!(house.server.connections(), 1);
    // A reset would take the answer away.
    for _ in 0..100 {
        client.send([b'b'; 10_000]);
    }
    assert_eq!(client.answer().status, 400);
    assert!(client.read_to_end().is_empty());
    drop(client);
    eventually("its place is free", || house.server.connections() == 0);
}
