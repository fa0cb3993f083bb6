//! Certificates in files: replaced on the disk, they are taken when they fit; named wrongly, they are reported.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use dream_testkit::{Authority, Client, Folder, KeyKind, Origin, Security, Signal, eventually};
use rustls::pki_types::CertificateDer;

use super::{Ground, House, get, house, site, start, write_config};
use crate::start::run;

/// The leaf that clients of `a.example` get now.
fn leaf(house: &House) -> CertificateDer<'static> {
    let mut client = house.client();
    assert_eq!(client.ask(get("/")).status, 200);
    let chain = client.agreed().peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

#[test]
fn a_pair_that_is_replaced_is_taken() {
    let house = house(Origin::echo());
    let mut before = house.client();
    for kind in [KeyKind::Ecdsa, KeyKind::Rsa] {
        let new = house.ca.issue(kind, &["a.example"]);
        new.write(house.home.path(), "a");
        eventually("it is served", || leaf(&house) == *new.leaf());
    }
    // Who was connected stays so.
    assert_eq!(before.ask(get("/")).status, 200);
}

#[test]
fn half_a_pair_is_reported_once_and_not_taken() {
    let house = house(Origin::echo());
    let (old, new) = (leaf(&house), house.ca.issue(KeyKind::Ecdsa, &["a.example"]));
    house.home.write("a.pem", new.chain_pem());
    let complaint = "stays: the key in";
    house.server.message(|line| line.contains(complaint));
    assert_eq!(leaf(&house), old);
    // Two more looks, which another file shows.
    house.ca.issue(KeyKind::Ecdsa, &["x.example"]);
    for content in ["no key", "still none"] {
        let reports = || house.server.messages().matches("a.key: ").count();
        let before = reports();
        house.home.write("a.key", content);
        eventually("that is reported too", || reports() > before);
        assert_eq!(leaf(&house), old);
    }
    assert_eq!(house.server.messages().matches(complaint).count(), 1);
    fs::remove_file(house.home.join("a.key")).unwrap();
    house
        .server
        .message(|line| line.contains("a.key cannot be read"));
    assert_eq!(leaf(&house), old);
    house.home.write("a.key", new.key_pem());
    eventually("now that they fit", || leaf(&house) == *new.leaf());
}

#[test]
fn a_pair_that_does_not_do_keeps_no_other_from_being_taken() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.home.write("clients.pem", ground.ca.pem());
    ground.issue("z", &["z.example"]);
    ground.issue("a", &["a.example"]);
    let guard = ", client_ca = \"clients.pem\" }";
    let house = ground.start(
        &[
            site("z.example", "z", &origin).replace(" }", guard),
            site("a.example", "a", &origin),
        ]
        .concat(),
    );
    for (name, complaint) in [("z.pem", "z.pem"), ("clients.pem", "clients.pem")] {
        house.home.write(name, "nothing");
        house
            .server
            .message(|line| line.contains("stay") && line.contains(complaint));
        let new = house.ca.issue(KeyKind::Ecdsa, &["a.example"]);
        new.write(house.home.path(), "a");
        eventually("it is served", || leaf(&house) == *new.leaf());
        assert_eq!(house.server.messages().matches(complaint).count(), 1);
    }
}

#[test]
fn what_was_read_for_a_configuration_that_is_refused_is_taken() {
    let house = house(Origin::echo());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = house.home.join("dreamserver.toml");
    let config = fs::read_to_string(&file).unwrap();
    let both = format!(
        "tls = [\"127.0.0.1:0\", \"{}\"]",
        taken.local_addr().unwrap()
    );
    let refused = config.replace("tls = \"127.0.0.1:0\"", &both);
    assert_ne!(refused, config);
    fs::write(&file, refused).unwrap();
    let new = house.ca.issue(KeyKind::Ecdsa, &["a.example"]);
    new.write(house.home.path(), "a");
    house.server.signal(Signal::HUP);
    house.server.message(|line| line.contains("is refused"));
    eventually("it is served", || leaf(&house) == *new.leaf());
}

#[test]
fn a_link_that_leads_elsewhere_is_followed() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    let issue = |folder: &str| {
        let path = ground.home.join(folder);
        fs::create_dir(&path).unwrap();
        let issued = ground.ca.issue(KeyKind::Ecdsa, &["a.example"]);
        issued.write(&path, "a");
        issued
    };
    let (one, two) = (issue("one"), issue("two"));
    symlink("one", ground.home.join("live")).unwrap();
    let house = ground.start(&site("a.example", "live/a", &origin));
    assert_eq!(leaf(&house), *one.leaf());
    symlink("two", house.home.join("next")).unwrap();
    fs::rename(house.home.join("next"), house.home.join("live")).unwrap();
    eventually("the other is served", || leaf(&house) == *two.leaf());
}

#[test]
fn an_authority_of_clients_that_is_replaced_is_taken() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    ground.issue("a", &["a.example"]);
    ground.home.write("clients.pem", old.pem());
    let guard = ", client_ca = \"clients.pem\" }";
    let house = ground.start(&site("a.example", "a", &origin).replace(" }", guard));
    let security = |clients: &Authority| house.security().showing(&clients.issue_client(&[]));
    let gets_in = |security: &Security| {
        let Ok(mut client) = Client::connect(house.tls).try_secured(security) else {
            return false;
        };
        let _ = client.try_send(get("/"));
        client
            .read_response("GET")
            .is_ok_and(|answer| answer.status == 200)
    };
    let (of_old, of_new) = (security(&old), security(&new));
    let mut connected = Client::secure(house.tls, &of_old);
    assert_eq!(connected.ask(get("/")).status, 200);
    assert!(!gets_in(&of_new));
    house.home.write("clients.pem", new.pem());
    eventually("the new one counts", || gets_in(&of_new));
    eventually("the old one does not", || !gets_in(&of_old));
    // Who was connected stays so.
    assert_eq!(connected.ask(get("/")).status, 200);
}

#[test]
fn a_reload_refuses_what_does_not_fit_and_says_where() {
    let house = house(Origin::echo());
    let old = leaf(&house);
    let origin = Origin::echo();
    house
        .ca
        .issue(KeyKind::Ecdsa, &["b.example"])
        .write(house.home.path(), "b");
    let wrong = site("a.example", "a", &origin).replace("a.key", "b.key");
    write_config(&house.home, &wrong);
    house.server.signal(Signal::HUP);
    house.server.message(|line| line.contains("refused"));
    house
        .server
        .message(|line| line.contains("is not that of the certificate in"));
    // The place of the key: the fifth line.
    house
        .server
        .message(|line| line.contains("dreamserver.toml:5:"));
    assert_eq!(leaf(&house), old);
    write_config(
        &house.home,
        &site("a.example", "b", &origin)
            .replace("b.pem", "a.pem")
            .replace("b.key", "a.key"),
    );
    house.server.signal(Signal::HUP);
    house.server.message(|line| line.contains("read again"));
    assert_eq!(leaf(&house), old);
}

#[test]
fn a_start_refuses_what_does_not_fit_and_says_where() {
    let home = Folder::new("tls");
    let ca = Authority::new("Test CA");
    ca.issue(KeyKind::Ecdsa, &["a.example"])
        .write(home.path(), "a");
    home.write("empty.pem", "");
    home.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for (tls, complaint) in [
        ("cert = 'no.pem', key = 'a.key'", "no.pem cannot be read"),
        ("cert = 'a.pem', key = 'no.key'", "no.key cannot be read"),
        (
            "cert = 'empty.pem', key = 'a.key'",
            "there is no certificate in it",
        ),
        (
            "cert = 'broken.pem', key = 'a.key'",
            "the certificate cannot be read",
        ),
        ("cert = 'a.pem', key = 'a.pem'", "the key cannot be read"),
        ("cert = 'a.pem'", "there are 1 certificates and 0 keys"),
        (
            "cert = 'a.pem', key = 'a.key', client_ca = 'empty.pem'",
            "there is no certificate in it",
        ),
        (
            "cert = 'a.pem', key = 'a.key', client_ca = 'no.pem'",
            "cannot be used for certificates of clients",
        ),
        (
            "cert = 'a.pem', key = 'a.key', client_optional = true",
            "client_ca",
        ),
    ] {
        write_config(
            &home,
            &format!("[sites.'a.example']\nrespond = 'hi'\ntls = {{ {tls} }}\n"),
        );
        let exit = run(home.path(), &["check", "--config", "dreamserver.toml"]);
        assert_ne!(exit.code, Some(0), "{tls}");
        assert!(exit.stderr.contains(complaint), "{tls}: {exit}");
        assert!(exit.stderr.contains("dreamserver.toml:5:"), "{tls}: {exit}");
    }
}

#[test]
fn an_address_for_tls_comes_and_goes_with_a_reload() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.issue("a", &["a.example"]);
    let site = site("a.example", "a", &origin);
    let server = start(&ground.home, &site, &[]);
    let port = dream_testkit::free_port();
    let config = format!("[listen]\ntls = [\"127.0.0.1:0\", \"127.0.0.1:{port}\"]\n{site}");
    ground.home.write("dreamserver.toml", config);
    server.signal(Signal::HUP);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    eventually("it listens there too", || {
        Client::try_connect(address).is_ok()
    });
    let security = Security::new(&ground.ca, "a.example");
    let mut stays = Client::secure(address, &security);
    assert_eq!(stays.ask(get("/")).status, 200);
    write_config(&ground.home, &site);
    server.signal(Signal::HUP);
    eventually("nobody listens there", || {
        Client::try_connect(address).is_err()
    });
    assert_eq!(stays.ask(get("/")).status, 200);
    assert_eq!(
        Client::secure(server.secure_address(), &security)
            .ask(get("/"))
            .status,
        200
    );
}
