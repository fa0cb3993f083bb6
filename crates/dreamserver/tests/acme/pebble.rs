//! With Pebble, Debian's package of it: the protocol as those who define it understand it.

use crate::house::{House, Plan, authority, failed, wait, wait_all};
use dream_testkit::{Client, Dns, Folder, Pebble, eventually, poll_until};
use dreamserver::inside::acme::{Check, Clock, Permission, Refusal, Wildcard};
use dreamserver::inside::config::Eab;
use dreamserver::inside::credential::Credential;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A house, where names lead to it, and an authority that looks there.
struct Town {
    house: House,
    dns: Dns,
    pebble: Pebble,
    folder: Folder,
}

/// Is this program there? It may be missing where nothing says that it must not.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    let required = env::var_os("CI").is_some()
        || env::var("DREAM_PEERS").is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "{program} is missing, and peers are required"
    );
    if !found {
        println!("LEFT OUT: {program} is missing");
    }
    found
}

/// Nothing where Pebble is missing, and may be.
fn town(settings: &[(&str, &str)]) -> Option<Town> {
    town_with(settings, "")
}

/// The same with more in Pebble's configuration.
fn town_with(settings: &[(&str, &str)], more: &str) -> Option<Town> {
    if !has("pebble") {
        return None;
    }
    let (house, dns) = (House::new(), Dns::start());
    let pebble = Pebble::with(&dns, house.address.port(), 1, settings, more);
    Some(Town {
        house,
        dns,
        pebble,
        folder: Folder::new("acme"),
    })
}

impl Town {
    fn plan(&self) -> Plan {
        let mut plan = Plan::new(
            &self.house,
            &self.folder,
            &self.pebble.directory(),
            self.pebble.root(),
        );
        plan.options.resolver = Some(self.dns.address());
        plan
    }

    #[track_caller]
    fn assert_valid(&self, credential: &Credential, name: &str) {
        assert_valid(&self.pebble.issuer(), credential, name);
    }
}

/// Does a browser that trusts this authority, of which this is the root as PEM, take the certificate for the name?
#[track_caller]
pub(crate) fn assert_valid(root: &str, credential: &Credential, name: &str) {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.into());
    let chain = &credential.certified().cert;
    let name = ServerName::try_from(name).unwrap();
    let verified = verifier.build().unwrap().verify_server_cert(
        &chain[0],
        &chain[1..],
        &name,
        &[],
        UnixTime::now(),
    );
    verified.unwrap();
}

#[test]
fn a_name_that_is_wanted_has_a_certificate_from_then_on() {
    let Some(town) = town(&[]) else { return };
    let plan = town.plan();
    let office = plan.open();
    let credential = wait(office.want("www.Example.com")).unwrap();
    town.assert_valid(&credential, "www.example.com");
    assert_eq!(*plan.came.lock().unwrap(), ["www.example.com"]);
    let again = wait(office.want("www.example.com")).unwrap();
    assert_eq!(again.certified().cert, credential.certified().cert);
    let rows = wait(office.list());
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].issuer.as_ref().unwrap().contains("Pebble"),
        "{rows:?}"
    );
    assert!(rows[0].renewal.unwrap() < credential.not_after() && rows[0].trouble.is_none());
    // Nothing is left for others to see.
    let mut client = Client::connect(town.house.address);
    let answer =
        client.ask("GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert_eq!(answer.text(), "the site");

    office.stop();
    assert_eq!(
        wait(office.want("www.example.com")).unwrap_err(),
        Refusal::Closed
    );
    // Without the authority, from the disk.
    let Town { house, folder, .. } = town;
    let mut plan = Plan::new(
        &house,
        &folder,
        "https://127.0.0.1:1/",
        plan.options.authority.root.clone().unwrap(),
    );
    plan.options.authority.root = None;
    let kept = wait(plan.open().want("www.example.com")).unwrap();
    assert_eq!(kept.certified().cert, credential.certified().cert);
}

#[test]
fn a_name_that_leads_elsewhere_is_told_so() {
    let Some(town) = town(&[]) else { return };
    town.dns.point("wrong.example.com", "127.0.0.9");
    town.dns.fail("nowhere.example.com");
    let office = town.plan().open();
    let (error, advice) = failed(wait(office.want("wrong.example.com")));
    assert!(
        error.contains("127.0.0.9") && error.contains("refuses the connection"),
        "{error}"
    );
    assert!(
        advice.contains("DNS records of wrong.example.com"),
        "{advice}"
    );
    let (error, _) = failed(wait(office.want("nowhere.example.com")));
    assert!(
        error.contains("the DNS does not answer for nowhere.example.com"),
        "{error}"
    );
    let rows = wait(office.list());
    assert_eq!(rows.iter().filter(|row| row.trouble.is_some()).count(), 2);
}

#[test]
fn names_that_are_not_served_have_none() {
    let Some(town) = town(&[]) else { return };
    let mut plan = town.plan();
    plan.permit = Arc::new(|name| match name {
        "a.example.com" => Permission::Exact,
        _ => Permission::No,
    });
    let office = plan.open();
    wait(async {
        for number in 0..10_000 {
            let refused = office.want(&format!("{number}.example.com")).await;
            assert_eq!(refused.unwrap_err(), Refusal::NotServed);
        }
        assert!(matches!(
            office.want("app.localhost").await,
            Err(Refusal::Unfit(_))
        ));
        assert!(office.list().await.is_empty());
        office.want("a.example.com").await.unwrap();
    });
}

#[test]
fn all_who_want_a_name_wait_for_one_order() {
    let Some(town) = town(&[]) else { return };
    let plan = town.plan();
    let office = plan.open();
    let answers = wait_all(&office, (0..50).map(|_| "a.example.com".to_owned()));
    let first = answers[0].as_ref().unwrap();
    for answer in &answers {
        assert_eq!(
            answer.as_ref().unwrap().certified().cert,
            first.certified().cert
        );
    }
    assert_eq!(plan.came.lock().unwrap().len(), 1);
}

#[test]
fn two_hundred_names_at_once() {
    let Some(town) = town(&[]) else { return };
    let mut plan = town.plan();
    plan.options.wait = Duration::from_secs(120);
    let office = plan.open();
    let name = |number: usize| format!("www.example{number}.com");
    // Half of them announced, half of them wanted.
    (0..100).for_each(|number| office.added(&name(number)));
    for answer in wait_all(&office, (100..200).map(name)) {
        answer.unwrap();
    }
    // Two hundred orders take a busy machine longer than one wait of a test does.
    let came = poll_until(Duration::from_secs(120), || {
        let troubles: Vec<_> = wait(office.list())
            .into_iter()
            .filter_map(|row| row.trouble)
            .collect();
        assert!(troubles.is_empty(), "{troubles:?}");
        (plan.came.lock().unwrap().len() == 200).then_some(())
    });
    assert!(came.is_some(), "{} of 200", plan.came.lock().unwrap().len());
    let rows = wait(office.list());
    assert!(
        rows.iter()
            .all(|row| row.not_after.is_some() && row.trouble.is_none() && !row.is_ordered)
    );
    // One account for all of them.
    assert_eq!(
        std::fs::read_dir(plan.folder.join("accounts"))
            .unwrap()
            .count(),
        1
    );
    assert_eq!(
        std::fs::read_dir(plan.folder.join("orders"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn bad_nonces_are_no_failures() {
    let Some(town) = town(&[("PEBBLE_WFE_NONCEREJECT", "30")]) else {
        return;
    };
    let office = town.plan().open();
    wait(office.want("a.example.com")).unwrap();
}

#[test]
fn a_fallback_gives_what_the_first_does_not() {
    let Some(town) = town(&[]) else { return };
    let mut plan = town.plan();
    plan.options.fallback = Some(plan.options.authority);
    plan.options.authority = authority("https://127.0.0.1:1/dir", town.pebble.root());
    let office = plan.open();
    let credential = wait(office.want("a.example.com")).unwrap();
    town.assert_valid(&credential, "a.example.com");
}

#[test]
fn an_authority_that_wants_to_know_whose_account_it_is_is_told() {
    // The key's bytes are those of `a key that both of them know....`.
    let keys = concat!(
        r#", "externalAccountBindingRequired": true, "#,
        r#""externalAccountMACKeys": {"ann": "YSBrZXkgdGhhdCBib3RoIG9mIHRoZW0ga25vdy4uLi4"}"#,
    );
    let Some(town) = town_with(&[], keys) else {
        return;
    };
    let eab = |id: &str, key: &[u8]| {
        let (id, key) = (id.to_owned(), key.to_owned());
        Some(Eab { id, key })
    };
    let known = b"a key that both of them know....";
    for (number, wrong) in [
        None,
        eab("bob", known),
        eab("ann", b"a key that only one of them knows"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut plan = town.plan();
        plan.folder = town.folder.join(&format!("wrong-{number}"));
        plan.options.authority.eab = wrong;
        let (error, advice) = failed(wait(plan.open().want("a.example.com")));
        assert!(!error.is_empty(), "{number}");
        assert!(advice.contains("eab"), "{number}: {error}: {advice}");
    }
    let mut plan = town.plan();
    plan.options.authority.eab = eab("ann", known);
    let credential = wait(plan.open().want("a.example.com")).unwrap();
    town.assert_valid(&credential, "a.example.com");
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
    let Some(town) = town(&[]) else { return };
    let (hand, clock) = Clock::by_hand(SystemTime::now());
    let mut plan = town.plan();
    plan.clock = clock;
    let office = plan.open();
    let first = wait(office.want("a.example.com")).unwrap();
    let renewal = wait(office.list())[0].renewal.unwrap();
    let life = first
        .not_after()
        .duration_since(first.not_before())
        .unwrap();
    let left = first.not_after().duration_since(renewal).unwrap();
    assert!(left <= life / 3 && left >= life / 4, "{left:?} of {life:?}");
    hand.send(renewal - Duration::from_secs(60)).unwrap();
    let same = wait(office.want("a.example.com")).unwrap();
    assert_eq!(same.certified().cert, first.certified().cert);
    hand.send(renewal + Duration::from_secs(60)).unwrap();
    eventually("it is renewed", || plan.came.lock().unwrap().len() == 2);
    let second = wait(office.want("a.example.com")).unwrap();
    assert_ne!(second.certified().cert, first.certified().cert);
    town.assert_valid(&second, "a.example.com");
    let third = wait(office.renew("a.example.com")).unwrap();
    assert_ne!(third.certified().cert, second.certified().cert);
}

#[test]
fn an_authority_that_has_lost_everything_is_asked_anew() {
    let Some(mut town) = town(&[]) else { return };
    let plan = town.plan();
    let office = plan.open();
    wait(office.want("a.example.com")).unwrap();
    let again = Pebble::start_again(town.pebble, &town.dns);
    town.pebble = again;
    let credential = wait(office.want("b.example.com")).unwrap();
    town.assert_valid(&credential, "b.example.com");
}

#[test]
fn names_below_a_wildcard_are_asked_for() {
    let Some(town) = town(&[]) else { return };
    let mut plan = town.plan();
    let of = |pattern: &str, path: Option<&str>| {
        let check = path.map(|path| Check {
            addresses: vec![town.house.address],
            path: path.to_owned(),
        });
        let pattern = pattern.to_owned();
        Permission::Wildcard(Wildcard { pattern, check })
    };
    let (known, unknown) = (of("*.example.com", Some("/")), of("*.example.com", None));
    let wide = of("*.co.uk", Some("/"));
    plan.permit = Arc::new(move |name| match name {
        "known.example.com" => known.clone(),
        "shop.co.uk" => wide.clone(),
        _ => unknown.clone(),
    });
    let office = plan.open();
    wait(office.want("known.example.com")).unwrap();
    assert_eq!(
        wait(office.want("x.example.com")).unwrap_err(),
        Refusal::NotServed
    );
    assert_eq!(
        wait(office.want("shop.co.uk")).unwrap_err(),
        Refusal::NotServed
    );
    assert_eq!(wait(office.list()).len(), 1);
}

#[test]
fn a_process_that_was_killed_in_an_order_is_gone_on_from() {
    let slow = [("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "3")];
    let Some(town) = town(&slow) else { return };
    let plan = town.plan();
    let mut killed = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "pebble::order_for_another_test",
            "--ignored",
            "--nocapture",
        ])
        .env("ACME_FOLDER", &plan.folder)
        .env("ACME_DIRECTORY", town.pebble.directory())
        .env("ACME_ROOT", town.pebble.root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let order = plan.folder.join("orders/a.example.com");
    eventually("the order is under way", || order.exists());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let account = std::fs::read_dir(plan.folder.join("accounts"))
        .unwrap()
        .count();
    assert_eq!(account, 1);
    // The order goes on by itself; if the authority has looked in vain meanwhile, it is placed anew.
    let office = plan.open();
    eventually("the name has its certificate", || {
        let answer = wait(office.want("a.example.com"));
        answer.is_ok() || wait(office.renew("a.example.com")).is_ok()
    });
    assert!(!order.exists());
}

/// What the test above kills.
#[test]
#[ignore = "is run by another test"]
fn order_for_another_test() {
    let path = |name: &str| PathBuf::from(env::var_os(name).unwrap());
    let house = House::new();
    let mut plan = Plan::new(
        &house,
        &Folder::new("unused"),
        &env::var("ACME_DIRECTORY").unwrap(),
        path("ACME_ROOT"),
    );
    plan.folder = path("ACME_FOLDER");
    plan.options.preflight = false;
    let office = plan.open();
    let _ = wait(office.want("a.example.com"));
}
