//! HTTP/1.1 towards the client: connections, framing, and what is refused with which status.

use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use dream_testkit::{Body, DEADLINE, Folder, Origin, ReadError, Server, latin1, respond};

use crate::start::{configured, files, get, get_with, post, proxy, site_before};

/// An endpoint that says which target it was asked for.
fn origin_of_targets() -> Origin {
    Origin::each(|request| {
        let body = format!("{} {}", request.method, request.target);
        respond(200, "text/plain", body.as_bytes())
    })
}

fn page() -> (Folder, Server) {
    let folder = Folder::new("page");
    folder.write("index.html", "a page");
    let server = files(&folder);
    (folder, server)
}

#[test]
fn a_connection_serves_many_requests() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    let mut client = server.client();
    for number in 0..20 {
        let answer = client.ask(get(&format!("/{number}")));
        assert_eq!(answer.text(), format!("GET /{number}"));
        assert!(!answer.says_close());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    let mut client = server.client();
    let requests = (0..50).map(|n| {
        if n % 2 == 0 {
            get(&format!("/{n}"))
        } else {
            post(&format!("/{n}"), "x")
        }
    });
    client.send(requests.collect::<String>());
    for number in 0..50 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        assert_eq!(client.answer().text(), format!("{method} /{number}"));
    }
}

#[test]
fn pipelined_requests_to_files_are_answered_in_order() {
    let (folder, server) = page();
    folder.write("other.txt", "another");
    let mut client = server.client();
    client.send([get("/"), get("/other.txt"), get("/none"), get("/")].concat());
    let answers: Vec<_> = (0..4).map(|_| client.answer()).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 404, 200]);
    assert_eq!(
        (answers[1].text().as_str(), answers[3].text().as_str()),
        ("another", "a page")
    );
}

#[test]
fn connection_close_is_obeyed_and_said() {
    let (_folder, server) = page();
    let mut client = server.client();
    let answer = client.ask(get_with("/", "Connection: close\r\n"));
    assert!(answer.says_close());
    assert!(client.closes_within(DEADLINE));
}

#[test]
fn http_1_0_closes_unless_it_asks_for_keep_alive() {
    let (_folder, server) = page();
    let mut client = server.client();
    assert_eq!(client.ask("GET / HTTP/1.0\r\n\r\n").text(), "a page");
    assert!(client.closes_within(DEADLINE));

    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.text(), "a page");
        assert!(
            answer.head.lists("Connection", "keep-alive"),
            "{:?}",
            answer.head
        );
    }
}

#[test]
fn http_1_0_never_gets_chunks() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    );
    let server = proxy(&origin);
    let mut client = server.client();
    let answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_ne!(answer.framing, Body::Chunked);
    assert_eq!(answer.text(), "abcdefg");
}

#[test]
fn expect_continue_is_answered_before_the_body_is_sent() {
    let origin = Origin::start(|connection| {
        while let Some((head, _)) = connection.read_head() {
            if head.lists("Expect", "100-continue") {
                connection.write("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let mut body = Vec::new();
            connection.take_exactly(5, |bytes| body.extend_from_slice(bytes));
            connection.write(respond(200, "text/plain", &body));
        }
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let interim = client.read_response("POST").unwrap();
    assert_eq!(interim.status, 100);
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(client.ask(post("/", "again")).text(), "again");
}

#[test]
fn a_refusal_comes_instead_of_100_continue() {
    let (_folder, server) = page();
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = client.read_response("POST").unwrap();
    assert_eq!(answer.status, 405);
}

#[test]
fn expect_continue_is_ignored_in_http_1_0() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(
        "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(client.read_response("POST").unwrap().status, 200);
}

#[test]
fn head_has_the_length_and_no_body() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let server = proxy(&origin);
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.field("Content-Length"), Some("1234"));
    }
    let (_folder, server) = page();
    let mut client = server.client();
    let answer = client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.field("Content-Length")),
        (200, Some("6"))
    );
    assert_eq!(client.ask(get("/")).text(), "a page");
}

#[test]
fn every_method_is_proxied_unknown_ones_too() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    let mut client = server.client();
    let methods = "GET POST PUT DELETE PATCH OPTIONS QUERY PROPFIND REPORT MKCALENDAR M-SEARCH get FOO!#$%&'*+-.^_`|~";
    for method in methods.split(' ') {
        let answer = client.ask(format!(
            "{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        ));
        assert_eq!(answer.text(), format!("{method} /x"));
    }
}

#[test]
fn connect_and_trace_are_not_allowed() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    for request in [
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = server.client().ask(request);
        assert_eq!(answer.status, 405, "{request}");
        assert!(answer.head.has("Allow"), "{request}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn options_star_is_about_the_server() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    let mut client = server.client();
    let answer = client.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status, 204);
    assert!(!answer.head.has("Content-Length"));
    assert_eq!(client.ask(get("/next")).text(), "GET /next");
}

#[test]
fn a_request_may_be_cut_at_every_byte() {
    let origin = Origin::each(|request| respond(200, "text/plain", &request.body));
    let server = proxy(&origin);
    let request = b"POST /a/b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nT: u\r\n\r\n";
    let mut client = server.client();
    for cut in 1..request.len() {
        client.send(&request[..cut]);
        client.send(&request[cut..]);
        assert_eq!(client.answer().text(), "hello", "cut at {cut}");
    }
    for byte in request {
        client.send([*byte]);
    }
    assert_eq!(client.answer().text(), "hello");
}

#[test]
fn an_early_answer_reaches_a_client_that_still_uploads() {
    let origin = Origin::start(|connection| {
        connection.read_head();
        connection.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big");
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        64 << 20
    ));
    let mut upload = client.stream();
    let sender = thread::spawn(move || {
        let block = vec![b'x'; 65536];
        // Ends when the server no longer wants it.
        while std::io::Write::write_all(&mut upload, &block).is_ok() {}
    });
    let answer = client.answer_to("POST");
    assert_eq!((answer.status, answer.text().as_str()), (413, "too big"));
    // The sender holds the socket too; dropping ours would not end it.
    client.stream().shutdown(Shutdown::Both).unwrap();
    sender.join().unwrap();
}

#[test]
fn a_body_above_the_limit_is_refused_before_the_endpoint_is_asked() {
    let origin = origin_of_targets();
    let server = configured(&site_before(&origin, "[limits]\nmax_body = 10\n")).server;
    let answer = server.client().ask(post("/", "12345678901"));
    assert_eq!(answer.status, 413);
    assert_eq!(origin.connections(), 0);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n");
    assert_eq!(client.answer_to("POST").status, 413);
    assert_eq!(server.client().ask(post("/", "1234567890")).status, 200);
}

#[test]
fn the_body_of_a_refused_request_is_never_a_request() {
    // CVE-2025-4366: what is left of the body after an early answer was read as the next request.
    let (folder, server) = page();
    folder.write("secret.txt", "smuggled");
    let inner = get("/secret.txt");
    for framing in ["length", "chunked"] {
        let mut client = server.client();
        let request = match framing {
            "length" => post("/", &inner),
            _ => format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
                inner.len()
            ),
        };
        client.send(request);
        assert_eq!(client.answer_to("POST").status, 405);
        client.half_close();
        let rest = latin1(&client.read_to_end());
        assert!(!rest.contains("smuggled"), "{framing}: {rest}");
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(post("/x", "body"));
    client.half_close();
    assert_eq!(client.answer().text(), "POST /x");
    assert!(client.closes_within(DEADLINE));
}

#[test]
fn the_absolute_form_names_the_host() {
    let origin = Origin::each(|request| {
        let host = request.field("Host").unwrap_or_default();
        respond(
            200,
            "text/plain",
            format!("{host} {}", request.target).as_bytes(),
        )
    });
    let server = proxy(&origin);
    let mut client = server.client();
    let answer = client.ask("GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(answer.text(), "example.com /a?b");
    let answer = client.ask("GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(answer.text(), "example.com /");
    let answer = client.ask("GET http://example.com/ HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!(answer.status, 400);
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    let (_folder, server) = page();
    let mut client = server.client();
    assert_eq!(client.ask(get("/")).status, 200);
    client.send(format!("\r\n{}", get("/")));
    let answer = client.answer();
    assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
}

/// Sends `request` to a server of files and gives the status; the connection must end then.
#[track_caller]
fn refused(server: &Server, request: &[u8]) -> u16 {
    let mut client = server.client();
    client.send(request);
    let shown = latin1(&request[..request.len().min(60)]);
    match client.read_response("GET") {
        Ok(answer) => {
            assert!(answer.says_close(), "{shown:?}: no Connection: close");
            assert!(client.closes_within(DEADLINE), "{shown:?}: stays open");
            answer.status
        }
        Err(error) => panic!("{shown:?}: {error}"),
    }
}

#[test]
fn what_is_refused_says_why() {
    let (_folder, server) = page();
    for (status, request) in REFUSED {
        assert_eq!(refused(&server, request.as_bytes()), *status, "{request:?}");
    }
}

#[test]
fn what_is_too_long_says_so() {
    let (_folder, server) = page();
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    let field = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(17_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    assert_eq!(refused(&server, target.as_bytes()), 414);
    assert_eq!(refused(&server, field.as_bytes()), 431);
    assert_eq!(refused(&server, many.as_bytes()), 431);
}

const REFUSED: &[(u16, &str)] = &[
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    (400, "GET / HTTP/1.1\nHost: a\n\n"),
    (400, "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nx",
    ),
    (
        400,
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        501,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
];

#[test]
fn a_bad_chunk_is_refused_and_reaches_no_handler() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    for body in [
        "5;\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!!\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let mut client = server.client();
        client.send(request);
        match client.read_response("POST") {
            Ok(answer) => assert_eq!(answer.status, 400, "{body:?}"),
            Err(ReadError::Closed(bytes)) => assert_eq!(bytes, b"", "{body:?}"),
            Err(error) => panic!("{body:?}: {error}"),
        }
    }
    assert!(
        origin.requests().is_empty(),
        "no such request may look whole to the endpoint"
    );
}

#[test]
fn slow_heads_are_ended_with_408() {
    let origin = origin_of_targets();
    let server = configured(&site_before(&origin, "[timeouts]\nhead = \"300ms\"\n")).server;
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.answer().status, 408);
    assert!(client.closes_within(DEADLINE));
}

#[test]
fn slow_bodies_are_ended_with_408() {
    let origin = origin_of_targets();
    let server = configured(&site_before(
        &origin,
        "[timeouts]\nbody_grace = \"300ms\"\n",
    ))
    .server;
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome");
    assert_eq!(client.answer_to("POST").status, 408);
    assert!(client.closes_within(DEADLINE));
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let origin = origin_of_targets();
    let server = configured(&site_before(
        &origin,
        "[timeouts]\nkeep_alive = \"300ms\"\n",
    ))
    .server;
    let mut client = server.client();
    assert_eq!(client.ask(get("/")).status, 200);
    assert!(client.closes_within(DEADLINE));
}

#[test]
fn a_reset_client_does_no_harm() {
    let origin = origin_of_targets();
    let server = proxy(&origin);
    for cut in [1, 10, 30] {
        let mut client = server.client();
        client.send(&get("/")[..cut]);
        client.reset();
    }
    assert_eq!(server.client().ask(get("/")).status, 200);
}

#[test]
fn own_answers_carry_date_and_server() {
    let (_folder, server) = page();
    let answer = server.client().ask(get("/"));
    assert_eq!(answer.field("Server"), Some("dreamserver"));
    let date = answer.field("Date").expect("a Date");
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    let answer = server.client().ask("nonsense\r\n\r\n");
    assert_eq!(
        (answer.status, answer.field("Server")),
        (400, Some("dreamserver"))
    );
    assert!(answer.head.has("Date"));
}

#[test]
fn many_small_writes_of_a_body_are_one_body() {
    let origin = Origin::each(|request| respond(200, "text/plain", &request.body));
    let server = proxy(&origin);
    let mut client = server.client();
    client.set_patience(Duration::from_secs(30));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..2000 {
        client.send("1\r\nx\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().body, vec![b'x'; 2000]);
}
