//! One access line: what it says, and how both formats write it.
//!
//! The fields `id` to `latency` come first and in this order, for those who read them by position; what was added
//! since stands behind them. A field without a value is left out.

use dream_http::Version;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::{Format, escape};
use crate::digits::{address, decimal};

/// What is written down about one exchange. Authorization, cookies and bodies have no place here.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The request's id.
    pub id: &'a [u8],
    /// The client's address.
    pub client: IpAddr,
    /// The method as it was sent.
    pub method: &'a [u8],
    /// The path.
    pub path: &'a [u8],
    /// What stood behind the `?`.
    pub query: Option<&'a [u8]>,
    /// Host and port as the client named them.
    pub host: &'a [u8],
    /// The User-Agent field.
    pub user_agent: Option<&'a [u8]>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of body to the client.
    pub bytes: u64,
    /// Bytes of body from the client.
    pub received: u64,
    /// From the first byte of the request to the last of the response.
    pub latency: Duration,
    /// The endpoint that answered.
    pub endpoint: Option<&'a str>,
    /// How long the endpoint's head took.
    pub endpoint_latency: Option<Duration>,
    /// The version of the request.
    pub version: Version,
    /// Why the exchange broke off, if it did.
    pub error: Option<&'a str>,
}

impl Record<'_> {
    /// Adds the record as one line.
    pub(super) fn write_to(&self, format: Format, query: bool, time: &str, out: &mut Vec<u8>) {
        match format {
            Format::Text => {
                out.extend_from_slice(b"[INFO] DREAM_SERVER REQUEST");
                self.fields(query, time, &mut Text(out));
                out.push(b'\n');
            }
            Format::Json => {
                out.extend_from_slice(b"{\"level\":\"INFO\",\"event\":\"REQUEST\"");
                self.fields(query, time, &mut Json(out));
                out.extend_from_slice(b"}\n");
            }
        }
    }

    fn fields(&self, query: bool, time: &str, line: &mut impl Line) {
        line.text("id", self.id);
        line.address("ip", self.client);
        line.text("method", self.method);
        line.text("path", self.path);
        line.text("host", self.host);
        line.number("status", u64::from(self.status));
        line.number("bytes", self.bytes);
        line.duration("latency", self.latency);
        line.text("time", time.as_bytes());
        line.maybe("query", self.query.filter(|_| query));
        line.maybe("agent", self.user_agent);
        line.number("received", self.received);
        line.maybe("endpoint", self.endpoint.map(str::as_bytes));
        if let Some(latency) = self.endpoint_latency {
            line.duration("endpoint_latency", latency);
        }
        line.text("version", version_text(self.version));
        line.maybe("error", self.error.map(str::as_bytes));
    }
}

/// What is written down about a connection that came or went.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The client's end.
    pub client: SocketAddr,
    /// The port that it came to.
    pub port: u16,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// How long it was there, if it went.
    pub lasted: Option<Duration>,
}

impl Visit {
    /// Adds the visit as one line.
    pub(super) fn write_to(&self, format: Format, time: &str, out: &mut Vec<u8>) {
        match format {
            Format::Text => {
                out.extend_from_slice(b"[INFO] DREAM_SERVER CONNECTION");
                self.fields(time, &mut Text(out));
                out.push(b'\n');
            }
            Format::Json => {
                out.extend_from_slice(b"{\"level\":\"INFO\",\"event\":\"CONNECTION\"");
                self.fields(time, &mut Json(out));
                out.extend_from_slice(b"}\n");
            }
        }
    }

    fn fields(&self, time: &str, line: &mut impl Line) {
        let state: &[u8] = match self.lasted {
            None => b"opened",
            Some(_) => b"closed",
        };
        line.text("state", state);
        line.address("ip", self.client.ip());
        line.number("client_port", u64::from(self.client.port()));
        line.number("port", u64::from(self.port));
        line.text("scheme", self.scheme.as_bytes());
        if let Some(lasted) = self.lasted {
            line.duration("lasted", lasted);
        }
        line.text("time", time.as_bytes());
    }
}

/// Adds the line that says how many lines are missing here.
pub(super) fn write_dropped(lines: u64, format: Format, time: &str, out: &mut Vec<u8>) {
    match format {
        Format::Text => {
            out.extend_from_slice(b"[WARN] DREAM_SERVER DROPPED");
            dropped_fields(lines, time, &mut Text(out));
            out.push(b'\n');
        }
        Format::Json => {
            out.extend_from_slice(b"{\"level\":\"WARN\",\"event\":\"DROPPED\"");
            dropped_fields(lines, time, &mut Json(out));
            out.extend_from_slice(b"}\n");
        }
    }
}

fn dropped_fields(lines: u64, time: &str, line: &mut impl Line) {
    line.number("lines", lines);
    line.text("time", time.as_bytes());
}

fn version_text(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// A line that is being written, in one of the formats.
trait Line {
    fn text(&mut self, name: &str, value: &[u8]);
    fn number(&mut self, name: &str, value: u64);
    fn address(&mut self, name: &str, value: IpAddr);
    fn duration(&mut self, name: &str, value: Duration);

    fn maybe(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }
}

/// ` | name=value`
struct Text<'a>(&'a mut Vec<u8>);

impl Text<'_> {
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b" | ");
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
    }
}

impl Line for Text<'_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        escape::text(value, self.0);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal(value, 1, self.0);
    }

    fn address(&mut self, name: &str, value: IpAddr) {
        self.name(name);
        address(value, self.0);
    }

    fn duration(&mut self, name: &str, value: Duration) {
        self.name(name);
        decimal(micros(value) / 1000, 1, self.0);
        self.0.extend_from_slice(b"ms");
    }
}

/// `,"name":value`
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn name(&mut self, name: &str, unit: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(unit.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

impl Line for Json<'_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name, "");
        self.0.push(b'"');
        escape::json(value, self.0);
        self.0.push(b'"');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name, "");
        decimal(value, 1, self.0);
    }

    fn address(&mut self, name: &str, value: IpAddr) {
        self.name(name, "");
        self.0.push(b'"');
        address(value, self.0);
        self.0.push(b'"');
    }

    fn duration(&mut self, name: &str, value: Duration) {
        self.name(name, "_ms");
        let micros = micros(value);
        decimal(micros / 1000, 1, self.0);
        self.0.push(b'.');
        decimal(micros % 1000, 3, self.0);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The time in RFC 3339 form, UTC and milliseconds, formatted anew once a second.
#[derive(Debug, Default)]
pub(super) struct TimeText {
    second: u64,
    text: Vec<u8>,
}

impl TimeText {
    /// The text for `now`.
    pub(super) fn at(&mut self, now: SystemTime) -> &str {
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            self.text = second_text(self.second);
        }
        self.text.truncate(SECONDS_LEN);
        self.text.push(b'.');
        decimal(u64::from(since.subsec_millis()), 3, &mut self.text);
        self.text.push(b'Z');
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// `2026-11-05T12:34:56`, in a buffer with room for `.789Z`.
fn second_text(second: u64) -> Vec<u8> {
    let second = i64::try_from(second).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
    let mut text = timestamp.to_string().into_bytes();
    text.truncate(SECONDS_LEN);
    text.reserve(5);
    text
}

const SECONDS_LEN: usize = "2026-11-05T12:34:56".len();

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    const TIME: &str = "2026-11-05T12:34:56.789Z";

    fn seed() -> Record<'static> {
        Record {
            id: b"019ab",
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            method: b"GET",
            path: b"/",
            query: None,
            host: b"localhost:8080",
            user_agent: None,
            status: 200,
            bytes: 5120,
            received: 0,
            latency: Duration::from_micros(3042),
            endpoint: None,
            endpoint_latency: None,
            version: Version::Http11,
            error: None,
        }
    }

    fn line(record: &Record<'_>, format: Format, query: bool) -> String {
        let mut out = Vec::new();
        record.write_to(format, query, TIME, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_fields_are_the_documented_ones() {
        let expected = "[INFO] DREAM_SERVER REQUEST | id=019ab | ip=127.0.0.1 | method=GET | path=/ | \
                        host=localhost:8080 | status=200 | bytes=5120 | latency=3ms | \
                        time=2026-11-05T12:34:56.789Z | received=0 | version=HTTP/1.1\n";
        assert_eq!(line(&seed(), Format::Text, true), expected);
    }

    #[test]
    fn json_has_numbers_with_microseconds() {
        let record = Record {
            endpoint: Some("localhost:5665"),
            endpoint_latency: Some(Duration::from_micros(7)),
            ..seed()
        };
        let value: serde_json::Value =
            serde_json::from_str(&line(&record, Format::Json, true)).unwrap();
        let expected = serde_json::json!({
            "level": "INFO", "event": "REQUEST", "id": "019ab", "ip": "127.0.0.1", "method": "GET", "path": "/",
            "host": "localhost:8080", "status": 200, "bytes": 5120, "latency_ms": 3.042, "time": TIME,
            "received": 0, "endpoint": "localhost:5665", "endpoint_latency_ms": 0.007, "version": "HTTP/1.1",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn the_query_can_be_left_out() {
        let record = Record {
            query: Some(b"token=secret"),
            ..seed()
        };
        assert!(line(&record, Format::Text, true).contains(" | query=token=secret | "));
        for format in [Format::Text, Format::Json] {
            assert!(!line(&record, format, false).contains("secret"));
        }
    }

    #[test]
    fn numbers_and_times() {
        let mut out = Vec::new();
        decimal(0, 1, &mut out);
        decimal(u64::MAX, 1, &mut out);
        decimal(7, 3, &mut out);
        assert_eq!(out, b"018446744073709551615007");
        let mut time = TimeText::default();
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_009);
        assert_eq!(time.at(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(time.at(moment), "2001-09-09T01:46:40.009Z");
        assert_eq!(
            time.at(moment + Duration::from_millis(990)),
            "2001-09-09T01:46:40.999Z"
        );
    }

    /// Reads a text line as someone who trusts its form would: fields between ` | `, names before `=`.
    fn read(line: &str) -> BTreeMap<&str, Vec<u8>> {
        let mut parts = line.strip_suffix('\n').unwrap().split(" | ");
        assert_eq!(parts.next(), Some("[INFO] DREAM_SERVER REQUEST"));
        let mut fields = BTreeMap::new();
        for part in parts {
            let (name, value) = part.split_once('=').unwrap();
            assert!(fields.insert(name, unescape(value)).is_none(), "{name}");
        }
        fields
    }

    fn unescape(value: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = value.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = match (byte, behind) {
                (b'\\', [b'\\', behind @ ..]) => {
                    bytes.push(b'\\');
                    behind
                }
                (b'\\', [b'x', high, low, behind @ ..]) => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    behind
                }
                (b'\\', _) => panic!("an escape that is none in {value}"),
                (_, behind) => {
                    bytes.push(byte);
                    behind
                }
            };
        }
        bytes
    }

    /// Bytes, and often the ones that a forger would choose.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..8),
            prop_oneof![
                Just(" | status=200"),
                Just("\n[INFO] DREAM_SERVER REQUEST | id=1"),
                Just("\",\"status\":200,\""),
                Just("\\"),
                Just("\\x7c"),
                Just("\u{2028}"),
                Just("}\n{"),
            ]
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_line_can_be_forged(
            path in hostile(), host in hostile(), query in hostile(), agent in hostile(), method in hostile()
        ) {
            let record = Record {
                path: &path, host: &host, query: Some(&query), user_agent: Some(&agent), method: &method, ..seed()
            };
            let sent = [
                ("path", &path), ("host", &host), ("query", &query), ("agent", &agent), ("method", &method),
            ];
            let text = line(&record, Format::Text, true);
            prop_assert!(!text[..text.len() - 1].chars().any(char::is_control));
            let fields = read(&text);
            prop_assert_eq!(fields.len(), 13);
            let json = line(&record, Format::Json, true);
            prop_assert!(!json[..json.len() - 1].chars().any(char::is_control));
            let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(values.len(), 15);
            for (name, value) in sent {
                prop_assert_eq!(&fields[name], value);
                prop_assert_eq!(values[name].as_str().unwrap(), String::from_utf8_lossy(value));
            }
        }
    }
}
