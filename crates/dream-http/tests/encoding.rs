//! Heads to bytes.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "tests: tables are long, and a failed unwrap is a failed test"
)]

use dream_http::h1::{
    Framing, Persistence, encode_interim, encode_request, encode_request_to, encode_response,
};
use dream_http::{Name, RequestHead, ResponseHead};

fn response(head: &ResponseHead, framing: Framing, persistence: Persistence) -> String {
    let mut out = Vec::new();
    encode_response(head, framing, persistence, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request() {
    let mut head = RequestHead::new();
    head.set_method(b"PUT");
    head.set_path(b"/a", Some(b"b=c"));
    for (name, value) in [
        (Name::Host, &b"x"[..]),
        (Name::Connection, b"close"),
        (Name::ContentLength, b"9"),
        (Name::TransferEncoding, b"gzip"),
        (Name::KeepAlive, b"timeout=5"),
        (Name::ProxyConnection, b"close"),
        (Name::Upgrade, b"websocket"),
    ] {
        head.fields.append(name, value).unwrap();
    }
    for (framing, persistence, end) in [
        (Framing::None, Persistence::Implied, ""),
        (
            Framing::None,
            Persistence::Upgrade,
            "Connection: Upgrade\r\n",
        ),
        (
            Framing::Length(0),
            Persistence::Close,
            "Content-Length: 0\r\nConnection: close\r\n",
        ),
        (
            Framing::Length(u64::MAX),
            Persistence::Implied,
            "Content-Length: 18446744073709551615\r\n",
        ),
        (
            Framing::Chunked,
            Persistence::KeepAlive,
            "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
        ),
    ] {
        let mut out = Vec::new();
        encode_request(&head, framing, persistence, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("PUT /a?b=c HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n{end}\r\n")
        );
    }
}

#[test]
fn a_server_with_a_name_of_its_own_gets_that_as_host() {
    let mut head = RequestHead::new();
    head.set_method(b"GET");
    head.fields.append(Name::Accept, b"*/*").unwrap();
    head.fields.append(Name::Host, b"public.example").unwrap();
    assert!(head.has_original_host());
    let mut out = Vec::new();
    let host = b"inner.example:8443";
    encode_request_to(host, &head, Framing::None, Persistence::Implied, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET / HTTP/1.1\r\nHost: inner.example:8443\r\nAccept: */*\r\n\r\n"
    );
    head.fields.set(Name::Host, b"public.example").unwrap();
    assert!(!head.has_original_host());
}

#[test]
fn responses_say_where_they_end() {
    let none = Framing::None;
    for (status, length, framing, line) in [
        (200, None, Framing::Length(1024), "Content-Length: 1024\r\n"),
        (
            200,
            None,
            Framing::Chunked,
            "Transfer-Encoding: chunked\r\n",
        ),
        (200, None, Framing::UntilClose, "Connection: close\r\n"),
        (200, Some(7), none, "Content-Length: 7\r\n"),
        (404, None, none, "Content-Length: 0\r\n"),
        (304, Some(7), none, "Content-Length: 7\r\n"),
        (304, None, none, ""),
        (204, Some(7), none, ""),
        (204, None, Framing::Length(0), ""),
        (204, None, Framing::Chunked, ""),
        (101, None, Framing::Tunnel, ""),
        (200, None, Framing::Tunnel, ""),
    ] {
        let mut head = ResponseHead::new(status);
        head.content_length = length;
        let start = format!(
            "HTTP/1.1 {status} {}\r\n",
            dream_http::reason_phrase(status)
        );
        assert_eq!(
            response(&head, framing, Persistence::Implied),
            format!("{start}{line}\r\n")
        );
    }
}

#[test]
fn an_unregistered_status_keeps_its_space() {
    assert_eq!(
        response(
            &ResponseHead::new(299),
            Framing::Length(0),
            Persistence::Implied
        ),
        "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn interim_responses_have_no_framing() {
    let head = ResponseHead::new(103).with(Name::Link, b"</a>").unwrap();
    let mut out = Vec::new();
    encode_interim(&head, &mut out);
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}
