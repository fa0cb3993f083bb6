//! Both parsers against the clock: `cargo run --release --bin time -- --bench`.

mod inputs;

use divan::Bencher;
use inputs::{API, BROWSER, Dream, RESPONSE};

fn main() {
    divan::main();
}

#[divan::bench]
fn browser_dream(bencher: Bencher<'_, '_>) {
    let mut dream = Dream::new();
    bencher.bench_local(|| dream.request(BROWSER));
}

#[divan::bench]
fn browser_httparse() -> bool {
    inputs::httparse_request(BROWSER)
}

#[divan::bench]
fn api_dream(bencher: Bencher<'_, '_>) {
    let mut dream = Dream::new();
    bencher.bench_local(|| dream.request(API));
}

#[divan::bench]
fn api_httparse() -> bool {
    inputs::httparse_request(API)
}

#[divan::bench]
fn response_dream(bencher: Bencher<'_, '_>) {
    let mut dream = Dream::new();
    bencher.bench_local(|| dream.response(RESPONSE));
}

#[divan::bench]
fn response_httparse() -> bool {
    inputs::httparse_response(RESPONSE)
}
