//! A greeting: `cargo run --example hello`, then `curl http://127.0.0.1:8080/hello/world`.

use dreamserver::{Mux, Request, Response, Server};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut mux = Mux::new();
    mux.handle("GET /hello/{name}", async |request: &mut Request| {
        let name = request.value("name").unwrap_or_default();
        Response::text(format!("Hello, {name}!\n"))
    });
    let address = std::env::args().nth(1);
    Server::new(mux)
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))
        .run()
}
