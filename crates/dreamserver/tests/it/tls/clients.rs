//! Sites that talk only to clients with a certificate, and what their endpoints are told of those.

use dream_testkit::{Authority, Client, Issued, Origin, Security, alert};
use rcgen::DnType;
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

use super::{Ground, House, get, get_of, site};

/// `a.example` for clients of `clients`, `b.example` for everybody.
fn guarded(origin: &Origin, clients: &Authority, more: &str) -> House {
    let ground = Ground::new();
    ground.issue("a", &["a.example"]);
    ground.issue("b", &["b.example"]);
    ground.home.write("clients.pem", clients.pem());
    let guard = format!(", client_ca = \"clients.pem\"{more} }}");
    let config = [
        site("a.example", "a", origin).replace(" }", &guard),
        site("b.example", "b", origin),
    ];
    ground.start(&config.concat())
}

fn alice(clients: &Authority) -> Issued {
    clients.issue_client(&[
        (DnType::OrganizationName, "Example, Inc."),
        (DnType::CommonName, "alice"),
    ])
}

/// What the server says to a client that it does not want: at the handshake, or, as TLS 1.3 is made, behind it.
#[track_caller]
fn refusal(house: &House, security: &Security) -> AlertDescription {
    let refused = match Client::connect(house.tls).try_secured(security) {
        Err(error) => return alert(&error).unwrap_or_else(|| panic!("no alert: {error}")),
        Ok(mut client) => {
            let _ = client.try_send(get("/"));
            let mut socket = client.stream();
            let mut stream = rustls::Stream::new(client.agreed(), &mut socket);
            std::io::Read::read(&mut stream, &mut [0; 100]).unwrap_err()
        }
    };
    alert(&refused).unwrap_or_else(|| panic!("no alert: {refused}"))
}

#[test]
fn only_clients_of_the_right_authority_get_in() {
    let (origin, clients) = (Origin::echo(), Authority::new("clients"));
    let house = guarded(&origin, &clients, "");
    for version in [&TLS13, &TLS12] {
        let nobody = Security::versions(&[version], &house.ca, "a.example");
        let expected = match version.version == TLS13.version {
            true => AlertDescription::CertificateRequired,
            false => AlertDescription::HandshakeFailure,
        };
        let refused = refusal(&house, &nobody);
        assert!(
            refused == expected || refused == AlertDescription::CertificateRequired,
            "{refused:?}"
        );
        let stranger = nobody.showing(&alice(&Authority::new("strangers")));
        assert_eq!(refusal(&house, &stranger), AlertDescription::UnknownCA);
        // A server's certificate is none for clients.
        let server = house
            .ca
            .issue(dream_testkit::KeyKind::Ecdsa, &["a.example"]);
        refusal(&house, &nobody.showing(&server));
        let mut client = Client::secure(house.tls, &nobody.showing(&alice(&clients)));
        assert_eq!(client.ask(get("/")).status, 200);
        let subject = origin.last();
        assert_eq!(
            subject.field("X-Client-Subject"),
            Some(r"CN=alice,O=Example\, Inc.")
        );
    }
    let mut open = Client::secure(house.tls, &Security::new(&house.ca, "b.example"));
    assert_eq!(open.ask(get_of("b.example", "/")).status, 200);
    assert!(!origin.last().head.has("X-Client-Subject"));
}

#[test]
fn where_certificates_are_optional_both_kinds_get_in() {
    let (origin, clients) = (Origin::echo(), Authority::new("clients"));
    let house = guarded(&origin, &clients, ", client_optional = true");
    let nobody = house.security();
    assert_eq!(Client::secure(house.tls, &nobody).ask(get("/")).status, 200);
    assert!(!origin.last().head.has("X-Client-Subject"));
    let alice = nobody.showing(&alice(&clients));
    assert_eq!(Client::secure(house.tls, &alice).ask(get("/")).status, 200);
    assert!(origin.last().head.has("X-Client-Subject"));
    let stranger = nobody.showing(&self::alice(&Authority::new("strangers")));
    assert_eq!(refusal(&house, &stranger), AlertDescription::UnknownCA);
}

#[test]
fn there_is_no_way_around() {
    let (origin, clients) = (Origin::echo(), Authority::new("clients"));
    let house = guarded(&origin, &clients, "");
    // In the clear.
    let answer = house.server.client().ask(get("/"));
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("HTTPS"), "{}", answer.text());
    // By the connection of a host that asks for no certificate.
    let mut other = Client::secure(house.tls, &Security::new(&house.ca, "b.example"));
    assert_eq!(other.ask(get("/")).status, 421);
    // By one that names no host: the first site's, which asks.
    let nameless = house.security().nameless();
    refusal(&house, &nameless);
    let mut alice = Client::secure(house.tls, &nameless.showing(&alice(&clients)));
    assert_eq!(alice.ask(get("/")).status, 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_nameless_connection_does_not_lead_in_either() {
    let (origin, clients) = (Origin::echo(), Authority::new("clients"));
    let ground = Ground::new();
    ground.issue("a", &["a.example", "b.example"]);
    ground.home.write("clients.pem", clients.pem());
    let guard = ", client_ca = \"clients.pem\" }";
    let config = [
        site("b.example", "a", &origin),
        site("a.example", "a", &origin).replace(" }", guard),
    ];
    let house = ground.start(&config.concat());
    let mut client = Client::secure(house.tls, &house.security().nameless());
    assert_eq!(client.ask(get_of("b.example", "/")).status, 200);
    assert_eq!(client.ask(get("/")).status, 421);
}

#[test]
fn no_client_says_who_it_is_by_itself() {
    let (origin, clients) = (Origin::echo(), Authority::new("clients"));
    let house = guarded(&origin, &clients, ", client_optional = true");
    let forged =
        "X-Client-Subject: CN=root\r\nx-client-subject: CN=admin\r\nX_Client_Subject: CN=root\r\n";
    let trailers = "0\r\nX-Client-Subject: CN=root\r\n\r\n";
    let request = |host: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\n{forged}Transfer-Encoding: chunked\r\n\r\n{trailers}"
        )
    };
    let subjects = || -> Vec<String> {
        let last = origin.last();
        assert!(last.trailers.is_empty(), "{:?}", last.trailers);
        assert!(!last.head.has("X_Client_Subject"));
        let found = last.head.all("X-Client-Subject");
        found.into_iter().map(str::to_owned).collect()
    };
    let nobody = house.security();
    Client::secure(house.tls, &nobody).ask(request("a.example"));
    assert!(subjects().is_empty());
    let mut alice = Client::secure(house.tls, &nobody.showing(&alice(&clients)));
    for _ in 0..2 {
        alice.ask(request("a.example"));
        assert_eq!(subjects(), [r"CN=alice,O=Example\, Inc."]);
    }
    house.server.client().ask(request("b.example"));
    assert!(subjects().is_empty());
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn a_subject_is_one_line_whatever_is_in_it() {
    let (origin, clients) = (Origin::echo(), Authority::new("clients"));
    let house = guarded(&origin, &clients, "");
    for (value, expected) in [
        ("eve\r\nX-Admin: yes", r"CN=eve\0D\0AX-Admin: yes"),
        ("Zoë", r"CN=Zo\C3\AB"),
        ("", "CN="),
    ] {
        let issued = clients.issue_client(&[(DnType::CommonName, value)]);
        let security = house.security().showing(&issued);
        assert_eq!(
            Client::secure(house.tls, &security).ask(get("/")).status,
            200
        );
        let last = origin.last();
        assert_eq!(last.field("X-Client-Subject"), Some(expected));
        assert!(!last.head.has("X-Admin"));
    }
}
