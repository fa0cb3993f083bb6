//! Parses one head many times, for callgrind to count: `instructions PARSER INPUT ROUNDS`.

mod inputs;

use inputs::{API, BROWSER, Dream, RESPONSE, httparse_request, httparse_response};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [parser, input, rounds] = &arguments[..] else {
        panic!("instructions dream|httparse browser|api|response ROUNDS");
    };
    let rounds: usize = rounds.parse().expect("ROUNDS is a number");
    let mut dream = Dream::new();
    let mut parse: Box<dyn FnMut() -> bool> = match (parser.as_str(), input.as_str()) {
        ("dream", "browser") => Box::new(|| dream.request(BROWSER)),
        ("dream", "api") => Box::new(|| dream.request(API)),
        ("dream", "response") => Box::new(|| dream.response(RESPONSE)),
        ("httparse", "browser") => Box::new(|| httparse_request(BROWSER)),
        ("httparse", "api") => Box::new(|| httparse_request(API)),
        ("httparse", "response") => Box::new(|| httparse_response(RESPONSE)),
        _ => panic!("no such parser or input"),
    };
    for _ in 0..rounds {
        assert!(parse(), "the head is valid and whole");
    }
}
