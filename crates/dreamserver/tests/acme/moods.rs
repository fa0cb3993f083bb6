//! Authorities that do not answer, and folders with much in them: what needs no authority of a package.

use crate::house::{House, Plan, failed, wait};
use dream_testkit::{Directory, Folder, eventually};
use dreamserver::inside::acme::{Clock, Refusal};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// An office that asks nobody whether a name leads here, and this authority for everything.
fn plan(house: &House, folder: &Folder, directory: &str) -> Plan {
    let mut plan = Plan::new(house, folder, directory, PathBuf::new());
    plan.options.authority.root = None;
    plan.options.preflight = false;
    plan
}

#[test]
fn an_authority_that_is_down_is_left_alone_for_longer_and_longer() {
    let (house, folder) = (House::new(), Folder::new("acme"));
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let (hand, clock) = Clock::by_hand(begin);
    let mut plan = plan(&house, &folder, "https://127.0.0.1:1/dir");
    plan.clock = clock;
    let office = plan.open();
    let (error, advice) = failed(wait(office.want("a.example.com")));
    assert!(
        error.contains("the authority cannot be reached") && error.contains("refused"),
        "{error}"
    );
    assert!(advice.contains("https://127.0.0.1:1/dir"), "{advice}");
    // At once, from memory.
    failed(wait(office.want("a.example.com")));
    let mut now = begin;
    let mut pauses = Vec::new();
    for failures in 1..=4 {
        let trouble = wait(office.list()).remove(0).trouble.unwrap();
        assert_eq!(trouble.failures, failures);
        pauses.push(trouble.next.duration_since(now).unwrap().as_secs());
        now = trouble.next;
        hand.send(now).unwrap();
        eventually("it is tried again", || {
            let trouble = wait(office.list()).remove(0).trouble.unwrap();
            trouble.failures == failures + 1
        });
    }
    assert!(
        pauses.is_sorted() && pauses[0] <= 60 && pauses[3] > 400,
        "{pauses:?}"
    );
    office.stop();
    // What failed is remembered.
    let trouble = wait(plan.open().list()).remove(0).trouble.unwrap();
    assert_eq!(trouble.failures, 5);
}

#[test]
fn an_authority_that_is_slow_holds_up_no_handshake() {
    let (house, folder) = (House::new(), Folder::new("acme"));
    // Connections are accepted by the system, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = format!("https://{}/dir", silent.local_addr().unwrap());
    let mut plan = plan(&house, &folder, &directory);
    plan.options.wait = Duration::from_millis(100);
    plan.options.timeout = Duration::from_secs(1);
    let office = plan.open();
    assert_eq!(
        wait(office.want("a.example.com")).unwrap_err(),
        Refusal::Slow
    );
    assert!(wait(office.list())[0].is_ordered);
    eventually("the order is given up", || {
        !wait(office.list())[0].is_ordered
    });
    let (error, _) = failed(wait(office.want("a.example.com")));
    assert!(error.contains("takes too long"), "{error}");
}

#[test]
fn where_nothing_is_ordered_that_is_said() {
    let (house, folder) = (House::new(), Folder::new("acme"));
    let mut plan = plan(&house, &folder, "https://127.0.0.1:1/dir");
    plan.options.enabled = false;
    let office = plan.open();
    office.added("a.example.com");
    assert_eq!(
        wait(office.want("a.example.com")).unwrap_err(),
        Refusal::Disabled
    );
    assert_eq!(
        wait(office.renew("a.example.com")).unwrap_err(),
        Refusal::Disabled
    );
}

#[test]
fn a_hundred_thousand_certificates_are_no_wait() {
    let (house, folder) = (House::new(), Folder::new("acme"));
    let plan = plan(&house, &folder, "https://127.0.0.1:1/dir");
    plan.open().stop();
    let made = rcgen::generate_simple_self_signed(vec!["a.example.com".into()]).unwrap();
    let text = made.cert.pem() + &made.signing_key.serialize_pem();
    for number in 0..100_000 {
        // One of them is what it is called; the others are looked at later.
        fs::write(
            plan.folder
                .join(format!("certificates/{number}.example.com")),
            "",
        )
        .unwrap();
    }
    fs::write(plan.folder.join("certificates/a.example.com"), text).unwrap();
    let begun = Instant::now();
    let office = plan.open();
    let credential = wait(office.want("a.example.com")).unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    println!("100,000 certificates: {took:?} to the first");
    assert_eq!(credential.names(), ["a.example.com"]);
}

/// The first of January 2033, when the certificates of [`Directory`] begin, and `days` later.
fn day(days: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_988_150_400 + days * 86_400)
}

#[test]
fn a_certificate_is_renewed_when_its_authority_wants_that() {
    let (house, folder, directory) = (House::new(), Folder::new("acme"), Directory::start());
    directory.suggest("2033-01-10T00:00:00Z", "2033-01-12T00:00:00Z");
    let (hand, clock) = Clock::by_hand(day(1));
    let mut plan = plan(&house, &folder, &directory.url());
    plan.options.authority.root = Some(directory.root());
    plan.options.authority.profile = Some("short".into());
    plan.clock = clock;
    let office = plan.open();
    let first = wait(office.want("a.example.com")).unwrap();
    let renewal = || wait(office.list())[0].renewal.unwrap();
    eventually("the authority was asked", || renewal() < day(12));
    assert!(renewal() >= day(9) && renewal() <= day(11));
    hand.send(day(12)).unwrap();
    eventually("it is renewed", || plan.came.lock().unwrap().len() == 2);
    // The authority goes on to suggest what is in the past: nothing is ordered again and again.
    eventually("the authority was asked", || renewal() < day(13));
    assert!(renewal() > day(12));
    assert_ne!(
        wait(office.want("a.example.com")).unwrap().certified().cert,
        first.certified().cert
    );
    let orders = directory.orders();
    assert_eq!(orders.len(), 2);
    assert!(orders.iter().all(|order| order["profile"] == "short"));
    assert!(orders[0].get("replaces").is_none());
    assert!(
        orders[1]["replaces"].as_str().unwrap().contains('.'),
        "{orders:?}"
    );
}

#[test]
fn a_profile_that_the_authority_does_not_have_is_named() {
    let (house, folder, directory) = (House::new(), Folder::new("acme"), Directory::start());
    let mut plan = plan(&house, &folder, &directory.url());
    plan.options.authority.root = Some(directory.root());
    plan.options.authority.profile = Some("long".into());
    let (error, advice) = failed(wait(plan.open().want("a.example.com")));
    assert!(error.contains("no profile `long`"), "{error}");
    assert!(
        advice.contains("usual") && advice.contains("short"),
        "{advice}"
    );
    assert!(directory.orders().is_empty());
}

#[test]
fn an_authority_that_is_asked_too_often_is_left_alone_for_as_long_as_it_says() {
    let (house, folder, directory) = (House::new(), Folder::new("acme"), Directory::start());
    directory.refuse(Some(7200));
    let mut plan = plan(&house, &folder, &directory.url());
    plan.options.authority.root = Some(directory.root());
    let office = plan.open();
    let (error, _) = failed(wait(office.want("a.example.com")));
    assert!(error.contains("too many orders (rateLimited)"), "{error}");
    let trouble = wait(office.list()).remove(0).trouble.unwrap();
    let left = trouble.next.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(7000), "{left:?}");
}

#[test]
fn a_name_that_leads_elsewhere_is_never_ordered() {
    let (house, folder, directory) = (House::new(), Folder::new("acme"), Directory::start());
    let mut plan = plan(&house, &folder, &directory.url());
    plan.options.authority.root = Some(directory.root());
    plan.options.preflight = true;
    // Nobody answers for names there.
    plan.options.resolver = Some("127.0.0.1:1".parse().unwrap());
    let (error, advice) = failed(wait(plan.open().want("a.example.com")));
    assert!(error.contains("the DNS does not answer"), "{error}");
    assert!(advice.contains("acme.resolver"), "{advice}");
    assert!(directory.orders().is_empty());
}
