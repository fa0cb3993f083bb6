//! What a connection carries: large bodies both ways, many requests, tunnels.

use std::fs;

use dream_testkit::{
    Body, Checksum, Client, Connection, Folder, Head, Origin, ReadError, pattern, respond,
};

use super::{Ground, House, get, house};

const LARGE: u64 = 64 << 20;

/// What the server may hold beyond what it held, whatever the size of a body.
const HELD: u64 = 16 << 20;

fn large() -> Checksum {
    let (mut sum, mut block) = (Checksum::new(), [0; 65536]);
    while sum.length() < LARGE {
        pattern(sum.length(), &mut block);
        sum.update(&block);
    }
    sum
}

/// An endpoint that sends a large body and takes one, of which it says the sum.
fn endpoint() -> Origin {
    Origin::start(|connection| {
        while let Some((head, _)) = connection.read_head() {
            if head.start.starts_with("POST") {
                take(connection, &head);
                continue;
            }
            let chunked = head.start.contains("/chunked");
            send(connection, chunked);
        }
    })
}

fn send(connection: &mut Connection, chunked: bool) {
    let framing = match chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {LARGE}"),
    };
    connection.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
    let (mut sent, mut block) = (0, [0; 65536]);
    while sent < LARGE {
        pattern(sent, &mut block);
        sent += block.len() as u64;
        let taken = match chunked {
            true => {
                connection.write("10000\r\n") && connection.write(block) && connection.write("\r\n")
            }
            false => connection.write(block),
        };
        if !taken {
            return;
        }
    }
    if chunked {
        connection.write("0\r\n\r\n");
    }
}

fn take(connection: &mut Connection, head: &Head) {
    let mut sum = Checksum::new();
    match head.field("Content-Length") {
        Some(length) => {
            let length = length.parse().unwrap();
            connection.take_exactly(length, |bytes| sum.update(bytes));
        }
        None => {
            while connection
                .take_chunk(|bytes| sum.update(bytes))
                .is_some_and(|size| size > 0)
            {}
        }
    }
    connection.write(respond(200, "text/plain", format!("{sum:?}").as_bytes()));
}

/// Reads an answer's body; gives its sum.
#[track_caller]
fn read(client: &mut Client) -> Checksum {
    let head = client.read_head().unwrap();
    let framing = head.response_body("GET").unwrap();
    let mut sum = Checksum::new();
    client
        .read_body(framing, |bytes| sum.update(bytes))
        .unwrap();
    sum
}

#[test]
fn a_large_download_arrives_as_it_was_sent() {
    let (house, expected) = (house(endpoint()), large());
    let before = house.server.rss();
    let mut client = house.client();
    for path in ["/", "/chunked"] {
        client.send(get(path));
        assert_eq!(read(&mut client), expected, "{path}");
    }
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
}

#[test]
fn a_large_upload_arrives_as_it_was_sent() {
    let (house, expected) = (house(endpoint()), large());
    let before = house.server.rss();
    for chunked in [false, true] {
        let mut client = house.client();
        let framing = match chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {LARGE}"),
        };
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a.example\r\n{framing}\r\n\r\n"
        ));
        let (mut sent, mut block) = (0, [0; 65536]);
        while sent < LARGE {
            pattern(sent, &mut block);
            sent += block.len() as u64;
            if chunked {
                client.send("10000\r\n");
            }
            client.send(block);
            if chunked {
                client.send("\r\n");
            }
        }
        if chunked {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.answer().text(), format!("{expected:?}"));
    }
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
}

#[test]
fn a_slow_reader_makes_nobody_hold_its_body() {
    let (house, expected) = (house(endpoint()), large());
    let before = house.server.rss();
    let mut slow: Vec<Client> = (0..8)
        .map(|_| Client::connect_narrow(house.tls).secured(&house.security()))
        .collect();
    for client in &mut slow {
        client.send(get("/"));
        client.read_head().unwrap();
    }
    // The others are served meanwhile, with as much.
    let mut client = house.client();
    client.send(get("/"));
    assert_eq!(read(&mut client), expected);
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
    let mut sum = Checksum::new();
    let last = slow.last_mut().unwrap();
    last.read_body(Body::Length(LARGE), |bytes| sum.update(bytes))
        .unwrap();
    assert_eq!(sum, expected);
}

/// `a.example` is a folder with a large file and a small one.
fn folder() -> (House, Folder, Vec<u8>) {
    let (ground, root) = (Ground::new(), Folder::new("root"));
    ground.issue("a", &["a.example"]);
    let mut large = vec![0; LARGE as usize];
    pattern(0, &mut large);
    root.write("large.bin", &large);
    root.write("small.txt", "a small file");
    let house = ground.start(&format!(
        "[sites.\"a.example\"]\nfiles = \"{}\"\ntls = {{ cert = \"a.pem\", key = \"a.key\" }}\n",
        root.text()
    ));
    (house, root, large)
}

#[test]
fn files_are_served_whole_and_in_part() {
    let (house, root, bytes) = folder();
    let before = house.server.rss();
    let mut client = house.client();
    client.send(get("/large.bin"));
    assert_eq!(read(&mut client), large());
    let ranged = |range: &str| {
        format!("GET /large.bin HTTP/1.1\r\nHost: a.example\r\nRange: bytes={range}\r\n\r\n")
    };
    for (range, expected) in [
        ("0-0", &bytes[..1]),
        ("1000000-1099999", &bytes[1_000_000..1_100_000]),
        ("-100000", &bytes[bytes.len() - 100_000..]),
    ] {
        let answer = client.ask(ranged(range));
        assert_eq!(answer.status, 206);
        assert!(answer.body == expected, "{range}");
    }
    let small = client.ask(get("/small.txt"));
    assert_eq!(small.text(), "a small file");
    let etag = small.field("ETag").unwrap();
    let unchanged = client.ask(format!(
        "GET /small.txt HTTP/1.1\r\nHost: a.example\r\nIf-None-Match: {etag}\r\n\r\n"
    ));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = client.ask("HEAD /large.bin HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(
        head.field("Content-Length"),
        Some(LARGE.to_string().as_str())
    );
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
    fs::remove_dir_all(root.path()).unwrap();
}

#[test]
fn a_slow_reader_of_a_file_gets_it_right() {
    let (house, _root, _) = folder();
    let mut slow = Client::connect_narrow(house.tls).secured(&house.security());
    slow.send(get("/large.bin"));
    let head = slow.read_head().unwrap();
    let framing = head.response_body("GET").unwrap();
    // Another one in between, on whichever core.
    let mut other = house.client();
    assert_eq!(other.ask(get("/small.txt")).status, 200);
    let mut sum = Checksum::new();
    slow.read_body(framing, |bytes| sum.update(bytes)).unwrap();
    assert_eq!(sum, large());
    assert_eq!(slow.ask(get("/small.txt")).status, 200);
}

#[test]
fn requests_may_come_all_at_once() {
    let house = house(Origin::each(|request| {
        respond(200, "text/plain", request.target.as_bytes())
    }));
    let mut client = house.client();
    let all: String = (0..200).map(|number| get(&format!("/{number}"))).collect();
    client.send(all);
    for number in 0..200 {
        assert_eq!(client.answer().text(), format!("/{number}"));
    }
}

#[test]
fn a_connection_serves_thousands_of_requests() {
    let house = house(Origin::answering(respond(200, "text/plain", b"ok")));
    let mut client = house.client();
    for _ in 0..3000 {
        assert_eq!(client.ask(get("/")).text(), "ok");
    }
}

#[test]
fn a_client_that_expects_100_is_told_to_continue() {
    let house = house(Origin::start(|connection| {
        connection.read_head();
        connection.write("HTTP/1.1 100 Continue\r\n\r\n");
        let mut body = Vec::new();
        connection.take_exactly(4, |bytes| body.extend_from_slice(bytes));
        connection.write(respond(200, "text/plain", &body));
    }));
    let mut client = house.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    assert_eq!(client.read_response("POST").unwrap().status, 100);
    client.send("body");
    assert_eq!(client.answer().text(), "body");
}

#[test]
fn a_tunnel_carries_both_ways_until_both_have_said_all() {
    let house = house(Origin::tunnel());
    let mut client = house.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.read_response("GET").unwrap().status, 101);
    let mut block = vec![0; 300_000];
    pattern(0, &mut block);
    for len in [1, 10, 20_000, 300_000] {
        client.send(&block[..len]);
        let mut back = Vec::new();
        while back.len() < len {
            back.extend(client.read_some(1).unwrap());
        }
        assert!(back == block[..len], "{len}");
    }
    client.close_notify();
    let end = client.read_some(1).unwrap_err();
    assert!(matches!(end, ReadError::Closed(_)), "{end}");
}

#[test]
fn keys_may_be_renewed_at_any_time() {
    let house = house(Origin::echo());
    let mut client = house.client();
    for _ in 0..20 {
        client.agreed().refresh_traffic_keys().unwrap();
        assert_eq!(client.ask(get("/")).status, 200);
    }
    // Renewed again and again by a client that reads nothing: it is cut off, or served, but nothing piles up.
    let before = house.server.rss();
    let mut stubborn = house.client();
    for _ in 0..10_000 {
        if stubborn.agreed().refresh_traffic_keys().is_err() || stubborn.try_send("").is_err() {
            break;
        }
    }
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
    house.serves();
}
