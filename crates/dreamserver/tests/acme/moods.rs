//! Authorities that do not answer, and folders with much in them: what needs no authority of a package.

use crate::house::{House, Plan, failed, wait};
use dream_testkit::Folder;
use dreamserver::acme::{Clock, Refusal};
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
        dream_testkit::eventually("it is tried again", || {
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
    dream_testkit::eventually("the order is given up", || {
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
