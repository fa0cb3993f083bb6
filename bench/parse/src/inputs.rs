//! The heads that both parsers read, and one call of each.

use dream_http::h1::{Limits, RequestParser, ResponseParser};
use dream_http::{Method, RequestHead, ResponseHead};
use std::hint::black_box;
use std::mem::MaybeUninit;

pub const BROWSER: &[u8] = b"GET /articles/2026/11/how-a-front-door-works.html?ref=feed&page=2 HTTP/1.1\r\n\
Host: www.example.com\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Referer: https://www.example.com/articles/\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9\r\n\
Cookie: session=5f2b8c1e9a7d4036; theme=dark; consent=1\r\n\r\n";

pub const API: &[u8] = b"POST /v1/items HTTP/1.1\r\n\
Host: api.example.com\r\n\
Content-Type: application/json\r\n\
Content-Length: 27\r\n\
Accept: */*\r\n\r\n";

pub const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx/1.29.1\r\n\
Date: Sat, 21 Nov 2026 14:32:00 GMT\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Length: 5120\r\n\
Last-Modified: Fri, 20 Nov 2026 08:00:00 GMT\r\n\
Connection: keep-alive\r\n\
ETag: \"673da1c0-1400\"\r\n\
Cache-Control: public, max-age=3600\r\n\
Accept-Ranges: bytes\r\n\r\n";

/// A parser with what it keeps between heads.
pub struct Dream {
    requests: RequestParser,
    request: RequestHead,
    responses: ResponseParser,
    response: ResponseHead,
}

impl Dream {
    pub fn new() -> Dream {
        Dream {
            requests: RequestParser::new(Limits::default()),
            request: RequestHead::default(),
            responses: ResponseParser::new(Limits::default()),
            response: ResponseHead::default(),
        }
    }

    /// Parses, knows the names, copies into the head, decides the framing.
    pub fn request(&mut self, input: &[u8]) -> bool {
        let parsed = self.requests.parse(black_box(input), &mut self.request);
        black_box(&self.request);
        parsed == Ok(Some(input.len()))
    }

    pub fn response(&mut self, input: &[u8]) -> bool {
        let parsed = self
            .responses
            .parse(black_box(input), Method::Get, &mut self.response);
        black_box(&self.response);
        parsed == Ok(Some(input.len()))
    }
}

/// Parses, nothing more, and does not even clear the room for the fields.
pub fn httparse_request(input: &[u8]) -> bool {
    let mut headers = [const { MaybeUninit::uninit() }; 100];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(black_box(input), &mut headers);
    black_box(&request);
    parsed == Ok(httparse::Status::Complete(input.len()))
}

pub fn httparse_response(input: &[u8]) -> bool {
    let mut headers = [const { MaybeUninit::uninit() }; 100];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        black_box(input),
        &mut headers,
    );
    black_box(&response);
    parsed == Ok(httparse::Status::Complete(input.len()))
}
