//! A folder that is part of the program: `cargo run --example embedded`, then open http://127.0.0.1:8080/.

use bytes::Bytes;
use dreamserver::{Mux, Name, Request, Response, Server};
use std::process::ExitCode;

/// Path, media type and content of each file.
const FILES: [(&str, &str, &[u8]); 2] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_bytes!("embedded/index.html"),
    ),
    (
        "/style.css",
        "text/css",
        include_bytes!("embedded/style.css"),
    ),
];

fn file(media_type: &str, content: &'static [u8]) -> Response {
    let mut response = Response::new(200).with_body(Bytes::from_static(content));
    let fields = &mut response.head.fields;
    fields
        .append(Name::ContentType, media_type.as_bytes())
        .expect("a media type is a value");
    response
}

fn main() -> ExitCode {
    let mut mux = Mux::new();
    for (path, media_type, content) in FILES {
        mux.handle(&format!("GET {path}"), async move |_: &mut Request| {
            file(media_type, content)
        });
    }
    mux.not_found(async |_: &mut Request| Response::html("<h1>Not here</h1>\n").with_status(404));
    let address = std::env::args().nth(1);
    Server::new(mux)
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))
        .run()
}
