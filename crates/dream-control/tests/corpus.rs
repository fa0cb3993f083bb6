//! The fuzz corpus, replayed, and changed at random: no input breaks a property.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_control::{Command, Reply, fuzzing};
use proptest::prelude::*;
use std::path::Path;

/// The inputs by name: those that begin with `ok-` are commands, with `reply-` replies, with `bad-` neither.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/announcement");
    let inputs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    assert!(inputs.len() > 20, "the corpus is there");
    inputs
}

#[test]
fn every_property_holds() {
    for (name, input) in corpus() {
        fuzzing::announcement(&input);
        let command = Command::parse(&input).is_ok();
        assert_eq!(command, name.starts_with("ok-"), "{name}");
        let reply = Reply::parse(&input).is_ok();
        assert_eq!(reply, name.starts_with("reply-"), "{name}");
    }
}

#[test]
fn every_beginning_of_an_input() {
    for (_, input) in corpus() {
        (0..input.len()).for_each(|end| fuzzing::announcement(&input[..end]));
    }
}

/// Most of it is nearly right, so that every branch is reached.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "add|remove|list|status|ping|shutdown|ok|err|bad-port:",
        "(\\*\\.)?[a-zA-Z0-9-]{1,9}(\\.[a-z0-9éß-]{1,9}){0,3}\\.?",
        "[0-9]{1,6}",
        "ttl=[0-9]{1,8}[smhdw]?",
        "pid=[0-9]{1,11}",
        "check=/?[!-~]{0,12}",
        "host=([0-9]{1,3}\\.){3}[0-9]{1,3}|host=[0-9a-f:]{2,12}|after=[a-z.]{1,8}",
        ".{0,6}",
    ]
}

proptest! {
    #[test]
    fn for_any_bytes(input in proptest::collection::vec(any::<u8>(), 0..1100)) {
        fuzzing::announcement(&input);
    }

    #[test]
    fn for_words_in_any_order(words in proptest::collection::vec(word(), 0..8), gap in "[ \t]{1,2}|\n") {
        fuzzing::announcement(words.join(&gap).as_bytes());
    }

    #[test]
    fn for_announcements(
        words in proptest::collection::vec(word(), 0..4),
        name in "[a-z0-9-]{1,9}(\\.[a-z0-9é-]{1,9}){0,3}",
        port in 0..70_000_u32,
    ) {
        fuzzing::announcement(format!("add {name} {port} {}", words.join(" ")).as_bytes());
    }
}
