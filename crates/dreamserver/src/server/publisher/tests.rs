//! Names from the publisher to requests: two cores, real sockets, endpoints of the test.

use super::super::core::{Cores, Message};
use super::*;
use crate::exchange::Request;
use crate::handler::{Handler, fixed::Respond};
use crate::limits::{Limits, Timeouts};
use crate::listener::{Gate, bind};
use crate::log;
use crate::metrics::Accounts;
use crate::middleware::{Custom, Flow, Middleware};
use crate::router::{Matcher, PathPattern, SiteRoutes, Table};
use crate::serve::{Cause, Named, Snapshot};
use dream_testkit::{Client, DEADLINE, Origin, Response, eventually, respond};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

const CORES: usize = 2;

/// Two cores, and the control plane's end of things.
struct House {
    cores: Cores,
    /// One of each core.
    addresses: Vec<SocketAddr>,
    publisher: Publisher,
    names: Announced,
    accounts: Accounts,
    _log: log::Writer,
}

impl House {
    /// With these sites, and announcements off.
    fn new(sites: &[(&str, &str)]) -> House {
        let off = log::Options {
            target: log::Target::Off,
            ..log::Options::default()
        };
        let log = log::Writer::start(&off).unwrap();
        let (publisher, subscriptions) = Publisher::new(&Registry::default(), CORES);
        let (gate, first) = (Gate::new(100, 100), Arc::new(snapshot(sites)));
        let cores = Cores::start(subscriptions, &first, &Arc::default(), &gate, &log).unwrap();
        let bound = (0..CORES).map(|_| bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap());
        let bound: Vec<_> = bound.collect();
        let addresses = bound.iter().map(|bound| bound[0].address).collect();
        cores.listen(bound);
        House {
            cores,
            addresses,
            publisher,
            names: Announced::new(),
            accounts: Accounts::default(),
            _log: log,
        }
    }

    fn add(&mut self, name: &str, route: &Arc<Route>) {
        let named = Named {
            route: route.clone(),
            account: self.accounts.open(),
        };
        self.names.insert(name, named);
        self.publish();
    }

    fn to(&self, origin: &Origin) -> Arc<Route> {
        self.publisher.route(&origin.url().parse().unwrap())
    }

    fn reload(&self, fresh: Snapshot) {
        let fresh = Arc::new(fresh);
        self.cores.send(|| Message::Publish(fresh.clone()));
    }

    /// A client of each core.
    fn clients(&self) -> Vec<Client> {
        self.addresses.iter().map(Client::connect).collect()
    }

    /// Publishes the names; every core routes by them when this returns.
    fn publish(&mut self) {
        let published = self.publisher.publish(self.names.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(published);
    }

    /// Every core gives this text for `host`.
    #[track_caller]
    fn expect(&self, host: &str, text: &str) {
        for client in &mut self.clients() {
            assert_eq!(ask(client, host), text, "{host}");
        }
    }

    /// Waits until every core gives this text for `host`.
    #[track_caller]
    fn expect_soon(&self, host: &str, text: &str) {
        for client in &mut self.clients() {
            eventually(&format!("{host} is {text}"), || ask(client, host) == text);
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.cores.drain(Cause::Stop, Duration::from_secs(10));
        self.cores.join();
    }
}

/// Sites that answer with a text.
fn snapshot(sites: &[(&str, &str)]) -> Snapshot {
    let site = |(host, text): &(&str, &str)| SiteRoutes {
        hosts: vec![host.parse().unwrap()],
        routes: vec![(Matcher::path(PathPattern::all()), fixed(text))],
    };
    Snapshot {
        table: Table::build(sites.iter().map(site).collect())
            .unwrap_or_else(|_| panic!("no conflict")),
        not_found: None,
        pages: None,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        trusted: Vec::new(),
    }
}

fn answering(text: &str, chain: Vec<Middleware>) -> Route {
    Route {
        strip: 0,
        chain,
        handler: Handler::Respond(Respond::new(200, text.to_owned(), "text/plain".into())),
    }
}

fn fixed(text: &str) -> Arc<Route> {
    Arc::new(answering(text, Vec::new()))
}

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn ask(client: &mut Client, host: &str) -> String {
    client.ask(get(host)).text()
}

#[test]
fn every_core_routes_what_was_published() {
    let mut house = House::new(&[]);
    let origin = Origin::answering(respond(200, "text/plain", b"endpoint"));
    house.add("example.com", &house.to(&origin));
    house.add("*.example.com", &fixed("wildcard"));
    house.expect("Example.COM.:8080", "endpoint");
    house.expect("a.b.example.com", "wildcard");
    assert_eq!(origin.last().field("Host"), Some("Example.COM.:8080"));
    house.names.remove("example.com");
    house.publish();
    for client in &mut house.clients() {
        assert_eq!(client.ask(get("example.com")).status, 404);
    }
}

#[test]
fn a_change_is_routed_within_a_millisecond() {
    let mut house = House::new(&[]);
    let (mut clients, route) = (house.clients(), fixed("here"));
    let mut times: Vec<Duration> = (0..100)
        .map(|number| {
            let host = format!("name-{number}.example.com");
            let begun = Instant::now();
            house.add(&host, &route);
            for client in &mut clients {
                assert_eq!(ask(client, &host), "here");
            }
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "from the change to answers of both cores: {:?}, half within {:?}",
        times[0], times[50]
    );
    // The fastest: others may have had to wait for a processor.
    assert!(times[0] < Duration::from_millis(1), "{:?}", times[0]);
}

#[test]
fn the_most_specific_host_wins() {
    let mut house = House::new(&[
        ("exact.example.com", "site"),
        ("*.example.com", "site *.example.com"),
        ("*", "site *"),
    ]);
    for name in [
        "exact.example.com",
        "name.example.com",
        "*.sub.example.com",
        "other.org",
    ] {
        house.add(name, &fixed(&format!("name {name}")));
    }
    for (host, text) in [
        ("exact.example.com", "site"),
        ("name.example.com", "name name.example.com"),
        ("a.sub.example.com", "name *.sub.example.com"),
        ("sub.example.com", "site *.example.com"),
        ("other.org", "name other.org"),
        ("a.other.org", "site *"),
        ("127.0.0.1", "site *"),
    ] {
        house.expect(host, text);
    }
}

#[test]
fn names_and_configuration_do_not_disturb_each_other() {
    let mut house = House::new(&[("site.example.com", "old")]);
    house.add("name.example.com", &fixed("name"));
    house.expect("name.example.com", "name");
    house.reload(snapshot(&[("site.example.com", "new")]));
    house.expect_soon("site.example.com", "new");
    house.expect("name.example.com", "name");
    house.add("second.example.com", &fixed("second"));
    house.expect("second.example.com", "second");
    house.expect("site.example.com", "new");
}

#[test]
fn limits_of_a_reload_hold_for_announced_names() {
    let mut house = House::new(&[]);
    let origin = Origin::answering(respond(200, "text/plain", b"taken"));
    house.add("a", &house.to(&origin));
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(house.clients()[0].ask(post).status, 200);
    let mut fresh = snapshot(&[]);
    fresh.limits.max_body = Some(1);
    house.reload(fresh);
    for address in house.addresses.clone() {
        eventually("the body is too large", || {
            Client::connect(address).ask(post).status == 413
        });
    }
}

#[test]
fn what_changes_holds_for_the_next_request_of_an_open_connection() {
    let mut house = House::new(&[]);
    house.add("a", &fixed("one"));
    house.expect("a", "one");
    let mut open = house.clients();
    for client in &mut open {
        assert_eq!(ask(client, "a"), "one");
    }
    house.add("a", &fixed("two"));
    house.expect("a", "two");
    for client in &mut open {
        assert_eq!(ask(client, "a"), "two");
    }
}

#[test]
fn a_request_ends_where_it_began() {
    let mut house = House::new(&[]);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let old = Origin::each(move |_| {
        let _ = released.lock().unwrap().recv_timeout(DEADLINE);
        respond(200, "text/plain", b"old")
    });
    let new = Origin::answering(respond(200, "text/plain", b"new"));
    house.add("a", &house.to(&old));
    let mut running = Client::connect(house.addresses[0]);
    running.send(get("a"));
    eventually("the request arrives", || old.requests().len() == 1);
    house.add("a", &house.to(&new));
    house.expect("a", "new");
    release.send(()).unwrap();
    assert_eq!(running.answer().text(), "old");
    assert_eq!(ask(&mut running, "a"), "new");
}

/// Streams a body of `length` bytes, one for each word of the test.
fn stream(length: usize) -> (Origin, mpsc::Sender<()>) {
    let (more, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let origin = Origin::start(move |connection| {
        connection.read_request();
        connection.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        for _ in 0..length {
            let _ = told.lock().unwrap().recv_timeout(DEADLINE);
            connection.write("x");
        }
        connection.wait_for_close();
    });
    (origin, more)
}

#[test]
fn streams_and_tunnels_go_on_while_ten_thousand_names_change() {
    const CHANGES: usize = 10_000;
    const WORDS: usize = 100;
    let mut house = House::new(&[]);
    let (chat, (events, more)) = (Origin::tunnel(), stream(WORDS));
    house.add("chat.example.com", &house.to(&chat));
    house.add("events.example.com", &house.to(&events));
    let (mut talking, mut listening) = (
        Client::connect(house.addresses[0]),
        Client::connect(house.addresses[1]),
    );
    talking.send("GET / HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(talking.read_response("GET").unwrap().status, 101);
    listening.send(get("events.example.com"));
    assert_eq!(listening.read_head().unwrap().status().unwrap(), 200);
    let route = fixed("name");
    for number in 0..CHANGES {
        house.add(&format!("name-{}.example.com", number % 1000), &route);
        if number % (CHANGES / WORDS) == 0 {
            talking.send("word");
            assert_eq!(talking.read_some(4).unwrap(), b"word");
            more.send(()).unwrap();
            assert_eq!(listening.read_some(1).unwrap(), b"x");
        }
    }
    house.expect("name-999.example.com", "name");
    assert_eq!((chat.connections(), events.connections()), (1, 1));
}

#[test]
fn an_unknown_domain_is_told_how_to_announce_itself() {
    let mut house = House::new(&[("site.example.com", "site")]);
    house.expect("site.example.com", "site");
    let told = |answer: &Response| {
        answer
            .text()
            .contains("dreamserver add new.example.com 5665")
    };
    for client in &mut house.clients() {
        let answer = client.ask(get("new.example.com"));
        assert!(
            answer.status == 404 && !told(&answer),
            "announcements are off"
        );
    }
    house.publish();
    for client in &mut house.clients() {
        assert!(told(&client.ask(get("New.example.com:8080"))));
        for host in ["127.0.0.1:8080", "127.1", "-a", "a..b"] {
            let answer = client.ask(get(host));
            assert!(
                answer.status == 404 && !answer.text().contains("dreamserver add"),
                "{host}"
            );
        }
    }
}

/// Tells on which thread it is dropped.
struct Dropped(mpsc::Sender<ThreadId>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

impl Custom for Dropped {
    fn on_request(&self, _: &mut Request) -> Flow {
        Flow::Continue
    }
}

#[test]
fn what_is_retired_is_freed_by_the_publisher() {
    let mut house = House::new(&[]);
    let (sender, dropped) = mpsc::channel();
    let chain = vec![Middleware::Custom(Arc::new(Dropped(sender)))];
    let route = Arc::new(answering("short-lived", chain));
    house.add("a", &route);
    drop(route);
    house.expect("a", "short-lived");
    house.add("a", &fixed("next"));
    house.expect("a", "next");
    let mut freed = None;
    eventually("it is freed", || {
        house.publisher.sweep();
        freed = dropped.try_recv().ok();
        freed.is_some()
    });
    assert_eq!(freed, Some(thread::current().id()));
    assert_eq!(house.publisher.retired.len(), 0);
}
