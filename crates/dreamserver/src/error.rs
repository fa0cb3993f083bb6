//! The built-in error pages: what a client reads when there is nothing better to give it.
//!
//! The same four facts for everybody — status, phrase, detail, request id — in the form that the client can use: a
//! page for browsers, JSON for programs that ask for it, a few lines of plain text for all others. The request id is
//! what a user quotes and an operator finds in the log.

use bytes::Bytes;
use dream_control::{Add, Domain, PORT};
use dream_http::{Method, Name, ResponseHead, reason_phrase};
use serde::Serialize;

use crate::exchange::{Body, BodyError, Request, RequestId, Response};

/// The error page for `request`, in the form that its Accept field prefers.
///
/// `detail` is one sentence for the person who reads it; it is escaped, so it may quote what the client sent.
pub fn page(status: u16, request: &Request, detail: &str) -> Response {
    answer(&Facts::new(status, Some(&request.id), detail), request)
}

/// Does the client ask for JSON, more than for a page?
pub(crate) fn prefers_json(request: &Request) -> bool {
    Form::preferred(request.head.fields.get_all(Name::Accept)) == Form::Json
}

/// The answer to a request whose body could not be read.
pub fn body(error: &BodyError, request: &Request) -> Response {
    match error {
        BodyError::Rejected(reject) => page(reject.status(), request, &reject.to_string()),
        BodyError::ClientTimeout => page(408, request, "The request body came too slowly."),
        BodyError::TooLarge => page(413, request, "The request body is too large."),
        BodyError::Client(_)
        | BodyError::Endpoint(_)
        | BodyError::EndpointTimeout
        | BodyError::Source(_)
        | BodyError::File(_) => page(400, request, "The request body broke off."),
    }
}

/// The page for a host that nobody has announced: tells the developer who opened it how to serve it. `domain` is the host
/// as it would be announced.
pub(crate) fn unknown_domain(request: &Request, domain: Domain) -> Response {
    let host = String::from_utf8_lossy(request.head.host());
    let announcement = Add::new(domain, EXAMPLE_PORT);
    let detail = format!(
        "Nothing is served at {host} yet. A program on the server's machine that listens on port {EXAMPLE_PORT} gets its \
         requests with the announcement \u{201c}{announcement}\u{201d}, in one UDP datagram to 127.0.0.1:{PORT} or by one of \
         these commands:"
    );
    let commands = [
        format!("echo -n \"{announcement}\" > /dev/udp/127.0.0.1/{PORT}"),
        format!("dreamserver {announcement}"),
    ];
    let facts = Facts {
        error: "Domain not recognised",
        commands: &commands,
        ..Facts::new(404, Some(&request.id), &detail)
    };
    answer(&facts, request)
}

/// The error page for a request whose head could not be read: plain text, because no Accept is known.
pub(crate) fn bare(status: u16, id: Option<&RequestId>, detail: &str) -> Response {
    respond(&Facts::new(status, id, detail), Form::Text, Method::Get)
}

/// What a client reads that speaks HTTP where TLS is spoken: the whole answer, which ends with the connection.
pub(crate) fn plain_on_secure_port(port: u16) -> Vec<u8> {
    let detail = format!("This port speaks HTTPS only: open https://…:{port}/ instead.");
    let text = Facts::new(400, None, &detail).text();
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\nServer: dreamserver\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

/// What every page says.
#[derive(Serialize)]
struct Facts<'a> {
    status: u16,
    error: &'static str,
    detail: &'a str,
    /// What helps when it is typed into a shell.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    commands: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl<'a> Facts<'a> {
    fn new(status: u16, id: Option<&'a RequestId>, detail: &'a str) -> Facts<'a> {
        let error = match reason_phrase(status) {
            "" => "Error",
            phrase => phrase,
        };
        Facts {
            status,
            error,
            detail,
            commands: &[],
            request_id: id.map(RequestId::as_str),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.status, self.error);
        if !self.detail.is_empty() {
            text.push_str(self.detail);
            text.push('\n');
        }
        for command in self.commands {
            text.push_str("    ");
            text.push_str(command);
            text.push('\n');
        }
        if let Some(id) = self.request_id {
            text.push_str("Request id: ");
            text.push_str(id);
            text.push('\n');
        }
        text
    }

    fn json(&self) -> String {
        let mut json = serde_json::to_string(self).unwrap_or_else(|_| String::from("{}"));
        json.push('\n');
        json
    }

    fn html(&self) -> String {
        let (status, error) = (self.status, self.error);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {error}</title>\n\
             <style>{STYLE}</style>\n<main>\n<h1><b>{status}</b> {error}</h1>\n"
        );
        if !self.detail.is_empty() {
            html.push_str("<p>");
            escape_html(self.detail, &mut html);
            html.push_str("</p>\n");
        }
        for command in self.commands {
            html.push_str("<pre>");
            escape_html(command, &mut html);
            html.push_str("</pre>\n");
        }
        if let Some(id) = self.request_id {
            html.push_str("<p class=\"id\">Request id: <code>");
            escape_html(id, &mut html);
            html.push_str("</code></p>\n");
        }
        html.push_str("</main>\n</html>\n");
        html
    }
}

/// The forms a page comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    /// The form with the highest weight among those that are asked for by name, the first of several; a client that
    /// takes anything (curl's `*/*`) gets text (RFC 9110 §12.5.1).
    fn preferred<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Form {
        let mut best = (Form::Text, 0);
        for range in accept.flat_map(|value| value.split(|&byte| byte == b',')) {
            let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let Some(form) = parts.next().and_then(Form::named) else {
                continue;
            };
            let weight = parts.find_map(weight).unwrap_or(1000);
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }

    fn named(media_type: &[u8]) -> Option<Form> {
        let forms = [Form::Html, Form::Json, Form::Text];
        forms.into_iter().find(|form| {
            form.media_type()
                .as_bytes()
                .eq_ignore_ascii_case(media_type)
        })
    }

    fn media_type(self) -> &'static str {
        match self {
            Form::Html => "text/html",
            Form::Json => "application/json",
            Form::Text => "text/plain",
        }
    }

    fn content_type(self) -> &'static [u8] {
        match self {
            Form::Html => b"text/html; charset=utf-8",
            Form::Json => b"application/json; charset=utf-8",
            Form::Text => b"text/plain; charset=utf-8",
        }
    }
}

/// A `q` parameter in thousandths (RFC 9110 §12.4.2); one that is no weight counts as nothing.
fn weight(parameter: &[u8]) -> Option<u32> {
    let value = match parameter {
        [b'q' | b'Q', b'=', value @ ..] => value,
        _ => return None,
    };
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return Some(0),
    };
    let mut thousandths = u32::from(whole - b'0') * 1000;
    for (digit, unit) in fraction.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return Some(0);
        }
        thousandths += u32::from(digit - b'0') * unit;
    }
    Some(thousandths.min(1000))
}

fn answer(facts: &Facts<'_>, request: &Request) -> Response {
    let form = Form::preferred(request.head.fields.get_all(Name::Accept));
    respond(facts, form, request.head.method)
}

fn respond(facts: &Facts<'_>, form: Form, method: Method) -> Response {
    let text = match form {
        Form::Html => facts.html(),
        Form::Json => facts.json(),
        Form::Text => facts.text(),
    };
    let mut response = Response::new(facts.status);
    describe(&mut response.head, form);
    if ResponseHead::may_have_body(facts.status, method) {
        response.body = Body::Bytes(Bytes::from(text));
    } else if method == Method::Head {
        response.head.content_length = Some(text.len() as u64);
    }
    response
}

/// An error belongs to one request and one moment: a stored 404 would outlive the file's arrival, and a stored page
/// would show another request's id; hence `no-store` (without it a 404 may be kept by guess, RFC 9111 §4.2.2).
fn describe(head: &mut ResponseHead, form: Form) {
    let fields = [
        (Name::Server, b"dreamserver".as_slice()),
        (Name::ContentType, form.content_type()),
        (Name::XContentTypeOptions, b"nosniff"),
        (Name::CacheControl, b"no-store"),
    ];
    for (name, value) in fields {
        let added = head.fields.append(name, value);
        debug_assert!(added.is_ok(), "constants without control characters");
    }
}

/// Adds `text` to `html` so that it is nothing but text there, between tags and in quotes.
pub(crate) fn escape_html(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
}

/// The port that examples use everywhere.
const EXAMPLE_PORT: u16 = 5665;

/// Whole look of the page, inline because an error page must not cause further requests.
const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,sans-serif}\
main{max-width:36rem;padding:2rem;overflow-wrap:anywhere}h1{font-size:1.5rem;font-weight:400}\
pre{overflow-x:auto;padding:.5rem;border:1px solid}.id{opacity:.7;font-size:.85rem}";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(accept: &str) -> Request {
        let mut head = dream_http::RequestHead::new();
        if !accept.is_empty() {
            head.fields.append(Name::Accept, accept.as_bytes()).unwrap();
        }
        Request {
            id: RequestId::parse(b"019ab-test").unwrap(),
            ..Request::of_nobody(head)
        }
    }

    fn text_of(response: &Response) -> &str {
        match &response.body {
            Body::Bytes(bytes) => std::str::from_utf8(bytes).unwrap(),
            _ => "",
        }
    }

    #[test]
    fn the_form_follows_accept() {
        let cases = [
            ("", "text/plain"),
            ("*/*", "text/plain"),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "text/html",
            ),
            ("application/json, text/plain, */*", "application/json"),
            ("Application/JSON", "application/json"),
            ("application/json;q=0.5, text/html", "text/html"),
            ("text/html;q=0, application/json;q=0.1", "application/json"),
            ("text/html;q=nan", "text/plain"),
            ("text/html; level=1; q=0.2, text/plain;q=0.3", "text/plain"),
        ];
        for (accept, expected) in cases {
            let response = page(404, &request(accept), "no");
            let found = response.head.fields.get(Name::ContentType).unwrap();
            assert_eq!(
                found,
                format!("{expected}; charset=utf-8").as_bytes(),
                "{accept}"
            );
        }
    }

    #[test]
    fn json_has_the_four_facts() {
        let response = page(502, &request("application/json"), "it \"said\"\nno");
        let value: serde_json::Value = serde_json::from_str(text_of(&response)).unwrap();
        let expected = serde_json::json!({
            "status": 502, "error": "Bad Gateway", "detail": "it \"said\"\nno", "request_id": "019ab-test"
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn text_is_short_and_names_the_request() {
        let response = page(504, &request(""), "too slow");
        let expected = "504 Gateway Timeout\ntoo slow\nRequest id: 019ab-test\n";
        assert_eq!(text_of(&response), expected);
        assert_eq!(text_of(&bare(400, None, "")), "400 Bad Request\n");
    }

    fn unknown_host(accept: &str) -> Response {
        let mut request = request(accept);
        let host = b"Shop.example.com:8080";
        request.head.fields.append(Name::Host, host).unwrap();
        unknown_domain(&request, Domain::parse("shop.example.com").unwrap())
    }

    #[test]
    fn an_unknown_domain_is_explained() {
        let response = unknown_host("");
        assert_eq!(response.head.status, 404);
        let expected = "404 Domain not recognised\n\
            Nothing is served at Shop.example.com:8080 yet. A program on the server's machine that listens on port 5665 gets its \
            requests with the announcement \u{201c}add shop.example.com 5665\u{201d}, in one UDP datagram to 127.0.0.1:40608 or by \
            one of these commands:\n    \
            echo -n \"add shop.example.com 5665\" > /dev/udp/127.0.0.1/40608\n    \
            dreamserver add shop.example.com 5665\n\
            Request id: 019ab-test\n";
        assert_eq!(text_of(&response), expected);
    }

    #[test]
    fn its_commands_are_escaped_or_listed() {
        let html = unknown_host("text/html");
        assert!(text_of(&html).contains("<title>404 Domain not recognised</title>"));
        let command = "<pre>echo -n &quot;add shop.example.com 5665&quot; &gt; /dev/udp/127.0.0.1/40608</pre>";
        assert!(text_of(&html).contains(command));
        let json = unknown_host("application/json");
        let value: serde_json::Value = serde_json::from_str(text_of(&json)).unwrap();
        assert_eq!(
            value["commands"][1],
            "dreamserver add shop.example.com 5665"
        );
    }

    #[test]
    fn head_tells_the_length_and_sends_nothing() {
        let mut head = request("text/html");
        let full = text_of(&page(404, &head, "none")).len() as u64;
        head.head.set_method(b"HEAD");
        let response = page(404, &head, "none");
        assert!(response.body.is_empty());
        assert_eq!(response.head.content_length, Some(full));
    }

    #[test]
    fn it_is_never_stored_nor_sniffed() {
        let response = bare(431, None, "large");
        let fields = &response.head.fields;
        assert_eq!(fields.get(Name::CacheControl), Some(&b"no-store"[..]));
        assert_eq!(fields.get(Name::XContentTypeOptions), Some(&b"nosniff"[..]));
    }

    proptest! {
        #[test]
        fn html_has_only_our_own_markup(detail in any::<String>()) {
            let response = page(404, &request("text/html"), &detail);
            let shown = text_of(&response);
            let ours = text_of(&page(404, &request("text/html"), "x")).matches('<').count();
            prop_assume!(!detail.is_empty());
            prop_assert_eq!(shown.matches('<').count(), ours);
        }

        #[test]
        fn any_accept_is_answered(accept in proptest::collection::vec(any::<u8>(), 0..64)) {
            Form::preferred([&accept[..]].into_iter());
        }
    }
}
