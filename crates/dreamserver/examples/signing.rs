//! A proxy with a middleware of its own, which signs what it passes on: `SIGNING_KEY=secret cargo run --example signing -- 5665`
//! passes requests to port 5665 with `X-Signature`, the HMAC-SHA256 of method, path and request id.

use aws_lc_rs::hmac;
use dreamserver::{Flow, Middleware, Mux, Request, Server};
use std::process::ExitCode;

struct Signer(hmac::Key);

impl Middleware for Signer {
    fn on_request(&self, request: &mut Request) -> Flow {
        let head = &mut request.head;
        let mut signing = hmac::Context::with_key(&self.0);
        for part in [
            head.method_text(),
            b" ",
            head.path(),
            b" ",
            request.id.as_bytes(),
        ] {
            signing.update(part);
        }
        let signature: String = signing
            .sign()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // What a client says of that itself is not believed.
        head.fields.remove_text(b"X-Signature");
        let signed = head
            .fields
            .append_text(b"X-Signature", signature.as_bytes());
        signed.expect("hex digits are a value");
        Flow::Continue
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "5665".to_owned());
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let key = std::env::var("SIGNING_KEY").unwrap_or_default();
    if key.is_empty() {
        eprintln!("SIGNING_KEY is empty: give the secret that the endpoint knows");
        return ExitCode::from(2);
    }
    let mut mux = Mux::new();
    mux.wrap(Signer(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())));
    mux.proxy("/*", &endpoint);
    Server::new(mux).listen(&address).run()
}
