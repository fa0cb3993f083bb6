//! Requests in bytes, and what the engine makes of them: one table a rule.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "tests: tables are long, and a failed unwrap is a failed test"
)]

use dream_http::h1::{Framing, Limits, RequestParser};
use dream_http::target::TargetForm;
use dream_http::{Method, Name, Reason, Reject, RequestHead, Version};

fn parse(input: &[u8]) -> Result<(RequestHead, usize), Reject> {
    let mut head = RequestHead::default();
    let parsed = RequestParser::new(Limits::default()).parse(input, &mut head)?;
    Ok((head, parsed.expect("the head is whole")))
}

/// The head of a request that must be taken.
fn accepted(input: &str) -> RequestHead {
    let (head, len) =
        parse(input.as_bytes()).unwrap_or_else(|reject| panic!("{input:?}: {reject}"));
    assert_eq!(len, input.len(), "{input:?}");
    head
}

/// Checks reason, status and offset of a refusal.
fn refused(input: &str, reason: Reason, at: usize) {
    let mut head = RequestHead::default();
    let result = RequestParser::new(Limits::default()).parse(input.as_bytes(), &mut head);
    assert_eq!(result, Err(Reject::new(reason, at)), "{input:?}");
}

/// A request with one more line between Host and the end.
fn with_line(line: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

/// Where that line begins.
const LINE: usize = 26;

#[test]
fn a_request_is_taken_apart() {
    let head = accepted(
        "GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\nX-Own:  a b \t\r\naccept:*/*\r\nEmpty:\r\n\r\n",
    );
    assert_eq!(head.method, Method::Get);
    assert_eq!(head.method_text(), b"GET");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.path(), b"/where");
    assert_eq!(head.query(), Some(&b"q=now"[..]));
    assert_eq!(head.host(), b"www.example.org");
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive);
    let fields: Vec<_> = head
        .fields
        .iter()
        .map(|field| (field.name, field.text, field.value))
        .collect();
    assert_eq!(
        fields,
        [
            (Name::Host, &b"Host"[..], &b"www.example.org"[..]),
            (Name::Unknown, b"X-Own", b"a b"),
            (Name::Accept, b"accept", b"*/*"),
            (Name::Unknown, b"Empty", b""),
        ]
    );
}

#[test]
fn methods() {
    for (text, method) in [
        ("GET", Method::Get),
        ("CONNECT", Method::Connect),
        ("get", Method::Other),
        ("M-SEARCH", Method::Other),
        ("PROPFIND", Method::Other),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", Method::Other),
    ] {
        let target = if method == Method::Connect {
            "a:1"
        } else {
            "/"
        };
        let host = if method == Method::Connect {
            "a:1"
        } else {
            "a"
        };
        let head = accepted(&format!("{text} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.method, method);
        assert_eq!(head.method_text(), text.as_bytes());
    }
    refused(" / HTTP/1.1\r\n", Reason::Method, 0);
    refused("G@T / HTTP/1.1\r\n", Reason::Method, 1);
    refused("GET\t/ HTTP/1.1\r\n", Reason::Method, 3);
    refused("GET\r\n", Reason::Method, 3);
    refused("\x16\x03\x01", Reason::Method, 0);
    refused("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / H", Reason::Method, 32);
}

#[test]
fn empty_lines_before_a_request() {
    for lines in ["", "\r\n", "\r\n\r\n"] {
        accepted(&format!("{lines}GET / HTTP/1.0\r\n\r\n"));
    }
    refused("\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", Reason::Method, 0);
    refused("\nGET / HTTP/1.0\r\n\r\n", Reason::Method, 0);
    refused("\rGET / HTTP/1.0\r\n\r\n", Reason::LineEnd, 0);
    let mut parser = RequestParser::new(Limits::default());
    let mut head = RequestHead::default();
    assert_eq!(parser.parse(b"\r\n\r\n", &mut head), Ok(None));
    assert!(!parser.has_begun());
    assert_eq!(parser.parse(b"\r\n\r\nG", &mut head), Ok(None));
    assert!(parser.has_begun());
}

#[test]
fn versions() {
    let version = |text: &str| accepted(&format!("GET / {text}\r\nHost: a\r\n\r\n")).version;
    assert_eq!(version("HTTP/1.0"), Version::Http10);
    assert_eq!(version("HTTP/1.1"), Version::Http11);
    assert_eq!(version("HTTP/1.2"), Version::Http11);
    assert_eq!(version("HTTP/1.9"), Version::Http11);
    for (text, reason, at) in [
        ("HTTP/2.0", Reason::VersionUnsupported, 11),
        ("HTTP/0.9", Reason::VersionUnsupported, 11),
        ("HTTP/9.9", Reason::VersionUnsupported, 11),
        ("http/1.1", Reason::Version, 6),
        ("HTTP/1", Reason::Version, 12),
        ("HTTP/11.1", Reason::Version, 12),
        ("HTTP/1.10", Reason::Version, 14),
        ("HTTP/01.01", Reason::Version, 12),
        ("HTTP/ 1.1", Reason::Version, 11),
        ("HTTP/1.1 ", Reason::Version, 14),
        (" HTTP/1.1", Reason::Version, 6),
        ("HTTPS/1.1", Reason::Version, 10),
        ("junk HTTP/1.1", Reason::Version, 6),
        ("", Reason::Version, 6),
    ] {
        refused(&format!("GET / {text}\r\nHost: a\r\n\r\n"), reason, at);
    }
    refused("GET /\r\n\r\n", Reason::Version, 5);
    refused("GET / HTTP/1.1\nHost: a\r\n\r\n", Reason::LineEnd, 14);
    refused("GET / HTTP/1.1\rHost: a\r\n\r\n", Reason::LineEnd, 14);
    refused(
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Reason::VersionUnsupported,
        11,
    );
}

#[test]
fn targets() {
    let target = |method: &str, text: &str, host: &str| {
        accepted(&format!("{method} {text} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
    for (method, text, host, form, path, query) in [
        ("GET", "/", "a", TargetForm::Origin, "/", None),
        ("GET", "/?", "a", TargetForm::Origin, "/", Some("")),
        (
            "GET",
            "//a/b?c?d",
            "a",
            TargetForm::Origin,
            "//a/b",
            Some("c?d"),
        ),
        (
            "GET",
            "/\\\"<>^`{|}",
            "a",
            TargetForm::Origin,
            "/\\\"<>^`{|}",
            None,
        ),
        ("OPTIONS", "*", "a", TargetForm::Asterisk, "*", None),
        ("OPTIONS", "/", "a", TargetForm::Origin, "/", None),
        (
            "OPTIONS",
            "http://a:80",
            "a",
            TargetForm::Absolute,
            "*",
            None,
        ),
        (
            "OPTIONS",
            "http://a?x",
            "a",
            TargetForm::Absolute,
            "/",
            Some("x"),
        ),
        ("GET", "http://a", "A:80", TargetForm::Absolute, "/", None),
        (
            "GET",
            "HTTPS://a?b/c",
            "a:443",
            TargetForm::Absolute,
            "/",
            Some("b/c"),
        ),
        (
            "GET",
            "http://[::1]:81/x",
            "[::1]:81",
            TargetForm::Absolute,
            "/x",
            None,
        ),
        ("CONNECT", "a.b:443", "a.b", TargetForm::Authority, "", None),
    ] {
        let head = target(method, text, host);
        assert_eq!(head.target().form, form, "{text}");
        assert_eq!(head.target().whole, text.as_bytes());
        assert_eq!(head.path(), path.as_bytes(), "{text}");
        assert_eq!(head.query(), query.map(str::as_bytes), "{text}");
    }
    assert_eq!(
        target("GET", "http://EXAMPLE.org:80/", "example.org").host(),
        b"EXAMPLE.org:80"
    );
    for (start, reason, at) in [
        ("GET *", Reason::TargetForm, 4),
        ("OPTIONS *a", Reason::TargetForm, 8),
        ("GET a/b", Reason::TargetForm, 4),
        ("GET a:443", Reason::TargetForm, 4),
        ("GET ftp://a/", Reason::TargetForm, 4),
        ("GET http:/a", Reason::TargetForm, 4),
        ("GET http://", Reason::HostInvalid, 11),
        ("GET http:///x", Reason::HostInvalid, 11),
        ("GET http://u:p@a/", Reason::HostInvalid, 11),
        ("GET http://a:b/", Reason::HostInvalid, 11),
        ("CONNECT /", Reason::TargetForm, 8),
        ("CONNECT a", Reason::TargetForm, 8),
        ("CONNECT http://a:1/", Reason::TargetForm, 8),
        ("GET /a#b", Reason::Target, 6),
        ("GET /\x7f", Reason::Target, 5),
        ("GET /\t", Reason::Target, 5),
        ("GET /\u{e4}", Reason::Target, 5),
        ("GET /\0", Reason::Target, 5),
        ("GET  /", Reason::Target, 4),
        ("GET \r\n", Reason::Version, 4),
    ] {
        refused(&format!("{start} HTTP/1.1\r\nHost: a\r\n\r\n"), reason, at);
    }
}

#[test]
fn hosts() {
    let request = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    for host in [
        "a",
        "a.b.",
        "A-1.example.com:8080",
        "127.0.0.1:65535",
        "[::1]",
        "[fe80::1]:80",
        "a_b",
        "a:",
        "%41b",
        "*",
    ] {
        assert_eq!(
            accepted(&request(&format!("Host: {host}\r\n"))).host(),
            host.as_bytes()
        );
    }
    for host in [
        "",
        ":80",
        "u@a",
        "a/b",
        "a,b",
        "a b",
        "a:65536",
        "a:x",
        "a:+1",
        "a:000080",
        "a:1:2",
        "[::1",
        "[::g]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "[]",
        "::1",
        "a%4",
        "a%zz",
        "\u{e4}",
        "a?b",
        "a#b",
        "a\\b",
        "[::1]a",
        "http://a",
    ] {
        refused(
            &request(&format!("Host: {host}\r\n")),
            Reason::HostInvalid,
            16,
        );
        refused(
            &format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"),
            Reason::HostInvalid,
            16,
        );
    }
    refused(&request(""), Reason::HostMissing, 18);
    refused(&request("Host: a\r\nhost: a\r\n"), Reason::HostRepeated, 25);
    refused(
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        Reason::HostRepeated,
        25,
    );
    assert_eq!(accepted("GET / HTTP/1.0\r\n\r\n").host(), b"");
    for (target, host) in [
        ("http://a/", "b"),
        ("http://a/", "a:81"),
        ("http://a:81/", "a"),
        ("https://a/", "a:80"),
        ("http://a:443/", "a"),
    ] {
        let start = format!("GET {target} HTTP/1.1\r\n");
        refused(
            &format!("{start}Host: {host}\r\n\r\n"),
            Reason::HostContradicts,
            start.len(),
        );
    }
    refused(
        "CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n",
        Reason::HostContradicts,
        22,
    );
}

#[test]
fn field_lines() {
    for (line, reason, at) in [
        (" a: b", Reason::LineFolding, 0),
        ("\ta: b", Reason::LineFolding, 0),
        (": b", Reason::FieldName, 0),
        ("a", Reason::FieldName, 1),
        ("a : b", Reason::SpaceBeforeColon, 1),
        ("a b: c", Reason::SpaceBeforeColon, 1),
        ("a@: b", Reason::FieldName, 1),
        ("\u{e4}: b", Reason::FieldName, 0),
        ("a\0: b", Reason::FieldName, 1),
        ("Content\rLength: 3", Reason::FieldName, 7),
        ("a: b\0c", Reason::FieldValue, 4),
        ("a: \x0b", Reason::FieldValue, 3),
        ("a: b\x7f", Reason::FieldValue, 4),
        ("a: b\rc", Reason::LineEnd, 4),
        ("a: b\nc: d", Reason::LineEnd, 4),
        ("a:\nc: d", Reason::LineEnd, 2),
        ("a: b\r\n c", Reason::LineFolding, 6),
        ("\nc: d", Reason::LineEnd, 0),
        ("\rc: d", Reason::LineEnd, 0),
    ] {
        refused(&with_line(line), reason, LINE + at);
    }
    let head = accepted(&with_line("a: \u{e4}\tb"));
    assert_eq!(head.fields.find(b"A"), Some("\u{e4}\tb".as_bytes()));
}

#[test]
fn framing() {
    for (line, framing) in [
        ("Content-Length: 0", Framing::Length(0)),
        ("Content-Length: 005", Framing::Length(5)),
        ("content-length:  42 ", Framing::Length(42)),
        (
            "Content-Length: 9223372036854775807",
            Framing::Length(i64::MAX as u64),
        ),
        ("Transfer-Encoding: chunked", Framing::Chunked),
        ("Transfer-Encoding:\tCHUNKED ", Framing::Chunked),
        ("X: y", Framing::None),
    ] {
        assert_eq!(accepted(&with_line(line)).framing, framing, "{line}");
    }
    for (line, reason) in [
        ("Content-Length:", Reason::ContentLength),
        ("Content-Length: abc", Reason::ContentLength),
        ("Content-Length: +5", Reason::ContentLength),
        ("Content-Length: -1", Reason::ContentLength),
        ("Content-Length: 0x5", Reason::ContentLength),
        ("Content-Length: 1_0", Reason::ContentLength),
        ("Content-Length: 5, 5", Reason::ContentLength),
        ("Content-Length: 1 0", Reason::ContentLength),
        ("Content-Length: 9223372036854775808", Reason::ContentLength),
        (
            "Content-Length: 18446744073709551617",
            Reason::ContentLength,
        ),
        ("Transfer-Encoding:", Reason::TransferEncoding),
        (
            "Transfer-Encoding: chunked, chunked",
            Reason::TransferEncoding,
        ),
        ("Transfer-Encoding: chunked, gzip", Reason::TransferEncoding),
        ("Transfer-Encoding: , chunked", Reason::TransferEncoding),
        ("Transfer-Encoding: chunked,", Reason::TransferEncoding),
        ("Transfer-Encoding: chunked;a=b", Reason::TransferEncoding),
        ("Transfer-Encoding: \"chunked\"", Reason::TransferEncoding),
        ("Transfer-Encoding: gzip", Reason::TransferCodingUnknown),
        ("Transfer-Encoding: xchunked", Reason::TransferCodingUnknown),
        (
            "Transfer-Encoding: gzip, chunked",
            Reason::TransferCodingUnknown,
        ),
    ] {
        refused(&with_line(line), reason, LINE);
    }
    for (lines, reason, at) in [
        (
            "Content-Length: 5\r\nContent-Length: 5",
            Reason::ContentLengthRepeated,
            19,
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            Reason::TwoFramings,
            19,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            Reason::TwoFramings,
            0,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Reason::TransferEncoding,
            28,
        ),
    ] {
        refused(&with_line(lines), reason, LINE + at);
    }
    refused(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reason::TransferEncodingInHttp10,
        17,
    );
    refused(
        "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        Reason::BodyNotAllowed,
        27,
    );
    assert_eq!(Reason::TransferCodingUnknown.status(), 501);
    assert_eq!(Reason::VersionUnsupported.status(), 505);
}

#[test]
fn persistence_and_expectations() {
    let kept = |version: &str, line: &str| {
        accepted(&format!("GET / {version}\r\nHost: a\r\n{line}\r\n")).keep_alive
    };
    assert!(kept("HTTP/1.1", ""));
    assert!(!kept("HTTP/1.1", "Connection: close\r\n"));
    assert!(!kept("HTTP/1.1", "Connection: x , CLOSE,\r\n"));
    assert!(!kept("HTTP/1.1", "Connection: x\r\nConnection: close\r\n"));
    assert!(kept("HTTP/1.1", "Connection: closed\r\n"));
    assert!(!kept("HTTP/1.0", ""));
    assert!(kept("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!kept("HTTP/1.0", "Connection: keep-alive, close\r\n"));

    let expects = |version: &str, lines: &str| {
        accepted(&format!("POST / {version}\r\nHost: a\r\n{lines}\r\n")).expects_continue
    };
    assert!(expects(
        "HTTP/1.1",
        "Expect: 100-Continue\r\nContent-Length: 1\r\n"
    ));
    assert!(expects(
        "HTTP/1.1",
        "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"
    ));
    assert!(!expects(
        "HTTP/1.1",
        "Expect: 100-continue\r\nContent-Length: 0\r\n"
    ));
    assert!(!expects("HTTP/1.1", "Expect: 100-continue\r\n"));
    assert!(!expects(
        "HTTP/1.0",
        "Expect: 100-continue\r\nContent-Length: 1\r\n"
    ));
}

#[test]
fn limits_are_seen_as_soon_as_they_are_passed() {
    let limits = Limits {
        head: 64,
        fields: 2,
        target: 8,
    };
    let parse = |input: &str| {
        RequestParser::new(limits).parse(input.as_bytes(), &mut RequestHead::default())
    };
    assert_eq!(parse("GET /2345678"), Ok(None));
    assert_eq!(
        parse("GET /23456789"),
        Err(Reject::new(Reason::TargetTooLong, 13))
    );
    assert_eq!(Reason::TargetTooLong.status(), 414);
    let start = "GET / HTTP/1.0\r\nA: ";
    let fill = "x".repeat(64 - 4 - start.len());
    assert_eq!(parse(&format!("{start}{fill}\r\n\r\n")), Ok(Some(64)));
    assert_eq!(
        parse(&format!("{start}{fill}y\r\n\r")),
        Err(Reject::new(Reason::HeadTooLarge, 64))
    );
    assert_eq!(Reason::HeadTooLarge.status(), 431);
    assert_eq!(
        parse("GET / HTTP/1.0\r\na:b\r\nc:d\r\ne"),
        Err(Reject::new(Reason::TooManyFields, 26))
    );
    assert_eq!(parse("GET / HTTP/1.0\r\na:b\r\nc:d\r\n\r\n"), Ok(Some(28)));
}

#[test]
fn pipelined_requests_and_reuse() {
    let input = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nPUT /b HTTP/1.0\r\n\r\n";
    let mut parser = RequestParser::new(Limits::default());
    let mut head = RequestHead::default();
    let first = parser.parse(input, &mut head).unwrap().unwrap();
    assert_eq!((first, head.path()), (28, &b"/a"[..]));
    let second = parser.parse(&input[first..], &mut head).unwrap().unwrap();
    assert_eq!((second, head.path()), (input.len() - first, &b"/b"[..]));
    assert!(head.fields.is_empty());
}
