//! Randomly edited messages through the proxy: what reaches the endpoint must mean, to a strict reader of
//! RFC 9112 that shares no code with the server, what the client's own bytes mean to it. What that reader
//! refuses must not reach the endpoint at all.
//!
//! `DREAM_MUTATIONS` sets how many edits are tried, `DREAM_SEED` which.

mod reader;

use std::env;
use std::thread;

use dream_testkit::{DEADLINE, Origin, Random, Request, Server, latin1, respond};

use crate::corpora;
use crate::start::proxy;
use reader::{Message, Reading, read_all};

#[test]
fn edited_messages_keep_their_meaning_or_end_here() {
    let total = number("DREAM_MUTATIONS", 20_000);
    let seed = number("DREAM_SEED", 20_260_201);
    let corpus = Corpus::new();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let corpus = corpus.clone();
            thread::spawn(move || run(&corpus, seed + worker, total / WORKERS))
        })
        .collect();
    let mut forwarded = 0;
    for worker in workers {
        forwarded += worker.join().expect("no worker finds a difference");
    }
    println!("{total} edited messages (seed {seed}), {forwarded} requests reached the endpoint");
    // Too few, and the test has become blind.
    assert!(
        forwarded as u64 > total / 10,
        "only {forwarded} of {total} reached the endpoint"
    );
}

#[test]
fn the_corpora_themselves_keep_their_meaning() {
    let (origin, server) = pair();
    for bytes in seeds() {
        check(&bytes, &origin, &server);
    }
    check_tails(&origin);
}

/// Each has a server and an endpoint of its own, so that what arrives belongs to what was sent.
const WORKERS: u64 = 2;

/// After so many messages a worker starts anew: the endpoint remembers a bounded number of bytes.
const ROUND: u64 = 5000;

fn number(name: &str, default: u64) -> u64 {
    let value = env::var(name).ok();
    value.map_or(default, |text| text.parse().expect("a number"))
}

fn pair() -> (Origin, Server) {
    let origin = Origin::each(|_| respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    (origin, server)
}

fn run(corpus: &Corpus, seed: u64, count: u64) -> usize {
    let mut random = Random::new(seed);
    let mut forwarded = 0;
    let mut left = count;
    while left > 0 {
        let now = left.min(ROUND);
        let (origin, server) = pair();
        for _ in 0..now {
            forwarded += check(&edited(corpus, &mut random), &origin, &server);
        }
        check_tails(&origin);
        left -= now;
    }
    forwarded
}

/// Sends `bytes` and compares what arrived with what they mean; how many requests arrived.
fn check(bytes: &[u8], origin: &Origin, server: &Server) -> usize {
    let mut client = server.client();
    // A server may refuse and close before all is sent.
    let _ = client.try_send(bytes);
    client.half_close();
    client.read_to_end();
    assert!(
        client.closes_within(DEADLINE),
        "the connection stays open after {:?}",
        latin1(bytes)
    );
    let arrived = origin.take_requests();
    let mut meant = read_all(bytes).0.into_iter();
    for request in &arrived {
        let got = strictly(request);
        let shown = || {
            format!(
                "sent {:?}\narrived {:?}",
                latin1(bytes),
                latin1(&request.raw)
            )
        };
        let same = meant.any(|message| message.same_as(&got));
        assert!(same, "what arrived was not sent, or not so:\n{}", shown());
    }
    arrived.len()
}

/// What the endpoint took for one request must be exactly one to a strict reader.
#[track_caller]
fn strictly(request: &Request) -> Message {
    let (mut messages, rest) = read_all(&request.raw);
    let shown = latin1(&request.raw);
    assert!(
        messages.len() == 1 && rest == Reading::Nothing,
        "not one request but {rest:?}: {shown:?}"
    );
    messages.remove(0)
}

/// On each connection whole requests stand first; behind them only the start of one that was broken off.
fn check_tails(origin: &Origin) {
    for bytes in origin.received() {
        let (_, rest) = read_all(&bytes);
        let fine = matches!(rest, Reading::Nothing | Reading::Incomplete);
        assert!(fine, "{rest:?} was forwarded: {:?}", latin1(&bytes));
    }
}

/// What edits start from, and what they splice in.
#[derive(Clone)]
struct Corpus {
    all: Vec<Vec<u8>>,
    /// Those that are requests to the strict reader, whole and with nothing behind them.
    good: Vec<Vec<u8>>,
}

impl Corpus {
    fn new() -> Corpus {
        let all = seeds();
        let is_good = |bytes: &&Vec<u8>| matches!(read_all(bytes), (messages, Reading::Nothing) if !messages.is_empty());
        let good = all.iter().filter(is_good).cloned().collect();
        Corpus { all, good }
    }
}

/// The messages that edits start from: ours, so that the test works anywhere, and the corpora's requests.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = OWN.iter().map(|text| text.as_bytes().to_vec()).collect();
    for line in corpora::read("http11probe.jsonl").unwrap_or_default() {
        seeds.extend(corpora::bytes(&line["raw"]));
        for step in line["steps"].as_array().into_iter().flatten() {
            let parts = step.as_array().into_iter().flatten();
            seeds.push(parts.filter_map(corpora::bytes).flatten().collect());
        }
    }
    for line in corpora::read("llhttp.jsonl").unwrap_or_default() {
        if line["kind"] == "request" {
            seeds.extend(corpora::bytes(&line["raw"]));
        }
    }
    seeds.retain(|bytes| !bytes.is_empty() && bytes.len() < 8192);
    seeds
}

const OWN: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/../b%2e%2e?q#f HTTP/1.1\r\nHost: a:80\r\nCookie: a=b\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d e\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "PUT http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 1\r\n\r\n.",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
];

/// A message with one to three edits, mostly one that was good before.
fn edited(corpus: &Corpus, random: &mut Random) -> Vec<u8> {
    let seeds = match random.below(4) {
        0 => &corpus.all,
        _ => &corpus.good,
    };
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(3) {
        edit(&mut bytes, &corpus.all, random);
    }
    bytes
}

fn edit(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(8)).min(bytes.len());
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] = random.number() as u8,
        1 if at < bytes.len() => bytes[at] = *random.pick(ODD_BYTES),
        2 => bytes.insert(at, *random.pick(ODD_BYTES)),
        3 => drop(bytes.drain(at..end)),
        4 => drop(bytes.splice(at..at, random.pick(ODD_PIECES).bytes())),
        5 => repeat_line(bytes, at),
        6 => {
            let line = line_start(bytes, at);
            drop(bytes.splice(line..line, random.pick(ODD_LINES).bytes()));
        }
        _ => {
            let other = random.pick(corpus);
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn repeat_line(bytes: &mut Vec<u8>, at: usize) {
    let start = line_start(bytes, at);
    let length = bytes[start..].iter().position(|&byte| byte == b'\n');
    let line = bytes[start..start + length.map_or(0, |length| length + 1)].to_vec();
    drop(bytes.splice(start..start, line));
}

fn line_start(bytes: &[u8], at: usize) -> usize {
    bytes[..at]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1)
}

const ODD_BYTES: &[u8] = b"\r\n\t\0\x0b\x0c \x7f\x80\xa0\xff:;,=\"\\+-_.0123456789aAfFxX/?#%*@[]";

const ODD_PIECES: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "\r",
    " \r\n ",
    "0\r\n\r\n",
    "chunked",
    "Transfer-Encoding",
    "Content-Length",
    ": ",
    ";a=\"\r\n\"",
    ";\n",
    ", chunked",
    "chunked, ",
    "http://b/",
    "//b/",
    "/../",
    "%2f..%2f",
    "%0d%0a",
    "%00",
    "HTTP/1.1",
    "HTTP/1.0",
    "0x",
    "+",
    "-0",
    "ffffffffffffffff",
    "00000000000000000",
    "\u{b}",
    "\u{85}",
    "\u{a0}",
];

const ODD_LINES: &[&str] = &[
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding:\tchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length : 5\r\n",
    "Content_Length: 5\r\n",
    "Connection: close\r\n",
    "Connection: Content-Length\r\n",
    "Connection: Transfer-Encoding, Host\r\n",
    "Connection: Cookie, X\r\n",
    "Host: evil\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: h2c\r\n",
    "Trailer: Content-Length\r\n",
    "TE: trailers\r\n",
    " folded\r\n",
    "\r\n",
    "GET /inserted HTTP/1.1\r\nHost: a\r\n\r\n",
    "0\r\n\r\n",
];
