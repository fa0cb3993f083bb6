//! Bodies in bytes, decoded and encoded.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "tests: tables are long, and a failed unwrap is a failed test"
)]

use dream_http::h1::{BodyDecoder, BodyEncoder, Framing, Misuse};
use dream_http::{Fields, Name, Reason, Reject};

/// Decodes `input` whole; body, bytes used, and whether it is done.
fn decode(framing: Framing, input: &str) -> Result<(String, usize, bool), Reject> {
    let mut bytes = input.as_bytes().to_vec();
    let decoded = BodyDecoder::new(framing).decode(&mut bytes)?;
    let body = String::from_utf8(bytes[..decoded.produced].to_vec()).unwrap();
    Ok((body, decoded.consumed, decoded.done))
}

fn taken(input: &str, body: &str) {
    let (decoded, used, done) = decode(Framing::Chunked, &format!("{input}next")).unwrap();
    assert_eq!(
        (decoded.as_str(), used, done),
        (body, input.len(), true),
        "{input:?}"
    );
}

fn refused(input: &str, reason: Reason, at: usize) {
    let result = decode(Framing::Chunked, input);
    assert_eq!(result, Err(Reject::new(reason, at)), "{input:?}");
}

#[test]
fn a_length_ends_the_body() {
    assert_eq!(
        decode(Framing::Length(3), "abcd"),
        Ok(("abc".into(), 3, true))
    );
    assert_eq!(
        decode(Framing::Length(5), "abcd"),
        Ok(("abcd".into(), 4, false))
    );
    assert_eq!(decode(Framing::None, "abcd"), Ok((String::new(), 0, true)));
    assert_eq!(decode(Framing::Length(0), ""), Ok((String::new(), 0, true)));
    let mut decoder = BodyDecoder::new(Framing::Length(5));
    decoder.decode(&mut [0; 3]).unwrap();
    assert_eq!(decoder.remaining(), Some(2));
    assert_eq!(
        decoder.end_of_input().unwrap_err().reason,
        Reason::Truncated
    );
}

#[test]
fn closing_ends_the_body() {
    let mut decoder = BodyDecoder::new(Framing::UntilClose);
    let decoded = decoder.decode(&mut [0; 3]).unwrap();
    assert_eq!(
        (decoded.consumed, decoded.produced, decoded.done),
        (3, 3, false)
    );
    assert_eq!(decoder.remaining(), None);
    assert!(!decoder.is_done());
    assert_eq!(decoder.end_of_input(), Ok(()));
    assert!(decoder.is_done());
}

#[test]
fn chunks() {
    taken("0\r\n\r\n", "");
    taken("5\r\nhello\r\n0\r\n\r\n", "hello");
    taken("5\r\nhello\r\n6\r\n world\r\n00\r\n\r\n", "hello world");
    taken(
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "01234567890123456789",
    );
    taken("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello");
    taken("5;a\r\nhello\r\n0;b=c;d=\"e\\\";\tf\"\r\n\r\n", "hello");
    assert_eq!(
        decode(Framing::Chunked, "5\r\nhel"),
        Ok(("hel".into(), 6, false))
    );
}

#[test]
fn chunk_lines_that_two_readers_could_cut_differently() {
    for (line, reason, at) in [
        ("", Reason::ChunkSize, 0),
        ("x", Reason::ChunkSize, 0),
        ("+5", Reason::ChunkSize, 0),
        ("-5", Reason::ChunkSize, 0),
        (" 5", Reason::ChunkSize, 0),
        ("5 ", Reason::ChunkSize, 1),
        ("5\t", Reason::ChunkSize, 1),
        ("0x5", Reason::ChunkSize, 1),
        ("1_0", Reason::ChunkSize, 1),
        ("00000000000000005", Reason::ChunkSize, 16),
        ("8000000000000000", Reason::ChunkSize, 15),
        ("5 ;a", Reason::ChunkSize, 1),
        ("5;", Reason::ChunkExtension, 2),
        ("5; a", Reason::ChunkExtension, 2),
        ("5;a ", Reason::ChunkExtension, 3),
        ("5;a=", Reason::ChunkExtension, 4),
        ("5;a =b", Reason::ChunkExtension, 3),
        ("5;bad[=x", Reason::ChunkExtension, 5),
        ("5;\0", Reason::ChunkExtension, 2),
        ("5;a=\"b", Reason::ChunkExtension, 6),
        ("5;a=\"b\"c", Reason::ChunkExtension, 7),
        ("5;a\rX", Reason::LineEnd, 4),
        ("5;a\nX", Reason::LineEnd, 3),
        ("5;\nX", Reason::LineEnd, 2),
        ("5\nhello", Reason::LineEnd, 1),
        ("5\rhello", Reason::LineEnd, 2),
    ] {
        refused(&format!("{line}\r\nhello\r\n0\r\n\r\n"), reason, at);
    }
    refused("5\r\nhello0\r\n\r\n", Reason::ChunkEnd, 8);
    refused("5\r\nhello\n0\r\n\r\n", Reason::ChunkEnd, 8);
    refused("5\r\nhello\rx0\r\n\r\n", Reason::ChunkEnd, 9);
    refused("0\r\n\n", Reason::LineEnd, 3);
    refused("0\r\n\rx", Reason::LineEnd, 4);
}

#[test]
fn trailers() {
    let input =
        "1\r\nx\r\n0\r\nX-Sum: abc\r\nContent-Length: 5\r\nhost: evil\r\nETag: \"a\"\r\n\r\nGET";
    for cut in 0..=input.len() {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let mut body = Vec::new();
        let mut used = 0;
        for part in [&input[..cut], &input[cut..]] {
            let mut part = part.as_bytes().to_vec();
            let decoded = decoder.decode(&mut part).unwrap();
            body.extend_from_slice(&part[..decoded.produced]);
            used += decoded.consumed;
        }
        assert!(decoder.is_done());
        assert_eq!((body.as_slice(), used), (&b"x"[..], input.len() - 3));
        let fields: Vec<_> = decoder
            .trailers()
            .iter()
            .map(|field| (field.text, field.value))
            .collect();
        assert_eq!(fields, [(&b"X-Sum"[..], &b"abc"[..]), (b"ETag", b"\"a\"")]);
        decoder.reset(Framing::Chunked);
        assert!(decoder.trailers().is_empty());
    }
    refused("0\r\na : b\r\n\r\n", Reason::SpaceBeforeColon, 4);
    refused("1\r\nx\r\n0\r\na: b\n\r\n", Reason::LineEnd, 13);
    refused("0\r\na: b\r\n c\r\n\r\n", Reason::LineFolding, 9);
}

#[test]
fn overhead_is_bounded() {
    let long = "x".repeat(16 * 1024);
    for input in [format!("1;{long}\r\n"), format!("0\r\na: {long}\r\n\r\n")] {
        assert_eq!(
            decode(Framing::Chunked, &input).unwrap_err().reason,
            Reason::ChunkOverhead
        );
    }
    let chunk = format!("1;{}\r\nx\r\n", "x".repeat(1000));
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let refused = (0..17).find_map(|_| decoder.decode(&mut chunk.clone().into_bytes()).err());
    assert_eq!(refused.unwrap().reason, Reason::ChunkOverhead);
    // Small chunks without extensions go on as long as the body does.
    let tiny = "1\r\nx\r\n".repeat(100_000);
    let (body, used, _) = decode(Framing::Chunked, &tiny).unwrap();
    assert_eq!((body.len(), used), (100_000, tiny.len()));
}

#[test]
fn an_encoder_delimits_what_was_announced() {
    let mut bytes = Vec::new();
    let mut encoder = BodyEncoder::new(Framing::Chunked);
    for part in ["hello, hello, hello", "world"] {
        encoder.data(part.len(), &mut bytes).unwrap();
        bytes.extend_from_slice(part.as_bytes());
    }
    let mut trailers = Fields::new();
    trailers.append(Name::Etag, b"\"a\"").unwrap();
    encoder.end(Some(&trailers), &mut bytes).unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "13\r\nhello, hello, hello\r\n5\r\nworld\r\n0\r\nETag: \"a\"\r\n\r\n"
    );

    let mut bytes = Vec::new();
    BodyEncoder::new(Framing::Chunked)
        .end(None, &mut bytes)
        .unwrap();
    assert_eq!(bytes, b"0\r\n\r\n");

    let mut encoder = BodyEncoder::new(Framing::Length(3));
    let mut bytes = Vec::new();
    encoder.data(2, &mut bytes).unwrap();
    assert_eq!(encoder.end(None, &mut bytes), Err(Misuse::TooLittleBody));
    assert_eq!(encoder.data(2, &mut bytes), Err(Misuse::TooMuchBody));
    encoder.data(1, &mut bytes).unwrap();
    encoder.end(Some(&trailers), &mut bytes).unwrap();
    assert!(bytes.is_empty());
    assert_eq!(
        BodyEncoder::new(Framing::None).data(1, &mut bytes),
        Err(Misuse::BodyNotAllowed)
    );
}
