//! How client and server come to terms, at whatever pace the client's first message comes.

use dream_testkit::{Client, DEADLINE, Origin, Security, alert, eventually, poll_until};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, NamedGroup, ProtocolVersion};
use std::time::{Duration, Instant};

use super::{get, hello, house, house_with};

#[test]
fn both_versions_are_spoken() {
    let house = house(Origin::echo());
    for (version, expected) in [
        (&TLS13, ProtocolVersion::TLSv1_3),
        (&TLS12, ProtocolVersion::TLSv1_2),
    ] {
        let security = Security::versions(&[version], &house.ca, "a.example");
        let mut client = Client::secure(house.tls, &security);
        assert_eq!(client.agreed().protocol_version(), Some(expected));
        assert_eq!(client.ask(get("/")).status, 200);
    }
}

/// A first message that offers this version and nothing newer.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut message = vec![3, minor];
    message.extend([7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA and its ECDHE_ECDSA brother, no compression.
    message.extend([0, 0, 4, 0x00, 0x2f, 0xc0, 0x09, 1, 0]);
    let len = message.len() as u8;
    let mut record = vec![22, 3, 1, 0, len + 4, 1, 0, 0, len];
    record.extend(message);
    record
}

#[test]
fn older_versions_are_refused() {
    let house = house(Origin::echo());
    // SSL 3, TLS 1.0 and 1.1.
    for minor in [0, 1, 2] {
        let mut client = Client::connect(house.tls);
        client.send(old_hello(minor));
        let said = client.read_to_end();
        // A fatal alert, handshake_failure or protocol_version (RFC 8446 §6.2), and nothing else.
        assert!(matches!(said[..], [21, 3, _, 0, 2, 2, 40 | 70]), "{said:?}");
    }
    house.serves();
}

#[test]
fn http_1_1_is_what_is_agreed() {
    let house = house(Origin::echo());
    for (offered, expected) in [
        (&["h2", "http/1.1"][..], Some("http/1.1")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let security = house.security().offering(offered);
        let mut client = Client::secure(house.tls, &security);
        let agreed = client.agreed().alpn_protocol();
        assert_eq!(agreed, expected.map(str::as_bytes));
        assert_eq!(client.ask(get("/")).status, 200);
    }
    let security = house.security().offering(&["h2", "imap"]);
    let refused = Client::connect(house.tls).try_secured(&security);
    let refused = alert(&refused.unwrap_err());
    assert_eq!(refused, Some(AlertDescription::NoApplicationProtocol));
}

#[test]
fn a_key_exchange_for_the_time_of_quantum_computers_goes_first() {
    let house = house(Origin::echo());
    let mut provider = default_provider();
    // The client would rather have the classic one.
    provider.kx_groups = vec![kx_group::X25519, kx_group::X25519MLKEM768];
    let group = |provider| {
        let security = Security::with(provider, &[&TLS13], &house.ca, "a.example");
        let mut client = Client::secure(house.tls, &security);
        let group = client.agreed().negotiated_key_exchange_group();
        group.map(|group| group.name())
    };
    assert_eq!(group(default_provider()), Some(NamedGroup::X25519MLKEM768));
    for classic in [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1] {
        provider.kx_groups = vec![classic];
        assert_eq!(group(provider.clone()), Some(classic.name()));
    }
    // What it has sent a share for costs no further round trip (RFC 8446 §4.2.8).
    provider.kx_groups = vec![kx_group::X25519, kx_group::X25519MLKEM768];
    assert!(group(provider).is_some());
}

#[test]
fn the_first_message_may_come_in_two_packets_cut_anywhere() {
    let house = house(Origin::echo());
    let len = hello(&house.security()).len();
    assert!(len > 1400, "a post-quantum key share fills a packet: {len}");
    let places: Vec<usize> = (1..len).collect();
    for places in places.chunks(100) {
        let begun: Vec<_> = places.iter().map(|&place| begin(&house, place)).collect();
        // While others are served, the first halves have been read.
        house.serves();
        for (mut client, mut connection, rest) in begun {
            client.send(rest);
            let mut socket = client.stream();
            while connection.is_handshaking() {
                connection.complete_io(&mut socket).unwrap();
            }
        }
    }
}

type Begun = (Client, rustls::ClientConnection, Vec<u8>);

/// A client that has sent so much of its first message, and the rest of it.
fn begin(house: &super::House, place: usize) -> Begun {
    let mut connection = house.security().begin();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    let rest = bytes.split_off(place.min(bytes.len()));
    let mut client = Client::connect(house.tls);
    client.send(bytes);
    (client, connection, rest)
}

#[test]
fn every_message_may_come_byte_by_byte_and_in_tiny_records() {
    let house = house(Origin::echo());
    let (mut client, mut connection, rest) = begin(&house, 0);
    for byte in rest {
        client.send([byte]);
    }
    let mut socket = client.stream();
    while connection.is_handshaking() {
        connection.read_tls(&mut socket).unwrap();
        connection.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut bytes).unwrap();
        }
        for byte in bytes {
            client.send([byte]);
        }
    }
    let tiny = house
        .security()
        .change(|config| config.max_fragment_size = Some(64));
    let mut client = Client::secure(house.tls, &tiny);
    assert_eq!(client.ask(get("/")).status, 200);
}

#[test]
fn a_slow_handshake_ends_and_frees_its_place() {
    let house = house_with(Origin::echo(), "[timeouts]\ntls_handshake = \"300ms\"\n");
    let silent = Client::connect(house.tls);
    let (half, _, _) = begin(&house, 500);
    let (answered, _, rest) = begin(&house, 0);
    let mut answered = answered;
    // It gets the server's messages and never says its own.
    answered.send(rest);
    answered.read_some(1000).unwrap();
    for (what, mut client) in [("silent", silent), ("half", half), ("answered", answered)] {
        client.read_to_end();
        assert!(client.is_closed(), "{what}");
    }
    let mut dribbling = Client::connect(house.tls);
    let bytes = hello(&house.security());
    let mut left = bytes.iter().cycle();
    let ended = poll_until(DEADLINE, || {
        let sent = dribbling.try_send([*left.next().unwrap()]);
        (sent.is_err() || dribbling.is_closed()).then_some(())
    });
    assert!(ended.is_some(), "one byte after the other gains no time");
    drop(dribbling);
    eventually("its place is free", || house.server.connections() == 0);
    house.serves();
}

#[test]
fn a_handshake_has_its_time_once() {
    let house = house_with(Origin::echo(), "[timeouts]\ntls_handshake = \"3s\"\n");
    let begun = Instant::now();
    let mut client = Client::connect(house.tls);
    assert!(!client.closes_within(Duration::from_secs(2)));
    client.send(hello(&house.security()));
    client.read_to_end();
    // After the first message it has what is left, and not all of it again.
    let ended = begun.elapsed();
    assert!(ended < Duration::from_millis(4800), "{ended:?}");
}
