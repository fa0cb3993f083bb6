//! The 161 scored probes of Http11Probe, judged as that suite judges them: before a lenient origin, so that
//! the server is not credited with its origin's refusals, and before a folder of files.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use dream_testkit::{Client, Folder, Head, Origin, ReadError, latin1, respond};
use serde_json::Value;

use crate::corpora;
use crate::start::{files, get, proxy};

#[test]
fn as_a_proxy_before_a_lenient_origin() {
    let Some(probes) = scored_probes() else {
        return;
    };
    let origin = Origin::each(lenient_answer);
    let server = proxy(&origin);
    let results = run_all(&probes, server.address(), Handler::Any);
    check("proxy", &results);
}

#[test]
fn as_a_file_server() {
    let Some(probes) = scored_probes() else {
        return;
    };
    let folder = Folder::new("probe");
    folder.write("index.html", "OK");
    let server = files(&folder);
    let results = run_all(&probes, server.address(), Handler::NoPost);
    check("files", &results);
}

#[test]
fn the_judge_is_not_blind() {
    // A server that answers 200 to everything and never closes must not pass.
    let Some(probes) = scored_probes() else {
        return;
    };
    let origin = Origin::start(|connection| {
        while connection.read_some(1).len() > 1 {
            connection.write(respond(200, "text/plain", b"OK"));
        }
    });
    let results = run_all(&probes, origin.address(), Handler::Any);
    let failed = results
        .iter()
        .filter(|result| result.verdict == Verdict::Fail);
    assert!(failed.count() > 80);
}

/// At most so many fail, and at least so many of the MUSTs pass.
fn check(role: &str, results: &[Judged]) {
    let count = |verdict: Verdict| {
        results
            .iter()
            .filter(|result| result.verdict == verdict)
            .count()
    };
    let (pass, warn, fail) = (
        count(Verdict::Pass),
        count(Verdict::Warn),
        count(Verdict::Fail),
    );
    let musts = results.iter().filter(|result| result.level == "Must");
    let must_pass = musts
        .clone()
        .filter(|result| result.verdict == Verdict::Pass)
        .count();
    println!(
        "Http11Probe, {role}: {pass} pass, {warn} warn, {fail} fail; MUST {must_pass} of {}",
        musts.count()
    );
    for result in results
        .iter()
        .filter(|result| result.verdict != Verdict::Pass)
    {
        println!("{result}");
    }
    assert_eq!(results.len(), 161, "the scored probes of the corpus");
    assert!(fail <= 5, "{role}: {fail} probes fail, at most 5 may");
    assert!(
        must_pass >= 105,
        "{role}: {must_pass} of 111 MUSTs pass, at least 105 should"
    );
}

struct Probe {
    id: String,
    level: String,
    expected: String,
    steps: Vec<Vec<u8>>,
}

struct Judged {
    id: String,
    level: String,
    expected: String,
    verdict: Verdict,
    seen: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

/// Whether the server has someone who takes a POST.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handler {
    Any,
    NoPost,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = format!("{:?}", self.verdict);
        write!(
            f,
            "{verdict:4} | {:7} | {:40} | expected {} | saw {}",
            self.level, self.id, self.expected, self.seen
        )
    }
}

fn scored_probes() -> Option<Vec<Probe>> {
    let lines = corpora::read("http11probe.jsonl")?;
    let scored = lines.iter().filter(|line| line["scored"] == true);
    Some(scored.map(probe).collect())
}

fn probe(line: &Value) -> Probe {
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_string();
    let id = text("id");
    let steps = match (&line["steps"], corpora::bytes(&line["raw"])) {
        (Value::Array(steps), _) => steps.iter().map(joined).collect(),
        (_, Some(raw)) => vec![raw],
        _ => vec![generated(&id)],
    };
    if let Some(length) = line["length"].as_u64() {
        let raw_is_ascii = steps[0].is_ascii();
        assert!(
            !raw_is_ascii || (length as usize).abs_diff(steps[0].len()) <= 1,
            "{id}"
        );
    }
    Probe {
        id,
        level: text("level"),
        expected: text("expected"),
        steps,
    }
}

fn joined(step: &Value) -> Vec<u8> {
    let parts = step.as_array().expect("a step is a list of parts");
    parts.iter().filter_map(corpora::bytes).flatten().collect()
}

/// The probes that are too long to be in the corpus.
fn generated(id: &str) -> Vec<u8> {
    const HOST: &str = "Host: localhost:8080\r\n";
    let long = "A".repeat(100_000);
    let text = match id {
        "MAL-LONG-URL" => format!("GET /{long} HTTP/1.1\r\n{HOST}\r\n"),
        "MAL-LONG-HEADER-VALUE" => format!("GET / HTTP/1.1\r\n{HOST}X-Big: {long}\r\n\r\n"),
        "MAL-LONG-HEADER-NAME" => format!("GET / HTTP/1.1\r\n{HOST}{long}: val\r\n\r\n"),
        "MAL-LONG-METHOD" => format!("{long} / HTTP/1.1\r\n{HOST}\r\n"),
        "MAL-MANY-HEADERS" => {
            let fields: String = (0..10_000).map(|n| format!("X-H-{n}: value\r\n")).collect();
            format!("GET / HTTP/1.1\r\n{HOST}{fields}\r\n")
        }
        "MAL-CHUNK-EXT-64K" => {
            let extension = "a".repeat(65_536);
            let head = format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
            format!("{head}5;ext={extension}\r\nhello\r\n0\r\n\r\n")
        }
        _ => panic!("{id} has no bytes and is not known"),
    };
    text.into_bytes()
}

/// Echoes bodies, gives heads back for `/echo`, and refuses nothing.
fn lenient_answer(request: &dream_testkit::Request) -> Vec<u8> {
    if request.target.ends_with("/echo") {
        let lines = request
            .head
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"));
        return respond(200, "text/plain", lines.collect::<String>().as_bytes());
    }
    match (request.method.as_str(), request.body.as_slice()) {
        ("HEAD", _) => {
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n".to_vec()
        }
        (_, b"") => respond(200, "text/plain", b"OK"),
        (_, body) => respond(200, "text/plain", body),
    }
}

fn run_all(probes: &[Probe], address: SocketAddr, handler: Handler) -> Vec<Judged> {
    let next = Mutex::new(probes.iter().enumerate());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some((index, probe)) = next.lock().unwrap().next() else {
                        return;
                    };
                    let judged = run_one(probe, address, handler);
                    results.lock().unwrap().push((index, judged));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, judged)| judged).collect()
}

/// Probes wait much and compute little.
const WORKERS: usize = 8;

fn run_one(probe: &Probe, address: SocketAddr, handler: Handler) -> Judged {
    let mut client = Client::connect(address);
    client.set_patience(patience(&probe.expected));
    let mut steps = Vec::new();
    for bytes in &probe.steps {
        let seen = observe(&mut client, bytes, &probe.expected, handler);
        let over = seen.closed || seen.status.is_none();
        steps.push(seen);
        if over {
            break;
        }
    }
    Judged {
        id: probe.id.clone(),
        level: probe.level.clone(),
        expected: probe.expected.clone(),
        verdict: judge(&probe.expected, &probe.steps[0], &steps[0]),
        seen: steps
            .iter()
            .map(Seen::summary)
            .collect::<Vec<_>>()
            .join(", then "),
    }
}

/// Where silence is an answer, waiting for it must be short; where it is a failure, long.
fn patience(expected: &str) -> Duration {
    let silence_passes = expected.contains("timeout") || expected.contains("non-1xx");
    Duration::from_millis(if silence_passes { 700 } else { 10_000 })
}

/// What came back for one step.
#[derive(Default)]
struct Seen {
    status: Option<u16>,
    head: Head,
    body: String,
    /// Bytes after the first response.
    extra: String,
    closed: bool,
    timed_out: bool,
}

impl Seen {
    fn succeeded(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    fn summary(&self) -> String {
        let status = self
            .status
            .map_or("nothing".to_string(), |status| status.to_string());
        let end = match (self.closed, self.timed_out) {
            (true, _) => " and a close",
            (_, true) => " in time",
            _ => "",
        };
        let extra = if self.extra.is_empty() {
            ""
        } else {
            " and more bytes"
        };
        format!("{status}{end}{extra}")
    }
}

fn observe(client: &mut Client, bytes: &[u8], expected: &str, handler: Handler) -> Seen {
    // A server may refuse and close before all is sent.
    let _ = client.try_send(bytes);
    let method = latin1(bytes.split(|&byte| byte == b' ').next().unwrap_or_default());
    let mut seen = match client.read_response(&method) {
        Ok(response) => Seen {
            status: Some(response.status),
            body: response.text(),
            head: response.head,
            ..Seen::default()
        },
        Err(ReadError::TimedOut(_)) => {
            return Seen {
                timed_out: true,
                ..Seen::default()
            };
        }
        Err(_) => {
            return Seen {
                closed: true,
                ..Seen::default()
            };
        }
    };
    if handler == Handler::NoPost && method == "POST" && seen.status == Some(405) {
        seen = without_post(client, seen, expected);
    }
    if method == "HEAD" || expected.contains("extra") {
        seen.extra = more_bytes(client);
    }
    let matters = seen.succeeded() && expected.contains("close");
    seen.closed = seen.head.lists("Connection", "close")
        || (matters && client.closes_within(Duration::from_secs(2)));
    seen
}

/// A 405 to a POST is right where no one takes one; what counts is how the next request fares, because that shows
/// what the server made of the body.
fn without_post(client: &mut Client, refused: Seen, expected: &str) -> Seen {
    let must_succeed = expected.starts_with('2');
    let taken = Seen {
        status: Some(200),
        body: "OK".to_string(),
        ..Seen::default()
    };
    let says_close = refused.head.lists("Connection", "close");
    let next = match client.try_send(get("/")) {
        Ok(()) if !says_close => client.read_response("GET"),
        _ => Err(ReadError::Reset),
    };
    match next {
        Ok(page) if page.status == 200 && page.text() == "OK" => taken,
        Err(ReadError::TimedOut(_)) => Seen {
            timed_out: true,
            ..Seen::default()
        },
        // The end of the connection hurts no one.
        _ if must_succeed && says_close => taken,
        _ => Seen {
            closed: true,
            ..Seen::default()
        },
    }
}

/// What else the server says within a moment.
fn more_bytes(client: &mut Client) -> String {
    client.set_patience(Duration::from_millis(300));
    let bytes = match client.read_some(1) {
        Ok(bytes) | Err(ReadError::Closed(bytes)) => bytes,
        Err(_) => Vec::new(),
    };
    latin1(&bytes)
}

/// The suite's rules, in the order from the most to the least special words.
fn judge(expected: &str, sent: &[u8], seen: &Seen) -> Verdict {
    let Some(status) = seen.status else {
        return judge_silence(expected, seen);
    };
    match expected {
        "204 without CL" if status == 204 => pass_if(!seen.head.has("Content-Length")),
        "405 + Allow header" if status == 405 => pass_if(seen.head.has("Allow")),
        "204 without CL" | "405 + Allow header" => Verdict::Warn,
        "!101" => pass_if(status != 101),
        "not 414" => pass_if(status != 414),
        "non-1xx response" => pass_if(status >= 200),
        "non-101 (426 preferred)" if seen.succeeded() => Verdict::Warn,
        "non-101 (426 preferred)" => pass_if(status != 101),
        "Reject/drop (pass), normalize (fail), preserve (warn)" => judge_names(sent, seen),
        "400 or 2xx/404" if status == 404 => Verdict::Warn,
        _ if expected.starts_with("2xx") || expected.starts_with("200-299") => {
            judge_success(expected, sent, seen)
        }
        _ => judge_refusal(expected, seen),
    }
}

fn judge_silence(expected: &str, seen: &Seen) -> Verdict {
    let words: Vec<&str> = expected
        .split(|c: char| !c.is_ascii_alphanumeric())
        .collect();
    let exact = matches!(
        expected,
        "400" | "200-299" | "405 + Allow header" | "204 without CL"
    );
    let needs_answer =
        exact || (expected.starts_with("2xx") && expected != "2xx preferred; 400 warns");
    match (seen.timed_out, needs_answer) {
        (true, _) => pass_if(words.contains(&"timeout") || expected == "non-1xx response"),
        (false, true) => Verdict::Fail,
        (false, false) if expected.contains("preferred; 400 warns") || expected == "not 414" => {
            Verdict::Warn
        }
        (false, false) => Verdict::Pass,
    }
}

/// Rules of the form "these statuses, or close", where 2xx may be named as the lenient way.
fn judge_refusal(expected: &str, seen: &Seen) -> Verdict {
    let status = seen.status.unwrap_or_default().to_string();
    let words: Vec<&str> = expected
        .split(|c: char| !c.is_ascii_alphanumeric())
        .collect();
    if seen.extra.contains("HTTP/1.") {
        return Verdict::Fail;
    }
    if words.contains(&status.as_str()) {
        return Verdict::Pass;
    }
    let sequence = expected.starts_with("400, or");
    let closing = sequence || expected.contains("2xx+close");
    match (seen.succeeded(), closing) {
        (true, true) => pass_if(seen.closed),
        (true, false) if words.contains(&"2xx") || expected.starts_with("501") => Verdict::Warn,
        _ => Verdict::Fail,
    }
}

fn judge_success(expected: &str, sent: &[u8], seen: &Seen) -> Verdict {
    if expected == "2xx preferred; 400 warns" && seen.status == Some(400) {
        return Verdict::Warn;
    }
    if !seen.succeeded() {
        return Verdict::Fail;
    }
    let warn_unless = |good: bool| if good { Verdict::Pass } else { Verdict::Warn };
    match expected {
        "2xx (Range ignored)" => pass_if(seen.status != Some(206)),
        "2xx + close" if sent.starts_with(b"GET / HTTP/1.0") => warn_unless(seen.closed),
        "2xx + close" => pass_if(seen.closed),
        "2xx with no body" => pass_if(seen.extra.is_empty()),
        "2xx with Allow header" => warn_unless(seen.head.has("Allow")),
        "2xx with Content-Type" => warn_unless(seen.head.has("Content-Type")),
        "2xx with Date header" => pass_if(seen.head.has("Date")),
        "2xx + echo" | "2xx preferred; 400 warns" => {
            pass_if(seen.body == "OK" || seen.body == echoed(sent))
        }
        _ => Verdict::Pass,
    }
}

/// What an origin that echoes bodies gives back for the probes that expect it.
fn echoed(sent: &[u8]) -> &'static str {
    let text = latin1(sent);
    if text.contains(" world") {
        "hello world"
    } else if text.contains("helloworld") {
        "helloworld"
    } else {
        "hello"
    }
}

/// A field name that is almost another must not become it on the way to the origin, which lists what it got.
fn judge_names(sent: &[u8], seen: &Seen) -> Verdict {
    if !seen.succeeded() {
        return pass_if(seen.status.is_some_and(|status| status >= 400));
    }
    let sent = latin1(sent);
    let odd = sent.lines().last_with_odd_name();
    let Some((name, standard, value)) = odd else {
        return Verdict::Pass;
    };
    let has = |wanted: &str| {
        let mut lines = seen.body.lines().filter_map(|line| line.split_once(": "));
        lines.any(|(other, text)| {
            other.eq_ignore_ascii_case(wanted) && text.eq_ignore_ascii_case(&value)
        })
    };
    match (has(&standard), has(&name)) {
        (true, _) => Verdict::Fail,
        (_, true) => Verdict::Warn,
        _ => Verdict::Pass,
    }
}

/// Finds the field of a probe whose name is a standard one spelled wrongly.
trait OddName {
    fn last_with_odd_name(self) -> Option<(String, String, String)>;
}

impl<'a, I: Iterator<Item = &'a str>> OddName for I {
    fn last_with_odd_name(self) -> Option<(String, String, String)> {
        let fields = self.filter_map(|line| line.split_once(':'));
        let odd = fields.filter(|(name, _)| name.contains(['_', '\t', ' ']));
        let (name, value) = odd.last()?;
        let standard = name.trim_end().replace(['_', '\t'], "-");
        Some((name.to_string(), standard, value.trim().to_string()))
    }
}

fn pass_if(good: bool) -> Verdict {
    if good { Verdict::Pass } else { Verdict::Fail }
}
