//! The fuzz corpora, replayed: every property, every message, cut at every byte.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_http::{Method, fuzzing};
use std::path::Path;

/// The inputs of a target by name: those that begin with `ok-` are valid, `bad-` are not.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() > 5, "the corpus of {target} is there");
    inputs
}

#[test]
fn every_property_holds() {
    for (target, check) in [
        ("head_request", fuzzing::head_request as fn(&[u8])),
        ("head_response", fuzzing::head_response),
        ("chunked", fuzzing::chunked),
        ("connection_server", fuzzing::connection_server),
        ("connection_client", fuzzing::connection_client),
        ("clean_path", fuzzing::clean_path),
    ] {
        for (name, input) in corpus(target) {
            println!("{target}/{name}");
            check(&input);
        }
    }
}

#[test]
fn requests_cut_at_every_byte_stay_the_same() {
    for (name, input) in corpus("connection_server") {
        let whole = fuzzing::requests(&input, &[]);
        assert_eq!(
            whole.reject.is_none(),
            name.starts_with("ok-"),
            "{name}: {whole:?}"
        );
        if whole.reject.is_none() {
            assert_eq!(whole.left, 0, "{name} ends with a message");
        }
        for cut in 0..=input.len() {
            assert_eq!(fuzzing::requests(&input, &[cut]), whole, "{name} at {cut}");
        }
        let every_byte: Vec<usize> = (0..input.len()).collect();
        assert_eq!(fuzzing::requests(&input, &every_byte), whole, "{name}");
    }
}

#[test]
fn responses_cut_at_every_byte_stay_the_same() {
    for (name, input) in corpus("connection_client") {
        let (first, input) = input.split_first().unwrap();
        let method = match first {
            b'H' => Method::Head,
            b'C' => Method::Connect,
            _ => Method::Get,
        };
        let whole = fuzzing::responses(input, method, &[]);
        assert_eq!(
            whole.reject.is_none(),
            name.starts_with("ok-"),
            "{name}: {whole:?}"
        );
        for cut in 0..=input.len() {
            assert_eq!(
                fuzzing::responses(input, method, &[cut]),
                whole,
                "{name} at {cut}"
            );
        }
        let every_byte: Vec<usize> = (0..input.len()).collect();
        assert_eq!(
            fuzzing::responses(input, method, &every_byte),
            whole,
            "{name}"
        );
    }
}

/// The corpora with a few bytes changed, removed, doubled or taken from one another.
#[test]
fn mutated_messages_break_no_property() {
    let mut random = Random(1);
    for (target, check) in [
        ("connection_server", fuzzing::connection_server as fn(&[u8])),
        ("connection_client", fuzzing::connection_client),
        ("chunked", fuzzing::chunked),
        ("clean_path", fuzzing::clean_path),
    ] {
        let inputs = corpus(target);
        for _ in 0..4000 {
            let mut input = inputs[random.below(inputs.len())].1.clone();
            let other = &inputs[random.below(inputs.len())].1;
            for _ in 0..=random.below(4) {
                random.edit(&mut input, other);
            }
            check(&input);
        }
    }
}

/// xorshift: the same inputs on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn edit(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        const TELLING: &[u8] = b"\r\n\0\t :;,=\"\\%/.0159afAF?#*[]@\x7f\x80\xff";
        let at = self.below(input.len() + 1);
        let end = input.len().min(at + self.below(8));
        match self.below(4) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, TELLING[self.below(TELLING.len())]),
            2 => {
                let from = self.below(other.len());
                let len = self.below(40).min(other.len() - from);
                input.splice(at..end, other[from..from + len].iter().copied());
            }
            _ if at < input.len() => input[at] = TELLING[self.below(TELLING.len())],
            _ => {}
        }
    }
}
