//! A server that is told a lot does not allocate a lot: parsing keeps what it returns and nothing else.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_control::Command;

#[test]
fn what_parsing_allocates() {
    for (text, expected) in [
        ("ping", 0),
        ("list", 0),
        ("add example.com 5665\n", 1),
        ("add BÜCHER.example 5665 ttl=30s pid=1 host=::1", 1),
        ("add example.com 5665 check=/up", 2),
        ("remove *.example.com", 1),
    ] {
        let counted =
            allocation_counter::measure(|| drop(Command::parse(text.as_bytes()).unwrap()));
        assert_eq!(counted.count_total, expected, "{text:?}");
    }
}
