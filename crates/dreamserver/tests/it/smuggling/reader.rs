//! A reader of HTTP/1.1 requests that follows the grammar of RFC 9112 to the letter and knows nothing else.
//!
//! Written from the RFC and from the list of what is refused, not from the server's parser, and for reading
//! rather than for speed. Where the RFC leaves a choice (§6.1: both framings) it refuses, as the server should.

/// A whole request, as far as its meaning goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    method: String,
    target: String,
    host: String,
    /// The end-to-end fields, names in lower case, in their order.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

/// What stands where the next request should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// No byte more.
    Nothing,
    /// The start of a request that may still become a good one.
    Incomplete,
    /// What no request can start with.
    Refused(String),
}

/// The whole requests at the start of `bytes`, and what stands behind them.
pub(super) fn read_all(bytes: &[u8]) -> (Vec<Message>, Reading) {
    let mut input = Input { bytes, at: 0 };
    let mut messages = Vec::new();
    loop {
        // RFC 9112 §2.2: empty lines before a request line are passed over.
        while input.rest().starts_with(b"\r\n") {
            input.at += 2;
        }
        if input.rest().is_empty() {
            return (messages, Reading::Nothing);
        }
        match input.message() {
            Ok(message) => messages.push(message),
            Err(reading) => return (messages, reading),
        }
    }
}

impl Message {
    /// Whether `other`, which a proxy made of this request, means the same.
    pub(super) fn same_as(&self, other: &Message) -> bool {
        self.method == other.method
            && normal_target(&self.target) == normal_target(&other.target)
            // A proxy must name a host where HTTP/1.0 did not.
            && (self.host.is_empty() || self.host.eq_ignore_ascii_case(&other.host))
            && self.body == other.body
            && self.fields == other.fields
            && other.trailers.iter().all(|trailer| self.trailers.contains(trailer))
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Result<T> = std::result::Result<T, Reading>;

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Reading::Refused(why.into()))
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn message(&mut self) -> Result<Message> {
        let line = self.line()?;
        let (method, target, minor) = request_line(line)?;
        let fields = self.fields()?;
        let (host, target) = host_and_target(&method, target, minor, &fields)?;
        let mut trailers = Vec::new();
        let body = match framing(minor, &fields)? {
            Some(length) => self.take(length)?.to_vec(),
            None => {
                let body = self.chunks()?;
                trailers = self.fields()?;
                body
            }
        };
        let fields = end_to_end(fields);
        Ok(Message {
            method,
            target,
            host,
            fields,
            body,
            trailers: lower(trailers),
        })
    }

    /// A line that ends in CRLF and has neither CR nor LF nor NUL in it.
    fn line(&mut self) -> Result<&'a [u8]> {
        let rest = self.rest();
        for (index, &byte) in rest.iter().enumerate() {
            match (byte, rest.get(index + 1)) {
                (b'\r', Some(b'\n')) => {
                    self.at += index + 2;
                    return Ok(&rest[..index]);
                }
                (b'\r', None) => return Err(Reading::Incomplete),
                (b'\r' | b'\n' | 0, _) => return refuse(format!("byte {byte} in a line")),
                _ => {}
            }
        }
        Err(Reading::Incomplete)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let rest = self.rest();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let taken = rest.get(..length).ok_or(Reading::Incomplete)?;
        self.at += length;
        Ok(taken)
    }

    fn fields(&mut self) -> Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                return refuse("a field without a colon");
            };
            let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
            if !is_token(name) {
                return refuse("a field name that is no token");
            }
            // RFC 9110 §5.5: VCHAR, obs-text, SP and HTAB.
            if value
                .iter()
                .any(|&byte| byte != b'\t' && (byte < b' ' || byte == 0x7f))
            {
                return refuse("a control byte in a value");
            }
            fields.push((text(name), text(value)));
        }
    }

    /// RFC 9112 §7.1.
    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count();
            if digits == 0 {
                return refuse("a chunk without a size");
            }
            extensions(&line[digits..])?;
            let Ok(size) = u64::from_str_radix(&text(&line[..digits]), 16) else {
                return refuse("a chunk size that overflows");
            };
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(self.take(size)?);
            match self.rest() {
                [b'\r', b'\n', ..] => self.at += 2,
                [] | [b'\r'] => return Err(Reading::Incomplete),
                _ => return refuse("a chunk that does not end with CRLF"),
            }
        }
    }
}

/// `method SP request-target SP HTTP-version`, and nothing else.
fn request_line(line: &[u8]) -> Result<(String, String, u8)> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return refuse("not three words in the request line");
    };
    if !is_token(method) {
        return refuse("a method that is no token");
    }
    if target.is_empty() || target.iter().any(|byte| !byte.is_ascii_graphic()) {
        return refuse("a target with odd bytes");
    }
    match version {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'0'..=b'9',
        ] => Ok((text(method), text(target), minor - b'0')),
        _ => refuse("a version that is not 1.x"),
    }
}

/// RFC 9112 §3.2: the four forms of targets, and whom they and the Host field name.
fn host_and_target(
    method: &str,
    target: String,
    minor: u8,
    fields: &[(String, String)],
) -> Result<(String, String)> {
    let hosts: Vec<&String> = values(fields, "host");
    let host = match hosts[..] {
        [host] if is_host(host) => host.clone(),
        [] if minor == 0 => String::new(),
        _ => return refuse("not one good Host"),
    };
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") || method == "CONNECT" {
        return Ok((host, target));
    }
    let Some((scheme, rest)) = target.split_once("://") else {
        return refuse("a target of no known form");
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return refuse("a target of another scheme");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_host(authority) || !(hosts.is_empty() || host.eq_ignore_ascii_case(authority)) {
        return refuse("a Host that contradicts the target");
    }
    let path = if path.starts_with('/') {
        path.to_string()
    } else {
        format!("/{path}")
    };
    Ok((authority.to_string(), path))
}

/// RFC 9112 §6.3: `None` for chunked.
fn framing(minor: u8, fields: &[(String, String)]) -> Result<Option<u64>> {
    let codings = values(fields, "transfer-encoding");
    let lengths = values(fields, "content-length");
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(Some(0)),
        ([], [length])
            if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            length
                .parse()
                .map(Some)
                .or_else(|_| refuse("a length that overflows"))
        }
        ([coding], []) if minor >= 1 && coding.eq_ignore_ascii_case("chunked") => Ok(None),
        _ => refuse("framing that can be read in two ways"),
    }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
fn extensions(mut rest: &[u8]) -> Result<()> {
    while !rest.is_empty() {
        rest = match trim_start(rest) {
            [b';', after @ ..] => trim_start(after),
            _ => return refuse("bytes behind a chunk's size"),
        };
        let name = rest.iter().take_while(|&&byte| is_token_byte(byte)).count();
        if name == 0 {
            return refuse("a chunk extension without a name");
        }
        rest = &rest[name..];
        if let [b'=', after @ ..] = trim_start(rest) {
            rest = extension_value(trim_start(after))?;
        }
    }
    Ok(())
}

fn extension_value(value: &[u8]) -> Result<&[u8]> {
    if let [b'"', after @ ..] = value {
        let mut index = 0;
        while let Some(&byte) = after.get(index) {
            match byte {
                b'"' => return Ok(&after[index + 1..]),
                b'\\' => index += 2,
                b'\t' | b' '..=b'~' | 0x80.. => index += 1,
                _ => return refuse("a control byte in a quoted string"),
            }
        }
        return refuse("a quoted string without an end");
    }
    let length = value
        .iter()
        .take_while(|&&byte| is_token_byte(byte))
        .count();
    if length == 0 {
        return refuse("a chunk extension with an empty value");
    }
    Ok(&value[length..])
}

/// What a proxy hands on of the fields: not what is about the connection, and not what proxies write themselves.
fn end_to_end(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let named: Vec<String> = values(&fields, "connection")
        .iter()
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut fields = lower(fields);
    fields.retain(|(name, _)| {
        !NOT_COMPARED.contains(&name.as_str()) && !named.contains(name) && !name.contains('_')
    });
    fields
}

/// Of the connection, or rewritten by every proxy, or compared as framing and host.
const NOT_COMPARED: &[&str] = &[
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
    "alt-svc",
    "proxy",
    "host",
    "content-length",
    "expect",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
    "x-request-id",
    "http2-settings",
    "cdn-loop",
    "max-forwards",
    "x-dream-hops",
];

fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a String> {
    let same = fields
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    same.map(|(_, value)| value).collect()
}

fn lower(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let lowered = fields
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    lowered.collect()
}

/// `uri-host [ ":" port ]` of RFC 3986, not empty.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let good =
                address.parse::<std::net::Ipv6Addr>().is_ok() || address.starts_with(['v', 'V']);
            return good && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_digits));
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    !name.is_empty() && name.bytes().all(plain) && is_digits(port)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The target with unreserved characters decoded and dot segments removed (RFC 3986 §6.2.2): what the proxy may do to it.
fn normal_target(target: &str) -> String {
    let (path, query) = match target.find('?') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    };
    let decoded = decode_unreserved(path);
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = decoded.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            "." if last => kept.push(""),
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            "." => {}
            other => kept.push(other),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

fn decode_unreserved(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 3)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            Some(_) => {
                out.push_str(&rest[at..at + 3].to_ascii_uppercase());
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trim(value: &[u8]) -> &[u8] {
    let value = trim_start(value);
    let end = value.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    &value[..end.map_or(0, |end| end + 1)]
}

fn trim_start(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    &value[start.unwrap_or(value.len())..]
}

fn text(bytes: &[u8]) -> String {
    dream_testkit::latin1(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &str) -> bool {
        matches!(read_all(bytes.as_bytes()), (messages, Reading::Refused(_)) if messages.is_empty())
    }

    #[test]
    fn reads_what_is_good() {
        let bytes = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n1 ; a = \"\\\"\"\r\nx\r\n0\r\nT: 1\r\n\r\n\
                     GET http://b?q HTTP/1.0\r\n\r\nGET / HT";
        let (messages, rest) = read_all(bytes.as_bytes());
        assert_eq!(rest, Reading::Incomplete);
        assert_eq!(
            (messages[0].body.as_slice(), messages[0].trailers.len()),
            (&b"x"[..], 1)
        );
        assert_eq!(
            (messages[1].host.as_str(), messages[1].target.as_str()),
            ("b", "/?q")
        );
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for bytes in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\nx\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(refused(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn targets_have_a_normal_form() {
        assert_eq!(normal_target("/a/./b/../%7Ec%2f?x=../y"), "/a/~c%2F?x=../y");
        assert_eq!(normal_target("/a/.."), "/");
    }
}
