//! The access log: each exchange once, with all that it should say, and nothing that a client can forge.

use dream_testkit::{Folder, Origin, Random, Server, eventually, respond};
use serde_json::Value;

use crate::start::{configured, files, get, post, proxy, site_before};

/// The fields of a line of text.
fn fields(line: &str) -> Vec<(&str, &str)> {
    let rest = line
        .strip_prefix("[INFO] DREAM_SERVER REQUEST | ")
        .unwrap_or_else(|| panic!("not an access line: {line}"));
    let parts = rest.split(" | ").map(|part| part.split_once('='));
    parts
        .map(|part| part.unwrap_or_else(|| panic!("a field without a name: {line}")))
        .collect()
}

#[track_caller]
fn value<'a>(fields: &[(&str, &'a str)], name: &str) -> &'a str {
    let mut same = fields.iter().filter(|(other, _)| *other == name);
    let value = same
        .next()
        .unwrap_or_else(|| panic!("no {name} in {fields:?}"))
        .1;
    assert!(same.next().is_none(), "{name} stands twice in {fields:?}");
    value
}

#[test]
fn a_file_is_logged_with_the_fields_in_their_order() {
    let folder = Folder::new("log");
    folder.write("index.html", "12345");
    let server = files(&folder);
    let answer = server
        .client()
        .ask("GET /?a=b HTTP/1.1\r\nHost: localhost:81\r\nUser-Agent: test/1\r\n\r\n");
    assert_eq!(answer.status, 200);
    let line = server.log_lines(1).remove(0);
    let fields = fields(&line);
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names[..8],
        [
            "id", "ip", "method", "path", "host", "status", "bytes", "latency"
        ]
    );
    assert_eq!(value(&fields, "ip"), "127.0.0.1");
    assert_eq!(value(&fields, "method"), "GET");
    assert_eq!(value(&fields, "path"), "/");
    assert_eq!(value(&fields, "host"), "localhost:81");
    assert_eq!(value(&fields, "status"), "200");
    assert_eq!(value(&fields, "bytes"), "5");
    assert!(value(&fields, "latency").ends_with("ms"), "{line}");
    assert!(line.contains("a=b") && line.contains("test/1"), "{line}");
}

#[test]
fn a_proxied_request_names_its_endpoint() {
    let origin = Origin::answering(respond(201, "text/plain", b"made"));
    let server = proxy(&origin);
    let answer = server.client().ask(post("/x", "12345"));
    let line = server.log_lines(1).remove(0);
    let fields = fields(&line);
    assert_eq!(Some(value(&fields, "id")), answer.field("X-Request-Id"));
    assert_eq!(
        (value(&fields, "status"), value(&fields, "bytes")),
        ("201", "4")
    );
    assert!(line.contains(&origin.address().to_string()), "{line}");
}

#[test]
fn every_exchange_is_one_line() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    let mut client = server.client();
    for number in 0..50 {
        client.ask(get(&format!("/{number}")));
    }
    // An error, and a client that goes away, are exchanges too.
    server.client().ask("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    let lines = server.log_lines(51);
    for number in 0..50 {
        let wanted = format!(" | path=/{number} | ");
        assert_eq!(
            lines.iter().filter(|line| line.contains(&wanted)).count(),
            1,
            "{wanted}"
        );
    }
}

#[test]
fn json_lines_are_json() {
    let origin = Origin::answering(respond(200, "text/plain", b"four"));
    let server = configured(&site_before(&origin, "[log]\nformat = \"json\"\n")).server;
    let answer = server.client().ask(
        "GET /a%22b?q=%0A HTTP/1.1\r\nHost: a\r\nUser-Agent: \"quoted\\\" \u{e9}\r\n\r\n"
            .as_bytes(),
    );
    let line = server.log_lines(1).remove(0);
    let json: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(json["id"].as_str(), answer.field("X-Request-Id"));
    assert_eq!(
        (json["method"].as_str(), json["ip"].as_str()),
        (Some("GET"), Some("127.0.0.1"))
    );
    assert_eq!(
        (json["status"].as_u64(), json["bytes"].as_u64()),
        (Some(200), Some(4))
    );
    assert!(
        json["latency_ms"]
            .as_f64()
            .is_some_and(|latency| latency >= 0.0),
        "{line}"
    );
    assert_eq!(json["path"].as_str(), Some("/a%22b"));
}

#[test]
fn secrets_are_never_logged() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nSet-Cookie: sid=SECRET\r\nContent-Length: 0\r\n\r\n");
    let server = proxy(&origin);
    let fields = "Authorization: Bearer SECRET\r\nCookie: sid=SECRET\r\nProxy-Authorization: Basic SECRET\r\n";
    server.client().ask(crate::start::get_with("/", fields));
    server.log_lines(1);
    assert!(!server.log().contains("SECRET"), "{}", server.log());
}

/// Sends what a forger would; gives how many lines there must be.
fn forgeries(server: &Server) -> usize {
    const FORGED: &str = "x | status=500 | [INFO] DREAM_SERVER REQUEST | id=forged | ip=6.6.6.6 | ";
    let mut random = Random::new(7);
    let mut sent = 0;
    let places = [
        |text: &str| {
            format!(
                "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
                text.replace(' ', "%20")
            )
        },
        |text: &str| {
            format!(
                "GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n",
                text.replace(' ', "\t")
            )
        },
        |text: &str| format!("GET / HTTP/1.1\r\nHost: {text}\r\n\r\n"),
        |text: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {text}\r\n\r\n"),
        |text: &str| format!("{text} / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    let pieces = [
        "\"",
        "|",
        " | ",
        "\n",
        "\r",
        "\r\n",
        "\\",
        "\0",
        "\u{1b}[2J",
        "\u{2028}",
        "\u{202e}",
        "\u{85}",
        FORGED,
        "{\"a\":1}",
        "=",
    ];
    for _ in 0..40 {
        for place in places {
            let text: String = (0..3).map(|_| *random.pick(&pieces)).collect();
            let mut client = server.client();
            let _ = client.try_send(place(&text));
            client.half_close();
            client.read_to_end();
            sent += 1;
        }
    }
    let last = server.client().ask(get("/the-end"));
    assert!(matches!(last.status, 200 | 404));
    sent
}

#[test]
fn no_client_can_forge_a_line_of_text() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    forgeries(&server);
    server.log_line(|line| line.contains("path=/the-end"));
    for line in server.log().lines() {
        let fields = fields(line);
        assert_eq!(value(&fields, "ip"), "127.0.0.1");
        assert_ne!(value(&fields, "id"), "forged");
        assert_ne!(value(&fields, "status"), "500");
        assert!(line.chars().all(|char| !char.is_control()), "{line:?}");
        for name in ["method", "path", "host", "bytes", "latency"] {
            value(&fields, name);
        }
    }
}

#[test]
fn no_client_can_forge_a_line_of_json() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = configured(&site_before(&origin, "[log]\nformat = \"json\"\n")).server;
    forgeries(&server);
    server.log_line(|line| line.contains("/the-end"));
    for line in server.log().lines() {
        let json: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(json["ip"].as_str(), Some("127.0.0.1"), "{line}");
        assert_ne!(json["id"].as_str(), Some("forged"));
        assert_eq!(line.matches("\"status\":").count(), 1, "{line}");
    }
}

#[test]
fn a_log_file_is_private_and_opened_anew() {
    use std::os::unix::fs::PermissionsExt;

    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let folder = Folder::new("logfile");
    let path = folder.join("access.log");
    let tables = format!("[log]\naccess = \"{}\"\n", path.display());
    let server = configured(&site_before(&origin, &tables)).server;
    server.client().ask(get("/one"));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    eventually("the line is in the file", || {
        read(&path).contains("path=/one")
    });
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::rename(&path, folder.join("moved.log")).unwrap();
    server.signal(dream_testkit::Signal::USR1);
    eventually("lines go to a new file", || {
        server.client().ask(get("/two"));
        read(&path).contains("path=/two")
    });
}
