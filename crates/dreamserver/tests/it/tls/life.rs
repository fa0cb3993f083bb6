//! Secure connections while the server ends, changes hands, or has very many of them; and what endpoints hear of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use dream_testkit::{
    Client, DEADLINE, Origin, ReadError, Security, Signal, eventually, raise_descriptor_limit,
    respond,
};

use super::{Ground, get, house, site, write_config};
use crate::announce::Core;

#[test]
fn endpoints_hear_that_it_was_https() {
    let house = house(Origin::echo());
    assert_eq!(house.client().ask(get("/")).status, 200);
    let got = house.origin().last();
    assert_eq!(got.field("X-Forwarded-Proto"), Some("https"));
    let port = house.tls.port().to_string();
    assert_eq!(got.field("X-Forwarded-Port"), Some(port.as_str()));
    assert!(got.field("Forwarded").unwrap().contains("proto=https"));
}

#[test]
fn redirects_of_an_endpoint_lead_to_https() {
    let origin = Origin::start(|connection| {
        while let Some(request) = connection.read_request() {
            let here = request.target.trim_start_matches('/');
            connection.write(format!(
                "HTTP/1.1 302 Found\r\nLocation: http://{here}/next\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let ground = Ground::new();
    ground.issue("a", &["a.example"]);
    let rewriting = "rewrite_redirects = true\nproxy";
    let house = ground.start(&site("a.example", "a", &origin).replace("proxy", rewriting));
    // The endpoint names itself, which only the test can tell it.
    let answer = house.client().ask(get(&format!("/{}", origin.address())));
    assert_eq!(answer.field("Location"), Some("https://a.example/next"));
}

#[test]
fn idle_connections_end_politely_when_the_server_does() {
    let mut house = house(Origin::answering(respond(200, "text/plain", b"ok")));
    let mut idle: Vec<Client> = (0..10).map(|_| house.client()).collect();
    for client in &mut idle[..5] {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    house.server.signal(Signal::TERM);
    for mut client in idle {
        let end = client.read_some(1).unwrap_err();
        assert!(matches!(end, ReadError::Closed(_)), "{end}");
    }
    assert!(house.server.wait(DEADLINE).is_some());
}

#[test]
fn a_take_over_refuses_no_secure_connection() {
    let (ground, origin) = (
        Ground::new(),
        Origin::answering(respond(200, "text/plain", b"ok")),
    );
    ground.issue("a", &["a.example"]);
    write_config(&ground.home, &site("a.example", "a", &origin));
    let start = || {
        Core::start_as(
            &ground.home,
            &["run", "--take-over", "--config", "dreamserver.toml"],
        )
    };
    let mut core = start();
    let address = core.server.secure_address();
    let security = Security::new(&ground.ca, "a.example");
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let mut client = Client::secure(address, &security);
                        for _ in 0..3 {
                            let answer = client.ask(get("/"));
                            assert_eq!(answer.status, 200);
                            served.fetch_add(1, Ordering::Relaxed);
                            if answer.says_close() {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut old = Vec::new();
        for _ in 0..4 {
            let before = served.load(Ordering::Relaxed);
            eventually("the load is under way", || {
                let failed = load.iter().any(|thread| thread.is_finished());
                failed || served.load(Ordering::Relaxed) > before + 20
            });
            let next = start();
            assert_eq!(next.server.secure_address(), address);
            old.push(std::mem::replace(&mut core, next));
        }
        over.store(true, Ordering::Relaxed);
        for mut core in old {
            assert!(core.server.wait(DEADLINE).is_some());
        }
    });
    assert_eq!(Client::secure(address, &security).ask(get("/")).status, 200);
}

/// `DREAM_IDLE=10000` makes it 10,000 connections.
#[test]
fn an_idle_secure_connection_is_small() {
    let count = std::env::var("DREAM_IDLE").map_or(500, |count| count.parse().unwrap());
    let limit = raise_descriptor_limit();
    assert!(limit > count + 100, "{limit} descriptors are too few");
    let house = house(Origin::answering(respond(200, "text/plain", b"ok")));
    // What the first connections need once is not counted.
    for _ in 0..20 {
        house.serves();
    }
    let before = house.server.rss();
    let security = house.security();
    let idle: Vec<Client> = (0..count)
        .map(|_| {
            let mut client = Client::secure(house.tls, &security);
            assert_eq!(client.ask(get("/")).status, 200);
            client
        })
        .collect();
    let each = house.server.rss().saturating_sub(before) / count;
    println!("{each} bytes an idle connection, of {}", idle.len());
    assert!(each < 24_000, "{each} bytes an idle connection");
}
