//! The live view: who may see it and change something by it, and what it tells.

use std::net::UdpSocket;

use dream_testkit::{Client, DEADLINE, Folder, Origin, Response, eventually, free_port, respond};

use crate::announce::Core;

/// A request to the view, with its host and these fields.
fn request(core: &Core, line: &str, fields: &str, body: &str) -> String {
    let (port, length) = (core.control.port(), body.len());
    format!(
        "{line} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
}

fn ask(core: &Core, line: &str, fields: &str, body: &str) -> Response {
    Client::connect(core.control).ask(request(core, line, fields, body))
}

fn get(core: &Core, path: &str) -> Response {
    ask(core, &format!("GET {path}"), "", "")
}

/// What a page of ours knows.
fn token(core: &Core) -> String {
    let page = get(core, "/").text();
    let (_, rest) = page.split_once("<meta name=\"token\" content=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// Sends an announcement as the page does.
fn post(core: &Core, token: &str, more: &str, line: &str) -> (u16, String) {
    let fields = format!("Dream-Token: {token}\r\n{more}");
    let answer = ask(core, "POST /commands", &fields, line);
    (answer.status, answer.text().trim_end().to_owned())
}

fn names(core: &Core, query: &str) -> serde_json::Value {
    serde_json::from_str(&get(core, &format!("/names.json{query}")).text()).unwrap()
}

#[test]
fn a_browser_on_the_control_port_sees_the_view_and_a_line_is_a_line() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let page = get(&core, "/");
    assert_eq!(page.status, 200);
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    for (path, kind) in [
        ("/view.js", "text/javascript; charset=utf-8"),
        ("/view.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/names.json", "application/json"),
    ] {
        let answer = get(&core, path);
        assert_eq!(
            (answer.status, answer.field("Content-Type")),
            (200, Some(kind))
        );
    }
    let (_, status) = core.command(&["status"]);
    let link = format!("view: http://localhost:{}/", core.control.port());
    assert!(status.contains(&link), "{status}");
    // A method in pieces, and a line that begins like one.
    let mut slow = Client::connect(core.control);
    slow.send("G");
    assert!(!slow.has_bytes());
    slow.send(&request(&core, "GET /icon.svg", "", "")[1..]);
    assert_eq!(slow.answer().status, 200);
    let mut line = Client::connect(core.control);
    line.send("GETAWAY\n");
    let reply = String::from_utf8(line.read_to_end()).unwrap();
    assert!(reply.starts_with("err unknown-command"), "{reply}");
}

#[test]
fn every_answer_of_the_view_forbids_what_it_does_not_need() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    for (line, status) in [
        ("GET /", 200),
        ("HEAD /", 200),
        ("GET /none", 404),
        ("GET /../etc/passwd", 400),
        ("DELETE /", 405),
        ("GET /commands", 405),
        ("POST /commands", 403),
    ] {
        let answer = ask(&core, line, "", "");
        assert_eq!(answer.status, status, "{line}");
        if status == 400 {
            continue;
        }
        let policy = answer.field("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        assert_eq!(answer.field("Referrer-Policy"), Some("no-referrer"));
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
        assert!(!answer.head.has("Access-Control-Allow-Origin"));
    }
    assert_eq!(
        ask(&core, "PUT /", "", "x").field("Allow"),
        Some("GET, HEAD")
    );
    assert_eq!(get(&core, "/commands").field("Allow"), Some("POST"));
}

#[test]
fn names_that_were_bent_to_this_machine_see_nothing() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let port = core.control.port();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        (format!("evil.example:{port}"), 421),
        (format!("localhost.evil.example:{port}"), 421),
        ("localhost".to_owned(), 421),
        (format!("localhost:{}", port ^ 1), 421),
    ] {
        for path in ["/", "/names.json", "/events"] {
            let mut client = Client::connect(core.control);
            client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let head = client.read_head().unwrap();
            assert_eq!(head.status().unwrap(), status, "{host} {path}");
        }
    }
}

#[test]
fn names_are_added_and_removed_as_by_announcement() {
    let (home, origin) = (
        Folder::new("core"),
        Origin::each(|_| respond(200, "text/plain", b"hi")),
    );
    let core = Core::start(&home);
    let (token, port) = (token(&core), origin.address().port());
    let added = post(&core, &token, "", &format!("add Shop.example {port}"));
    assert_eq!(added, (200, format!("ok add shop.example {port}")));
    assert_eq!(core.ask("shop.example"), (200, "hi".into()));
    assert!(core.say("list").contains("shop.example"));
    let wrong = post(&core, &token, "", "add shop.example 0");
    assert!(
        wrong.0 == 422 && wrong.1.starts_with("err bad-port"),
        "{wrong:?}"
    );
    let own = core.server.port();
    let own = post(&core, &token, "", &format!("add shop.example {own}"));
    assert!(own.0 == 422 && own.1.starts_with("err own-port"), "{own:?}");
    assert_eq!(post(&core, &token, "", "shutdown").0, 403);
    assert_eq!(post(&core, &token, "", &"x".repeat(2000)).0, 413);
    let removed = post(&core, &token, "", "remove shop.example");
    assert_eq!(removed, (200, "ok remove shop.example".into()));
    assert_eq!(core.ask("shop.example").0, 404);
}

#[test]
fn a_change_must_come_from_our_own_page() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let (token, port) = (token(&core), core.control.port());
    let ours = format!("Origin: http://localhost:{port}\r\nSec-Fetch-Site: same-origin\r\n");
    for (token, fields) in [
        ("", ours.as_str()),
        ("0123456789abcdef0123456789abcdef", &ours),
        (&token, "Origin: http://evil.example\r\n"),
        (&token, "Origin: null\r\n"),
        (&token, "Sec-Fetch-Site: cross-site\r\n"),
        (
            &token,
            &format!("Origin: http://localhost:{}\r\n", port ^ 1),
        ),
    ] {
        let refused = post(&core, token, fields, "add evil.example 9");
        assert_eq!(refused.0, 403, "{fields}");
    }
    assert!(core.say("list").starts_with("ok list 0"));
    // Nor may pages from elsewhere keep us busy.
    for path in ["/events", "/names.json"] {
        let answer = ask(
            &core,
            &format!("GET {path}"),
            "Sec-Fetch-Site: cross-site\r\n",
            "",
        );
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(post(&core, &token, &ours, "add good.example 9").0, 200);
}

/// The next sample of a stream of events.
fn next_sample(client: &mut Client, seen: &mut String) -> serde_json::Value {
    loop {
        if let Some((event, rest)) = seen.split_once("\n\n") {
            let sample = event.rsplit_once("data: ").unwrap().1.to_owned();
            *seen = rest.to_owned();
            return serde_json::from_str(&sample).unwrap();
        }
        // A small sample is one chunk, between the lines of which are its size and its end.
        let more = client.read_some(1).unwrap();
        seen.push_str(&String::from_utf8(more).unwrap());
    }
}

#[test]
fn what_happens_is_told_while_somebody_watches() {
    let (home, origin) = (
        Folder::new("core"),
        Origin::each(|_| respond(200, "text/plain", b"hi")),
    );
    let core = Core::start(&home);
    let mut client = Client::connect(core.control);
    client.send(request(&core, "GET /events", "", ""));
    let head = client.read_head().unwrap();
    assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
    let mut seen = String::new();
    assert_eq!(next_sample(&mut client, &mut seen)["total"], 0);
    core.announce("shop.example", &origin);
    let mut name = serde_json::Value::Null;
    eventually("the name is there", || {
        name = next_sample(&mut client, &mut seen)["names"][0].clone();
        name["domain"] == "shop.example" && name["health"] == "up"
    });
    assert_eq!(
        (&name["port"], &name["requests"]),
        (&origin.address().port().into(), &0.into())
    );
    eventually("requests show, and how many a second", || {
        core.ask("shop.example");
        name = next_sample(&mut client, &mut seen)["names"][0].clone();
        name["rate"].as_f64().unwrap() > 0.0 && name["p99_ms"].as_f64().is_some()
    });
    drop(origin);
    eventually("what failed shows", || {
        core.ask("shop.example");
        name = next_sample(&mut client, &mut seen)["names"][0].clone();
        name["health"] == "down" && name["failure"]["status"] == 502
    });
    let failure = name["failure"]["text"].as_str().unwrap();
    assert!(failure.starts_with("GET /: localhost:"), "{failure}");
    core.say("remove shop.example");
    eventually("it is gone", || {
        next_sample(&mut client, &mut seen)["total"] == 0
    });
}

#[test]
fn many_names_are_shown_in_part_and_found() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = free_port();
    for number in 0..300 {
        let line = format!("add name-{number}.example {closed}");
        socket.send_to(line.as_bytes(), core.control).unwrap();
    }
    eventually("all are there", || {
        core.say("list").starts_with("ok list 300")
    });
    let all = names(&core, "");
    assert_eq!(
        (&all["total"], &all["matching"]),
        (&300.into(), &300.into())
    );
    assert_eq!(all["names"].as_array().unwrap().len(), 200);
    let some = names(&core, "?q=NAME-29");
    assert_eq!(some["matching"], 11);
    assert_eq!(some["names"][0]["domain"], "name-29.example");
    assert_eq!(names(&core, &format!("?q={closed}"))["matching"], 300);
    assert_eq!(names(&core, "?q=%3Cscript%3E")["matching"], 0);
}

#[test]
fn who_does_not_read_holds_up_nobody_and_too_many_are_turned_away() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    let mut watching: Vec<Client> = Vec::new();
    for _ in 0..32 {
        let mut client = Client::connect_narrow(core.control);
        client.send(request(&core, "GET /events", "", ""));
        assert_eq!(client.read_head().unwrap().status().unwrap(), 200);
        watching.push(client);
    }
    let crowded = get(&core, "/events");
    assert_eq!(crowded.status, 503);
    // None of them reads, and announcements are answered.
    assert_eq!(core.say("ping"), "ok ping");
    assert_eq!(get(&core, "/").status, 200);
    watching.truncate(1);
    eventually("there is room again", || {
        let mut client = Client::connect(core.control);
        client.set_patience(DEADLINE);
        client.send(request(&core, "GET /events", "", ""));
        client.read_head().unwrap().status() == Ok(200)
    });
}

#[test]
fn what_is_no_request_is_refused_and_harms_nobody() {
    let home = Folder::new("core");
    let core = Core::start(&home);
    for (bytes, status) in [
        ("GET nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("POST /commands HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 405),
    ] {
        let mut client = Client::connect(core.control);
        client.send(bytes);
        assert_eq!(client.answer().status, status, "{bytes}");
    }
    assert_eq!(core.say("ping"), "ok ping");
}
