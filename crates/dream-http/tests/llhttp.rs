//! The fixtures of llhttp (Node's parser), which no one here wrote, through our parsers.
//!
//! They lie in `../shared/corpora`, beside the project. llhttp is lenient by flags; where its verdict and ours differ, the
//! fixture stands in [`DIFFERENCES`] under the reason. A difference that is not there fails, and so does one that is gone.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_http::{Method, Reason, Reject, fuzzing};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn fixtures_end_as_in_llhttp_or_for_a_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora/llhttp.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("NOT TESTED: there is no {}", path.display());
        return;
    };
    let found: BTreeMap<String, Difference> = text
        .lines()
        .filter_map(|line| {
            let fixture = Fixture::parse(line);
            Some((fixture.id.clone(), fixture.difference()?))
        })
        .collect();
    let known: BTreeMap<String, Difference> = DIFFERENCES
        .iter()
        .flat_map(|(difference, _why, ids)| {
            ids.iter().map(|id| (format!("llhttp/{id}"), *difference))
        })
        .collect();
    for (id, difference) in &found {
        assert_eq!(known.get(id), Some(difference), "{id}");
    }
    for id in known.keys() {
        assert!(found.contains_key(id), "{id} no longer differs");
    }
    println!(
        "{} fixtures, {} differ for a known reason",
        text.lines().count(),
        found.len()
    );
}

/// How a verdict of ours differs from llhttp's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Difference {
    /// llhttp takes it, or takes it under a flag.
    WeRefuse(Reason),
    /// llhttp refuses it.
    WeAccept,
}

use Difference::{WeAccept, WeRefuse};

struct Fixture {
    id: String,
    is_request: bool,
    accepted: bool,
    raw: Vec<u8>,
}

impl Fixture {
    fn parse(line: &str) -> Fixture {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        Fixture {
            id: text("id"),
            is_request: text("kind") == "request",
            accepted: text("expect") == "ok",
            raw: text("raw").chars().map(|byte| byte as u8).collect(),
        }
    }

    fn difference(&self) -> Option<Difference> {
        let reject = if self.is_request {
            fuzzing::connection_server(&self.raw);
            self.as_request()
        } else {
            fuzzing::responses(&self.raw, Method::Get, &[]).reject
        };
        // A fixture that ends within a message is fine for llhttp, which is not told of the end.
        let reject = reject.filter(|reject| reject.reason != Reason::Truncated);
        match (self.accepted, reject) {
            (true, Some(reject)) => Some(WeRefuse(reject.reason)),
            (false, None) => Some(WeAccept),
            _ => None,
        }
    }

    /// llhttp does not look for a Host, so most fixtures have none: they get one, that the rest of them counts.
    fn as_request(&self) -> Option<Reject> {
        let mut raw = self.raw.clone();
        loop {
            let conversation = fuzzing::requests(&raw, &[]);
            match conversation.reject {
                Some(reject) if reject.reason == Reason::HostMissing => {}
                reject => return reject,
            }
            let mut start = raw.len() - conversation.left;
            while raw[start] == b'\r' {
                start += 2;
            }
            let line = start
                + raw[start..]
                    .windows(2)
                    .position(|end| end == b"\r\n")
                    .unwrap()
                + 2;
            let host = host_of(&raw[start..line]).to_vec();
            raw.splice(line..line, [b"Host: ", &host[..], b"\r\n"].concat());
        }
    }
}

/// A Host that does not contradict the target.
fn host_of(line: &[u8]) -> &[u8] {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let host = line
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', ' ']).next());
    host.unwrap_or("fixture").as_bytes()
}

/// Verdict, why it is ours, and the fixtures that show it.
const DIFFERENCES: &[(Difference, &str, &[&str])] = &[
    (
        WeAccept,
        "llhttp reports its pause before a tunnel as an error; the message is valid",
        &[
            "request/connection/14",
            "request/connection/15",
            "request/method/2",
            "request/method/3",
            "request/uri/9",
            "response/connection/10",
            "response/connection/11",
        ],
    ),
    (
        WeAccept,
        "bytes behind a closing message are left, not looked at: the caller closes",
        &[
            "request/connection/3",
            "response/connection/6",
            "response/connection/8",
        ],
    ),
    (
        WeAccept,
        "the fixture ends within its head; framing is decided when the head is whole",
        &["request/content-length/3", "request/content-length/4"],
    ),
    (
        WeAccept,
        "a method is any token (RFC 9110 §9.1), not one of a list",
        &["request/invalid/4", "request/invalid/14"],
    ),
    (
        WeRefuse(Reason::LineEnd),
        "lenient flag: a lone CR or LF as a line end",
        &[
            "request/content-length/18",
            "request/invalid/22",
            "request/lenient-headers/4",
            "request/sample/14",
            "request/transfer-encoding/27",
            "response/invalid/9",
            "response/invalid/17",
            "response/invalid/19",
            "response/sample/11",
        ],
    ),
    (
        WeRefuse(Reason::LineFolding),
        "lenient flag: obsolete line folding (RFC 9112 §5.2)",
        &[
            "request/invalid/24",
            "request/sample/11",
            "request/sample/18",
            "response/transfer-encoding/10",
        ],
    ),
    (
        WeRefuse(Reason::FieldValue),
        "lenient flag: a control character in a value (RFC 9110 §5.5)",
        &[
            "request/lenient-header-value-relaxed/1",
            "request/lenient-headers/1",
            "request/lenient-headers/2",
        ],
    ),
    (
        WeRefuse(Reason::TwoFramings),
        "lenient flag: Content-Length with Transfer-Encoding (RFC 9112 §6.3)",
        &["request/content-length/8"],
    ),
    (
        WeRefuse(Reason::ChunkEnd),
        "lenient flag: a chunk that no CRLF ends",
        &["request/transfer-encoding/29"],
    ),
    (
        WeRefuse(Reason::ChunkSize),
        "lenient flag: a blank behind the chunk size",
        &["request/transfer-encoding/31"],
    ),
    (
        WeRefuse(Reason::VersionUnsupported),
        "HTTP/0.9 and HTTP/5.6 are not spoken here",
        &[
            "request/lenient-version/1",
            "response/lenient-version/1",
            "response/sample/17",
        ],
    ),
    (
        WeRefuse(Reason::Version),
        "RTSP and ICE are other protocols, and a line without a version is HTTP/0.9",
        &[
            "request/method/12",
            "request/method/13",
            "request/method/14",
            "request/sample/10",
        ],
    ),
    (
        WeRefuse(Reason::StatusLine),
        "RTSP and ICE are other protocols",
        &["response/sample/2", "response/sample/3"],
    ),
    (
        WeRefuse(Reason::StatusLine),
        "an empty line before a response is a byte behind the one before: only requests may have it (RFC 9112 §2.2)",
        &[
            "response/connection/15",
            "response/connection/17",
            "response/pipelining/1",
            "response/sample/6",
            "response/sample/19",
        ],
    ),
    (
        WeRefuse(Reason::TargetForm),
        "`*` goes with OPTIONS only (RFC 9112 §3.2.4)",
        &["request/method/5"],
    ),
    (
        WeRefuse(Reason::Target),
        "a fragment is not sent (RFC 9112 §3.2); what the fixture is about, codings other than chunked, would be refused next",
        &[
            "request/transfer-encoding/14",
            "request/transfer-encoding/18",
            "request/transfer-encoding/19",
            "request/transfer-encoding/20",
            "request/transfer-encoding/21",
            "request/uri/8",
        ],
    ),
    (
        WeRefuse(Reason::HostInvalid),
        "userinfo in an http target is refused (RFC 9110 §4.2.4)",
        &["request/uri/10"],
    ),
    (
        WeRefuse(Reason::TransferEncoding),
        "chunked is not last: llhttp reads until close (RFC 9112 §6.3 rule 4), we do not forward it",
        &[
            "response/transfer-encoding/2",
            "response/transfer-encoding/3",
        ],
    ),
    (
        WeRefuse(Reason::TransferCodingUnknown),
        "an unknown coding: llhttp reads until close, we do not forward it",
        &["response/transfer-encoding/4"],
    ),
];
