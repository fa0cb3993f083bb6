//! With Pebble, Debian's package of it: the protocol as those who define it understand it.

use crate::house::{House, Plan, failed, wait};
use dream_testkit::{Client, Dns, Folder, Pebble};
use dreamserver::acme::{Permission, Refusal};
use dreamserver::credential::Credential;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::env;
use std::process::Command;
use std::sync::Arc;

/// A house, where names lead to it, and an authority that looks there.
struct Town {
    house: House,
    dns: Dns,
    pebble: Pebble,
    folder: Folder,
}

/// Nothing where Pebble is missing, and may be.
fn town(settings: &[(&str, &str)]) -> Option<Town> {
    let found = Command::new("pebble").arg("--version").output().is_ok();
    let required = env::var_os("CI").is_some()
        || env::var("DREAM_PEERS").is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "pebble is missing, and peers are required"
    );
    if !found {
        println!("LEFT OUT: pebble is missing");
        return None;
    }
    let (house, dns) = (House::new(), Dns::start());
    let pebble = Pebble::start(&dns, house.address.port(), 1, settings);
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

    /// Does a browser that trusts this authority take the certificate for the name?
    #[track_caller]
    fn assert_valid(&self, credential: &Credential, name: &str) {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pebble.issuer().as_bytes()).unwrap())
            .unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.into());
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
