//! HTTP/1.1 messages, read the simplest way that is right: whole, into owned strings, no cleverness.
//!
//! On purpose independent of `dream-http`, slow, and small enough to be checked by eye.

/// A message's first line and fields, as they stood on the wire. Text is Latin-1: each `char` is one byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The request or status line, without its line end.
    pub start: String,
    /// The fields in their order; values without the blanks around them.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head up to and including its empty line. `Err` says what is wrong with it.
    pub fn parse(raw: &[u8]) -> Result<Head, String> {
        let text = latin1(raw);
        let text = text
            .strip_suffix("\r\n\r\n")
            .ok_or("a head must end in an empty line")?;
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_string();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("a field without a colon: {line:?}"))?;
            fields.push((
                name.to_string(),
                value.trim_matches([' ', '\t']).to_string(),
            ));
        }
        Ok(Head { start, fields })
    }

    /// The first field of that name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All fields of that name, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Whether there is a field of that name.
    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// Whether a comma list field has `member`, whatever its case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(member))
    }

    /// The status of a response's first line.
    pub fn status(&self) -> Result<u16, String> {
        let mut words = self.start.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        if version != "HTTP/1.1" && version != "HTTP/1.0" {
            return Err(format!("not a version that we speak: {:?}", self.start));
        }
        let code = words.next().unwrap_or_default();
        if code.len() != 3 || words.next().is_none() {
            return Err(format!("not a status line: {:?}", self.start));
        }
        code.parse()
            .map_err(|_| format!("not a status line: {:?}", self.start))
    }

    /// How a response with this head to a request by `method` ends (RFC 9112 §6.3).
    pub fn response_body(&self, method: &str) -> Result<Body, String> {
        let status = self.status()?;
        let bare = matches!(status, 100..=199 | 204 | 304);
        if bare || method == "HEAD" || (method == "CONNECT" && status / 100 == 2) {
            return Ok(Body::Length(0));
        }
        self.framing(Body::UntilClose)
    }

    /// What the framing fields say; `otherwise` when there are none.
    pub fn framing(&self, otherwise: Body) -> Result<Body, String> {
        let codings = self.all("Transfer-Encoding");
        let lengths = self.all("Content-Length");
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(otherwise),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Body::Chunked),
            ([], [digits]) if is_number(digits) => digits
                .parse()
                .map(Body::Length)
                .map_err(|_| format!("a Content-Length that overflows: {digits}")),
            _ => Err(format!(
                "framing that no one can trust: {codings:?} {lengths:?}"
            )),
        }
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// After so many bytes.
    Length(u64),
    /// With the chunk of size zero.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// A response, whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status line and fields.
    pub head: Head,
    /// The status code.
    pub status: u16,
    /// The content, without its coding.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// How the body was framed.
    pub framing: Body,
}

impl Response {
    /// The first field of that name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The body as text, byte for char.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }

    /// Whether it says that its connection ends with it.
    pub fn says_close(&self) -> bool {
        self.head.lists("Connection", "close")
    }
}

/// Bytes as text, each byte one char, so that nothing is lost.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The other way round; chars above U+00FF have no byte and panic.
pub fn latin1_bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(char).expect("Latin-1 text"))
        .collect()
}

/// Where a head ends: after its empty line.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_head() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nA: 1\r\na:2 \r\nConnection: x, Close\r\n\r\n")
            .unwrap();
        assert_eq!(head.status(), Ok(200));
        assert_eq!(head.all("A"), ["1", "2"]);
        assert!(head.lists("connection", "close"));
        assert_eq!(head.response_body("GET"), Ok(Body::UntilClose));
        assert_eq!(head.response_body("HEAD"), Ok(Body::Length(0)));
    }

    #[test]
    fn refuses_two_framings() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(Head::parse(raw).unwrap().response_body("GET").is_err());
    }

    #[test]
    fn refuses_what_is_not_a_status_line() {
        for line in [
            "HTTP/2 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 200",
            "ICY 200 OK",
        ] {
            let head = Head {
                start: line.into(),
                fields: vec![],
            };
            assert!(head.status().is_err(), "{line}");
        }
    }
}
