//! Bytes that are no TLS, or TLS that breaks its rules: the connection ends, and nobody else notices.

use dream_testkit::{Client, Origin, Random, ReadError};

use super::{House, get, hello, house};

/// What the server may hold beyond what it held.
const HELD: u64 = 16 << 20;

/// Sends this instead of a handshake, and reads what the server has to say until it ends the connection, or waits for more.
fn send_and_leave(house: &House, bytes: &[u8]) {
    let mut client = Client::connect(house.tls);
    // The server may have ended it already.
    let _ = client.try_send(bytes);
    client.half_close();
    client.read_to_end();
}

#[test]
fn garbage_instead_of_a_handshake_ends_that_connection() {
    let house = house(Origin::echo());
    house.serves();
    let before = house.server.rss();
    let mut random = Random::new(5);
    let proper = hello(&house.security());
    for round in 0..600 {
        let mut bytes = match round % 3 {
            0 => (0..random.below(5000))
                .map(|_| random.number() as u8)
                .collect(),
            _ => proper.clone(),
        };
        match round % 3 {
            1 => bytes.truncate(random.below(proper.len())),
            2 => {
                for _ in 0..=random.below(4) {
                    let place = random.below(bytes.len());
                    bytes[place] = random.number() as u8;
                }
            }
            // Half of the noise at least begins as a record.
            _ if round % 2 == 0 => {
                let begin = [22, 3, 1].into_iter();
                bytes
                    .iter_mut()
                    .zip(begin)
                    .for_each(|(byte, new)| *byte = new);
            }
            _ => {}
        }
        send_and_leave(&house, &bytes);
    }
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
    house.serves();
}

#[test]
fn an_endless_first_message_is_not_collected() {
    let house = house(Origin::echo());
    house.serves();
    let before = house.server.rss();
    let record = |message: &[u8]| {
        let len = (message.len() as u16).to_be_bytes();
        [&[22, 3, 1], &len[..], message].concat()
    };
    // A message of 16 MiB, in full records; and one in records of a byte; and records without any.
    let mut long = record(&[&[1, 255, 255, 255], &[0; 16_000][..]].concat());
    for _ in 0..1000 {
        long.extend(record(&[0; 16_000]));
    }
    let mut tiny = record(&[1, 0, 255, 255]);
    for _ in 0..100_000 {
        tiny.extend(record(&[0]));
    }
    let empty = record(&[]).repeat(100_000);
    for bytes in [long, tiny, empty] {
        send_and_leave(&house, &bytes);
    }
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
    house.serves();
}

#[test]
fn broken_records_end_a_connection_with_an_alert() {
    let house = house(Origin::echo());
    let mut random = Random::new(6);
    let mut noise = vec![23, 3, 3, 1, 0];
    noise.extend((0..256).map(|_| random.number() as u8));
    let cases: [(&str, Vec<u8>); 8] = [
        ("a record that opens with no key", noise),
        (
            "one that is too long",
            [&[23, 3, 3, 255, 255][..], &[0; 65535]].concat(),
        ),
        (
            "one that is just too long",
            [&[23, 3, 3, 0x41, 1][..], &[0; 0x4101]].concat(),
        ),
        ("one of a type that there is not", vec![99, 3, 3, 0, 1, 0]),
        (
            "one of a version that there is not",
            vec![23, 9, 9, 0, 1, 0],
        ),
        ("an alert in the clear", vec![21, 3, 3, 0, 2, 2, 40]),
        ("an alert that is none", vec![21, 3, 3, 0, 1, 7]),
        (
            "a handshake message in the clear",
            vec![22, 3, 3, 0, 4, 1, 0, 0, 0],
        ),
    ];
    for (what, bytes) in cases {
        let mut client = house.client();
        assert_eq!(client.ask(get("/")).status, 200);
        let mut socket = client.stream();
        // The server need not take all of it.
        let _ = std::io::Write::write_all(&mut socket, &bytes);
        let end = client.read_some(1).unwrap_err();
        assert!(
            !matches!(end, ReadError::TimedOut(_)),
            "{what}: the connection stays"
        );
        house.serves();
    }
}

#[test]
fn a_change_of_cipher_that_nobody_needs_is_not_collected() {
    let house = house(Origin::echo());
    let before = house.server.rss();
    let client = house.client();
    let mut socket = client.stream();
    for _ in 0..10_000 {
        if std::io::Write::write_all(&mut socket, &[20, 3, 3, 0, 1, 1]).is_err() {
            break;
        }
    }
    let held = house.server.peak_rss().saturating_sub(before);
    assert!(held < HELD, "{held}");
    house.serves();
}
