//! The examples of the library, run as their first lines say.

use crate::start::{get, post};
use dream_testkit::{Folder, Origin, Server, respond};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Where the build puts an example, beside the tests.
fn example(name: &str) -> String {
    let test = env::current_exe().unwrap();
    let build = test
        .ancestors()
        .find(|folder| folder.join("examples").is_dir());
    let path: PathBuf = build.unwrap().join("examples").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn hello_greets() {
    let server = Server::start(&example("hello"), &["127.0.0.1:0"]);
    let mut client = server.client();
    assert_eq!(
        client.ask(get("/hello/big%20world")).text(),
        "Hello, big world!\n"
    );
    let head = client.ask("HEAD /hello/you HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.field("Content-Length"), Some("12"));
    let wrong = client.ask(post("/hello/you", ""));
    assert_eq!(
        (wrong.status, wrong.field("Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(client.ask(get("/")).status, 404);
    assert!(
        server
            .log_line(|line| line.contains("/hello/big%20world"))
            .contains("status=200")
    );
}

#[test]
fn notes_are_kept_with_their_pictures() {
    let server = Server::start(&example("notes"), &["127.0.0.1:0"]);
    let mut client = server.client();
    let added = client.ask(post("/notes", r#"{"text": "buy milk"}"#));
    assert_eq!(
        (added.status, &*added.text()),
        (201, r#"{"id":0,"text":"buy milk"}"#)
    );
    assert_eq!(
        client.ask(get("/notes")).text(),
        r#"[{"id":0,"text":"buy milk"}]"#
    );
    let wrong = client.ask(post("/notes", "{"));
    assert!(
        wrong.status == 400 && wrong.text().contains("line 1"),
        "{}",
        wrong.text()
    );
    assert_eq!(client.ask(get("/notes/0/picture")).status, 404);
    let put = |id: &str| {
        format!("PUT /notes/{id}/picture HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nPNG")
    };
    assert_eq!(client.ask(put("0")).status, 204);
    assert_eq!(client.ask(put("7")).status, 404);
    assert_eq!(client.ask(get("/notes/0/picture")).text(), "PNG");
    let large = "PUT /notes/0/picture HTTP/1.1\r\nHost: a\r\nContent-Length: 5000001\r\n\r\n";
    assert_eq!(client.ask(large).status, 413);
}

#[test]
fn signing_signs_what_it_passes_on() {
    let origin = Origin::start(|connection| {
        let answer = respond(200, "text/plain", b"ok");
        while connection.read_request().is_some() && connection.write(&answer) {}
    });
    let folder = Folder::new("signing");
    let without = Server::run(&example("signing"), folder.path(), &[]);
    assert_eq!(without.code, Some(2));
    let signing = example("signing");
    let arguments = ["SIGNING_KEY=secret", &signing, &origin.url(), "127.0.0.1:0"];
    let server = Server::start("env", &arguments);
    let forged = "GET /a?b HTTP/1.1\r\nHost: a\r\nX-Signature: forged\r\n\r\n";
    assert_eq!(server.client().ask(forged).text(), "ok");
    let got = origin.last();
    let id = got.head.field("X-Request-Id").unwrap().to_owned();
    let script =
        format!("printf 'GET /a {id}' | openssl dgst -sha256 -hmac secret | sed 's/.* //'");
    let expected = Command::new("sh").args(["-c", &script]).output().unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    assert_eq!(got.head.field("X-Signature"), Some(expected.trim()));
}

#[test]
fn embedded_serves_what_is_in_the_program() {
    let server = Server::start(&example("embedded"), &["127.0.0.1:0"]);
    let mut client = server.client();
    let page = client.ask(get("/"));
    assert!(page.text().contains("part of the program"));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(client.ask(get("/style.css")).status, 200);
    let none = client.ask(get("/none"));
    assert_eq!((none.status, &*none.text()), (404, "<h1>Not here</h1>\n"));
    let wrong = client.ask(post("/", ""));
    assert_eq!(
        wrong.status, 405,
        "not found is for what has no path, not for what has another method"
    );
}
