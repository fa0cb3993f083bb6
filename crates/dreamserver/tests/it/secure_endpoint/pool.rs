//! Connections to secure endpoints: made once, used often, resumed, and given up in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dream_testkit::{DEADLINE, Folder, Origin, eventually, poll_until, respond};
use rustls::HandshakeKind;

use super::{Ca, Proxy, answering, before, site, url};
use crate::start::{get, post};

#[test]
fn a_connection_is_used_again_though_tickets_come_late() {
    let (origin, proxy) = before(|connection| {
        while connection.read_request().is_some() {
            connection.write(respond(200, "text/plain", b"ok"));
        }
    });
    let mut client = proxy.server.client();
    for number in 0..20 {
        let request = if number % 2 == 0 {
            get("/")
        } else {
            post("/", "x")
        };
        assert_eq!(client.ask(request).body, b"ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_the_endpoint_ended_is_not_used_again() {
    let (origin, proxy) = before(|connection| {
        connection.read_request();
        connection.write(respond(200, "text/plain", b"ok"));
    });
    let mut client = proxy.server.client();
    for number in 1..=5 {
        assert_eq!(client.ask(post("/", "x")).body, b"ok");
        assert_eq!(origin.connections(), number);
        eventually("the endpoint has closed", || origin.open_connections() == 0);
    }
}

#[test]
fn sessions_are_resumed() {
    let ca = Ca::new();
    let (full, resumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (full.clone(), resumed.clone());
    let origin = Origin::start_secure(ca.leaf(&["localhost"]).config(), move |connection| {
        connection.read_request();
        match connection.with_tls(|tls| tls.handshake_kind()).flatten() {
            Some(HandshakeKind::Resumed) => counts.1.fetch_add(1, Ordering::SeqCst),
            _ => counts.0.fetch_add(1, Ordering::SeqCst),
        };
        connection.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    });
    let proxy = Proxy::trusting(&ca, &[&origin]);
    for _ in 0..6 {
        assert_eq!(proxy.server.client().ask(get("/")).body, b"ok");
    }
    let counted = (full.load(Ordering::SeqCst), resumed.load(Ordering::SeqCst));
    assert_eq!(counted, (1, 5));
}

#[test]
fn routes_with_other_terms_share_no_connection() {
    let ca = Ca::new();
    let origin = answering(ca.leaf(&["localhost"]).config());
    let folder = Folder::new("terms");
    folder.write("ca.pem", &ca.pem);
    folder.write("other.pem", &Ca::new().pem);
    let url = url(&origin);
    let config = format!(
        "[sites.\"*\"]\nproxy = \"{url}\"\nproxy_tls = {{ ca = \"ca.pem\" }}\n\
         [[sites.\"*\".routes]]\npath = \"/same\"\nproxy = \"{url}\"\n\
         [[sites.\"*\".routes]]\npath = \"/insecure\"\nproxy = \"{url}\"\nproxy_tls = {{ insecure = true }}\n\
         [[sites.\"*\".routes]]\npath = \"/other\"\nproxy = \"{url}\"\nproxy_tls = {{ ca = \"other.pem\" }}\n"
    );
    let proxy = Proxy::start(folder, &config);
    let mut client = proxy.server.client();
    for (path, status, connections) in [
        ("/", 200, 1),
        ("/same", 200, 1),
        ("/insecure", 200, 2),
        ("/other", 502, 3),
        ("/", 200, 3),
        ("/insecure", 200, 3),
    ] {
        assert_eq!(client.ask(get(path)).status, status, "{path}");
        assert_eq!(origin.connections(), connections, "{path}");
    }
}

#[test]
fn an_endpoint_that_ends_the_handshake_is_followed_by_the_next() {
    let ca = Ca::new();
    let broken = Origin::start(|connection| {
        connection.read_some(1);
    });
    let whole = answering(ca.leaf(&["localhost"]).config());
    let proxy = Proxy::trusting(&ca, &[&broken, &whole]);
    // On one core, where each endpoint has its turn.
    let mut client = proxy.server.client();
    for _ in 0..4 {
        assert_eq!(client.ask(post("/", "whole")).body, b"ok");
    }
    assert!(broken.connections() >= 2);
    assert!(
        whole
            .requests()
            .iter()
            .all(|request| request.body == b"whole")
    );
}

#[test]
fn a_handshake_that_hangs_has_the_time_of_a_connect() {
    let ca = Ca::new();
    let mute = Origin::start(|connection| connection.wait_for_close());
    let folder = Folder::new("mute");
    folder.write("ca.pem", &ca.pem);
    let site = site(&[&mute], "ca = \"ca.pem\"");
    let proxy = Proxy::start(folder, &format!("[timeouts]\nconnect = \"500ms\"\n{site}"));
    let answer = proxy.server.client().ask(post("/", "x"));
    assert_eq!(answer.status, 504);
    proxy
        .server
        .message(|line| line.contains("the TLS handshake took too long"));
    let gone = poll_until(DEADLINE, || (mute.open_connections() == 0).then_some(()));
    assert!(gone.is_some(), "the connection is given up");
}
