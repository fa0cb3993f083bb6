//! Responses in bytes, and what the engine makes of them, in the client's role.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "tests: tables are long, and a failed unwrap is a failed test"
)]

use dream_http::h1::{Framing, Limits, ResponseParser};
use dream_http::{Method, Name, Reason, Reject, ResponseHead, Version};

fn parse(input: &str, method: Method) -> Result<ResponseHead, Reject> {
    let mut head = ResponseHead::default();
    let parsed =
        ResponseParser::new(Limits::default()).parse(input.as_bytes(), method, &mut head)?;
    assert_eq!(parsed, Some(input.len()), "{input:?}");
    Ok(head)
}

fn accepted(input: &str) -> ResponseHead {
    parse(input, Method::Get).unwrap_or_else(|reject| panic!("{input:?}: {reject}"))
}

fn refused(input: &str, reason: Reason, at: usize) {
    assert_eq!(
        parse(input, Method::Get).err(),
        Some(Reject::new(reason, at)),
        "{input:?}"
    );
}

#[test]
fn a_response_is_taken_apart() {
    let head = accepted("HTTP/1.1 200 All fine\r\nServer: x\r\nContent-Length: 3\r\n\r\n");
    assert_eq!((head.status, head.reason()), (200, &b"All fine"[..]));
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.framing, Framing::Length(3));
    assert_eq!(head.content_length, Some(3));
    assert_eq!(head.fields.get(Name::Server), Some(&b"x"[..]));
    assert!(head.keep_alive);
}

#[test]
fn status_lines() {
    for (line, status, reason) in [
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.0 404 Not Found", 404, "Not Found"),
        ("HTTP/1.1 999  \tx", 999, " \tx"),
        ("HTTP/1.2 500 Oriëntatieprobleem", 500, "Oriëntatieprobleem"),
    ] {
        let head = accepted(&format!("{line}\r\n\r\n"));
        assert_eq!(
            (head.status, head.reason()),
            (status, reason.as_bytes()),
            "{line}"
        );
    }
    for (line, reason, at) in [
        ("HTP/1.1 200 OK", Reason::StatusLine, 2),
        ("http/1.1 200 OK", Reason::StatusLine, 0),
        ("HTTP/01.1 200 OK", Reason::StatusLine, 6),
        ("HTTP/1.1\t200 OK", Reason::StatusLine, 8),
        ("HTTP/1.1  200 OK", Reason::StatusLine, 9),
        ("HTTP/1.1 2 OK", Reason::StatusLine, 10),
        ("HTTP/1.1 2000", Reason::StatusLine, 12),
        ("HTTP/1.1 099 x", Reason::StatusLine, 9),
        ("HTTP/1.1 20x", Reason::StatusLine, 11),
        ("HTTP/1.1 -20", Reason::StatusLine, 9),
        ("HTTP/2.0 200 OK", Reason::VersionUnsupported, 5),
        ("HTTP/1.1 200 a\0", Reason::StatusLine, 14),
        ("HTTP/1.1 200 a\rb", Reason::LineEnd, 14),
        ("\r\nHTTP/1.1 200 OK", Reason::StatusLine, 0),
        ("<html>", Reason::StatusLine, 0),
    ] {
        refused(&format!("{line}\r\n\r\n"), reason, at);
    }
    refused("HTTP/1.1 200 OK\nA: b\r\n\r\n", Reason::LineEnd, 15);
    refused("HTTP/1.1 200\nA: b\r\n\r\n", Reason::LineEnd, 12);
    refused("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", Reason::LineFolding, 17);
}

#[test]
fn framing_depends_on_the_request() {
    let framing = |method, status: u16, line: &str| {
        let head = parse(&format!("HTTP/1.1 {status} x\r\n{line}\r\n"), method).unwrap();
        (head.framing, head.keep_alive)
    };
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (method, status, line, expected) in [
        (Method::Get, 200, "", (Framing::UntilClose, false)),
        (Method::Get, 200, length, (Framing::Length(5), true)),
        (Method::Get, 200, chunked, (Framing::Chunked, true)),
        (Method::Head, 200, length, (Framing::None, true)),
        (Method::Head, 200, chunked, (Framing::None, true)),
        (Method::Get, 304, length, (Framing::None, true)),
        (Method::Get, 204, "", (Framing::None, true)),
        (
            Method::Get,
            204,
            "Content-Length: 0\r\n",
            (Framing::None, true),
        ),
        (Method::Get, 204, length, (Framing::None, false)),
        (Method::Get, 204, chunked, (Framing::None, false)),
        (Method::Get, 100, "", (Framing::None, true)),
        (Method::Get, 103, chunked, (Framing::None, false)),
        (Method::Get, 101, length, (Framing::Tunnel, false)),
        (Method::Connect, 200, chunked, (Framing::Tunnel, false)),
        (Method::Connect, 407, length, (Framing::Length(5), true)),
        (Method::Get, 205, length, (Framing::Length(5), true)),
    ] {
        assert_eq!(
            framing(method, status, line),
            expected,
            "{method:?} {status} {line}"
        );
    }
    let head = parse("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", Method::Head).unwrap();
    assert_eq!(head.content_length, Some(5));
}

#[test]
fn two_framings_are_refused_from_endpoints_too() {
    for (version, lines, reason) in [
        (
            "1.1",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            Reason::TwoFramings,
        ),
        (
            "1.1",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            Reason::ContentLengthRepeated,
        ),
        ("1.1", "Content-Length: 5, 5\r\n", Reason::ContentLength),
        (
            "1.1",
            "Transfer-Encoding: chunked, deflate\r\n",
            Reason::TransferEncoding,
        ),
        (
            "1.1",
            "Transfer-Encoding: chunkedchunked\r\n",
            Reason::TransferCodingUnknown,
        ),
        (
            "1.0",
            "Transfer-Encoding: chunked\r\n",
            Reason::TransferEncodingInHttp10,
        ),
    ] {
        let result = parse(&format!("HTTP/{version} 200 x\r\n{lines}\r\n"), Method::Get);
        assert_eq!(
            result.err().map(|reject| reject.reason),
            Some(reason),
            "{lines}"
        );
    }
}

#[test]
fn persistence() {
    let kept = |start: &str, line: &str| {
        accepted(&format!("{start}\r\nContent-Length: 0\r\n{line}\r\n")).keep_alive
    };
    assert!(kept("HTTP/1.1 200 x", ""));
    assert!(!kept("HTTP/1.1 200 x", "Connection: close\r\n"));
    assert!(!kept("HTTP/1.0 200 x", ""));
    assert!(kept("HTTP/1.0 200 x", "Connection: keep-alive\r\n"));
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let input =
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let mut parser = ResponseParser::new(Limits::default());
    let mut head = ResponseHead::default();
    let first = parser
        .parse(input, Method::Get, &mut head)
        .unwrap()
        .unwrap();
    assert!(head.is_interim());
    assert_eq!(head.fields.len(), 1);
    let second = parser
        .parse(&input[first..], Method::Get, &mut head)
        .unwrap();
    assert_eq!(second, Some(input.len() - first));
    assert_eq!((head.status, head.fields.len()), (204, 0));
}
