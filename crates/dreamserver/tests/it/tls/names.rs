//! Which certificate a client gets, and for which hosts its connection is good then.

use dream_testkit::{Authority, Client, KeyKind, Origin, Security, alert};
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;

use super::{Ground, House, get_of, house, site};

/// The leaf that a client of this name gets.
#[track_caller]
fn leaf(house: &House, security: &Security) -> CertificateDer<'static> {
    let mut client = Client::secure(house.tls, security);
    let chain = client.agreed().peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

#[test]
fn the_most_specific_site_shows_its_certificate() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    let exact = ground.issue("exact", &["a.wild.example"]);
    let wild = ground.issue("wild", &["*.wild.example"]);
    let any = ground.issue("any", &["other.example", "127.0.0.1", "x.y.wild.example"]);
    let house = ground.start(
        &[
            site("*", "any", &origin),
            site("*.wild.example", "wild", &origin),
            site("a.wild.example", "exact", &origin),
        ]
        .concat(),
    );
    for (name, expected) in [
        ("a.wild.example", &exact),
        ("A.Wild.Example", &exact),
        ("b.wild.example", &wild),
        ("other.example", &any),
    ] {
        let security = Security::new(&house.ca, name);
        assert_eq!(leaf(&house, &security), *expected.leaf(), "{name}");
        let answer = Client::secure(house.tls, &security).ask(get_of(name, "/"));
        assert_eq!(answer.status, 200, "{name}");
    }
    // A client that connects to an address names no host.
    let security = Security::new(&house.ca, "127.0.0.1");
    assert_eq!(leaf(&house, &security), *any.leaf());
    let answer = Client::secure(house.tls, &security).ask(get_of("127.0.0.1", "/"));
    assert_eq!(answer.status, 200);
}

#[test]
fn a_name_of_nobody_is_refused_in_a_word() {
    let house = house(Origin::echo());
    for name in ["b.example", "www.a.example", "example", "localhost"] {
        let security = Security::new(&house.ca, name);
        let refused = Client::connect(house.tls).try_secured(&security);
        let refused = alert(&refused.unwrap_err());
        assert_eq!(refused, Some(AlertDescription::UnrecognisedName), "{name}");
    }
    house.serves();
}

#[test]
fn who_names_nobody_gets_the_first_sites_certificate() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    let first = ground.issue("first", &["a.example"]);
    ground.issue("second", &["b.example"]);
    let house = ground.start(
        &[
            site("a.example", "first", &origin),
            site("b.example", "second", &origin),
        ]
        .concat(),
    );
    let security = house.security().nameless();
    assert_eq!(leaf(&house, &security), *first.leaf());
}

#[test]
fn a_request_for_another_host_belongs_on_another_connection() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.issue("both", &["a.example", "b.example"]);
    let house = ground.start(
        &[
            site("a.example", "both", &origin),
            site("b.example", "both", &origin),
        ]
        .concat(),
    );
    let mut client = house.client();
    assert_eq!(client.ask(get_of("b.example", "/")).status, 421);
    for host in ["a.example", "A.EXAMPLE", "a.example.", "a.example:8443"] {
        let answer = client.ask(get_of(host, "/"));
        assert_eq!(answer.status, 200, "{host}");
    }
    let absolute = "GET https://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n";
    assert_eq!(client.ask(absolute).status, 421);
    assert_eq!(
        client
            .ask("OPTIONS * HTTP/1.1\r\nHost: b.example\r\n\r\n")
            .status,
        421
    );
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn a_request_of_http_1_0_need_not_name_a_host() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.issue("any", &["a.example"]);
    let house = ground.start(&site("*", "any", &origin));
    assert_eq!(house.client().ask("GET / HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_chain_is_sent_whole() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    let middle = ground.ca.below("Test CA, in the middle");
    let lower = middle.below("Test CA, below it");
    lower
        .issue(KeyKind::Ecdsa, &["a.example"])
        .write(ground.home.path(), "a");
    let house = ground.start(&site("a.example", "a", &origin));
    let mut client = house.client();
    assert_eq!(client.agreed().peer_certificates().unwrap().len(), 3);
    assert_eq!(client.ask(get_of("a.example", "/")).status, 200);
    let stranger = Authority::new("another CA");
    let distrustful = Security::new(&stranger, "a.example");
    assert!(
        Client::connect(house.tls)
            .try_secured(&distrustful)
            .is_err()
    );
    house.serves();
}

#[test]
fn keys_come_in_every_form() {
    for (kind, label) in [(KeyKind::Ecdsa, "BEGIN EC "), (KeyKind::Rsa, "BEGIN RSA ")] {
        let (ground, origin) = (Ground::new(), Origin::echo());
        let issued = ground.issue_kind(kind, "new", &["a.example"]);
        issued.write(ground.home.path(), "old");
        let key = issued.traditional_key_pem();
        assert!(key.contains(label), "{key}");
        ground.home.write("old.key", key);
        let house = ground.start(
            &[
                site("a.example", "old", &origin),
                site("b.example", "new", &origin),
            ]
            .concat(),
        );
        assert_eq!(leaf(&house, &house.security()), *issued.leaf());
        house.serves();
    }
}
