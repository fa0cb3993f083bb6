//! Many ranges in one request, put together again by clients that nobody here wrote, and by hand.

use std::ops::Range;
use std::process::Command;

use dream_testkit::{Client, Folder, Response, Security, Server, pattern};

use crate::peers::has;
use crate::start::{files, get, get_with};
use crate::tls::Ground;

/// More than what is kept in memory, and more than one window of what is sent at once.
const LARGE: usize = 3 << 20;

fn site() -> (Folder, Server, Vec<u8>) {
    let root = Folder::new("ranges");
    let mut bytes = vec![0; LARGE];
    pattern(5, &mut bytes);
    root.write("large.bin", &bytes);
    root.write("digits.txt", "0123456789");
    let server = files(&root);
    (root, server, bytes)
}

#[track_caller]
fn ask(server: &Server, path: &str, range: &str) -> Response {
    let request = get_with(path, &format!("Range: bytes={range}\r\n"));
    server.client().ask(request)
}

/// The parts of a multipart answer, each with the place that it says it has.
#[track_caller]
fn parts(answer: &Response, size: usize) -> Vec<(Range<usize>, Vec<u8>)> {
    let kind = answer.field("Content-Type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap_or_else(|| panic!("{kind}"));
    let delimiter = format!("--{boundary}");
    let mut rest = answer.body.strip_prefix(delimiter.as_bytes()).unwrap();
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = part
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(part[..end].to_vec()).unwrap();
        let place = head.split("Content-Range: bytes ").nth(1).unwrap();
        let (place, all) = place.split_once('/').unwrap();
        assert_eq!(all, size.to_string());
        let (first, last) = place.split_once('-').unwrap();
        let place = first.parse::<usize>().unwrap()..last.parse::<usize>().unwrap() + 1;
        let (bytes, behind) = part[end + 4..].split_at(place.len());
        parts.push((place, bytes.to_vec()));
        rest = behind.strip_prefix(b"\r\n").unwrap();
        rest = rest.strip_prefix(delimiter.as_bytes()).unwrap();
    }
    assert_eq!(rest, b"--\r\n");
    parts
}

#[test]
fn each_part_is_what_it_says() {
    let (_root, server, bytes) = site();
    let last = LARGE - 1;
    let range = format!("100-1099,2000000-2999999,0-0,1200000-1999999,-1,{LARGE}-");
    let answer = ask(&server, "/large.bin", &range);
    assert_eq!(answer.status, 206);
    assert_eq!(answer.field("Content-Range"), None);
    let whole = server.client().ask(get("/digits.txt"));
    assert!(whole.field("ETag").is_some() && answer.field("ETag").is_some());
    let found = parts(&answer, LARGE);
    let places: Vec<Range<usize>> = found.iter().map(|(place, _)| place.clone()).collect();
    assert_eq!(
        places,
        [
            100..1100,
            2_000_000..3_000_000,
            0..1,
            1_200_000..2_000_000,
            last..LARGE
        ]
    );
    for (place, part) in found {
        assert!(part == bytes[place.clone()], "{place:?}");
    }
    let small = ask(&server, "/digits.txt", "7-,0-1");
    let found = parts(&small, 10);
    assert_eq!(found, [(7..10, b"789".to_vec()), (0..2, b"01".to_vec())]);
}

#[test]
fn over_tls_too() {
    let ground = Ground::new();
    ground.issue("site", &["localhost"]);
    let mut bytes = vec![0; LARGE];
    pattern(5, &mut bytes);
    ground.home.write("large.bin", &bytes);
    let house = ground
        .start("[sites.\"*\"]\nfiles = \".\"\ntls = { cert = \"site.pem\", key = \"site.key\" }\n");
    let mut client = Client::secure(house.tls, &Security::new(&house.ca, "localhost"));
    let answer = client.ask(get_with(
        "/large.bin",
        "Range: bytes=1000000-,0-0,500000-999999\r\n",
    ));
    let found = parts(&answer, LARGE);
    assert_eq!(found.len(), 3);
    for (place, part) in found {
        assert!(part == bytes[place.clone()], "{place:?}");
    }
    assert!(client.ask(get("/large.bin")).body == bytes);
}

#[test]
fn the_log_counts_what_was_sent_and_the_connection_stays() {
    let (_root, server, bytes) = site();
    let mut client = server.client();
    let request = get_with("/large.bin", "Range: bytes=0-99999,200000-299999\r\n");
    let answer = client.ask(&request);
    let length = answer.field("Content-Length").unwrap();
    assert_eq!(length, answer.body.len().to_string());
    let line = server.log_lines(1).remove(0);
    assert!(
        line.contains(&format!("status=206 | bytes={length} |")),
        "{line}"
    );
    assert!(client.ask(get("/large.bin")).body == bytes);
    assert_eq!(client.ask(get("/digits.txt")).text(), "0123456789");
}

#[test]
fn too_many_or_overlapping_ranges_give_the_whole() {
    let (_root, server, _) = site();
    // CVE-2011-3192: a thousand ranges, each of nearly all of the file.
    let thousand: Vec<String> = (0..1000).map(|first| format!("{first}-")).collect();
    for range in [
        "0-5,5-9",
        "0-,0-,0-",
        "-5,0-9",
        &thousand.join(","),
        "0-1,9-8",
    ] {
        let answer = ask(&server, "/digits.txt", range);
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    }
    let answer = ask(&server, "/digits.txt", "10-,20-30");
    assert_eq!(
        (answer.status, answer.field("Content-Range")),
        (416, Some("bytes */10"))
    );
    let answer = ask(&server, "/digits.txt", "3-4,20-");
    assert_eq!(
        (
            answer.status,
            answer.field("Content-Range"),
            answer.text().as_str()
        ),
        (206, Some("bytes 3-4/10"), "34")
    );
}

#[test]
fn ranges_of_another_version_are_the_whole() {
    let (_root, server, _) = site();
    let first = server.client().ask(get("/digits.txt"));
    let tag = first.field("ETag").unwrap();
    let date = first.field("Last-Modified").unwrap();
    for (condition, status) in [
        (tag, 206),
        (date, 206),
        ("\"another\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        let fields = format!("Range: bytes=0-1,4-5\r\nIf-Range: {condition}\r\n");
        let answer = server.client().ask(get_with("/digits.txt", &fields));
        assert_eq!(answer.status, status, "{condition}");
    }
    let head = "HEAD /digits.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,4-5\r\n\r\n";
    let head = server.client().ask(head);
    assert_eq!(
        (head.status, head.field("Content-Length")),
        (200, Some("10"))
    );
}

/// Fetches the ranges of its arguments and puts what comes where it says that it belongs.
const PYTHON: &str = r#"
import email, sys, urllib.request
url, ranges = sys.argv[1:]
request = urllib.request.Request(url, headers={"Range": "bytes=" + ranges})
answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
assert answer.status == 206, answer.status
message = email.message_from_bytes(
    b"Content-Type: " + answer.headers["Content-Type"].encode() + b"\r\n\r\n" + answer.read())
whole = {}
for part in message.get_payload():
    first, rest = part["Content-Range"].removeprefix("bytes ").split("-")
    whole[int(first)] = part.get_payload(decode=True)
sys.stdout.buffer.write(b"".join(whole[first] for first in sorted(whole)))
"#;

#[test]
fn pythons_mail_parser_puts_a_text_together_again() {
    if !has("python3", &["--version"]) {
        return;
    }
    let (root, server, _) = site();
    let text: String = (0..30_000).map(|number| format!("{number}\n")).collect();
    root.write("text.txt", &text);
    let url = format!("http://127.0.0.1:{}/text.txt", server.port());
    let half = text.len() / 2;
    let ranges = format!("{half}-,0-9,10-{}", half - 1);
    let run = Command::new("python3")
        .args(["-c", PYTHON, &url, &ranges])
        .output();
    let run = run.expect("python3 runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(run.stdout == text.as_bytes(), "it came out as another text");
}

#[test]
fn curl_gets_the_parts() {
    if !has("curl", &["--version"]) {
        return;
    }
    let (_root, server, _) = site();
    let url = format!("http://127.0.0.1:{}/digits.txt", server.port());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "-r", "0-1,8-9", &url]);
    let text = String::from_utf8(curl.output().expect("curl runs").stdout).unwrap();
    assert!(text.contains("bytes 0-1/10\r\n\r\n01\r\n--"), "{text}");
    assert!(text.contains("bytes 8-9/10\r\n\r\n89\r\n--"), "{text}");
}
