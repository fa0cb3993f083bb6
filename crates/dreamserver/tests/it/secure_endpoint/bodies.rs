//! Bodies to and from secure endpoints: whole, and never taken for whole when they are not.

use dream_testkit::{Checksum, ReadError, pattern, respond};

use super::before;
use crate::start::{get, get_with};

const LARGE: usize = 24 << 20;

fn sum(bytes: &[u8]) -> Checksum {
    let mut sum = Checksum::new();
    sum.update(bytes);
    sum
}

#[test]
fn large_bodies_arrive_as_they_were_sent() {
    let (_origin, proxy) = before(|connection| {
        while let Some(request) = connection.read_request() {
            connection.write(respond(200, "application/octet-stream", &request.body));
        }
    });
    let mut body = vec![0; LARGE];
    pattern(3, &mut body);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n");
    let mut client = proxy.server.client();
    for _ in 0..2 {
        client.send(&head);
        client.send(&body);
        assert_eq!(sum(&client.answer().body), sum(&body));
    }
}

#[test]
fn an_early_answer_to_an_upload_gets_through() {
    let (_origin, proxy) = before(|connection| {
        connection.read_head();
        connection
            .write("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch");
        connection.wait_for_close();
    });
    let mut client = proxy.server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    client.send(vec![b'x'; 1 << 20]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "much"));
}

#[test]
fn a_body_until_the_end_is_whole_only_if_the_end_is_said() {
    let (_origin, proxy) = before(|connection| {
        let request = connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\n\r\nhalf or whole");
        if request.is_some_and(|request| request.target == "/cut") {
            connection.cut();
        }
    });
    assert_eq!(
        proxy.server.client().ask(get("/said")).body,
        b"half or whole"
    );
    let mut client = proxy.server.client();
    client.send(get("/cut"));
    let answer = client.read_response("GET");
    assert!(
        matches!(answer, Err(ReadError::Closed(_) | ReadError::Reset)),
        "a truncated body was passed on as a whole one: {answer:?}"
    );
}

#[test]
fn an_upgrade_goes_through() {
    let (_origin, proxy) = before(|connection| {
        connection.read_request();
        connection.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst",
        );
        loop {
            let bytes = connection.read_some(1);
            if bytes.is_empty() || !connection.write(&bytes) {
                return;
            }
        }
    });
    let mut client = proxy.server.client();
    client.send(get_with(
        "/",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    ));
    assert_eq!(client.read_response("GET").unwrap().status, 101);
    assert_eq!(client.read_some(5).unwrap(), b"first");
    for text in ["ping", "\0\u{1}", "a longer message"] {
        client.send(text);
        assert_eq!(client.read_some(text.len()).unwrap(), text.as_bytes());
    }
    client.half_close();
    assert_eq!(client.read_to_end(), b"");
}
