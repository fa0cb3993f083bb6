//! Commands as they are sent, and what is wrong with those that are none.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_control::{Add, Certs, Command, Domain, MAX_COMMAND};
use std::time::Duration;

fn parse(text: &str) -> Command {
    Command::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text:?}: {fault}"))
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn add(name: &str, port: u16, change: impl FnOnce(&mut Add)) -> Command {
    let mut add = Add::new(domain(name), port);
    change(&mut add);
    Command::Add(add)
}

#[test]
fn announcements() {
    let plain = add("example.com", 5665, |_| {});
    for text in [
        "add example.com 5665",
        "add example.com 5665\n",
        "add example.com 5665\r\n",
        "  add\texample.com \t 5665  \n",
        "add EXAMPLE.com. 5665",
    ] {
        assert_eq!(parse(text), plain, "{text:?}");
    }
    assert_eq!(plain.to_string(), "add example.com 5665");
    assert_eq!(parse("add a 1"), add("a", 1, |_| {}));
    assert_eq!(parse("add a 65535"), add("a", 65535, |_| {}));
    assert_eq!(parse("add *.a.b 80"), add("*.a.b", 80, |_| {}));
    assert_eq!(parse("add bücher.de 80"), add("bücher.de", 80, |_| {}));
}

#[test]
fn options() {
    let all = "add a.b 80 ttl=90s pid=1234 check=/up?x=1&y=%20 host=10.0.0.5";
    let parsed = add("a.b", 80, |add| {
        add.ttl = Some(Duration::from_secs(90));
        add.pid = Some(1234);
        add.check = Some("/up?x=1&y=%20".into());
        add.host = Some([10, 0, 0, 5].into());
    });
    assert_eq!(parse(all), parsed);
    assert_eq!(parsed.to_string(), all);
    let turned = "add a.b 80 host=10.0.0.5 check=/up?x=1&y=%20 pid=1234 ttl=90";
    assert_eq!(parse(turned), parsed);

    for (option, written) in [
        ("ttl=1", "ttl=1s"),
        ("ttl=30s", "ttl=30s"),
        ("ttl=60s", "ttl=1m"),
        ("ttl=90m", "ttl=90m"),
        ("ttl=24h", "ttl=1d"),
        ("ttl=31536000", "ttl=365d"),
        ("ttl=31535999", "ttl=31535999s"),
        ("pid=1", "pid=1"),
        ("pid=2147483647", "pid=2147483647"),
        ("check=/", "check=/"),
        ("check=//=!~", "check=//=!~"),
        ("host=0.0.0.0", "host=0.0.0.0"),
        ("host=::1", "host=::1"),
        ("host=2001:DB8:0::5", "host=2001:db8::5"),
    ] {
        let command = parse(&format!("add a 1 {option}"));
        assert_eq!(command.to_string(), format!("add a 1 {written}"));
        assert_eq!(parse(&command.to_string()), command);
    }
}

#[test]
fn other_commands() {
    for (text, command) in [
        ("remove Example.com", Command::Remove(domain("example.com"))),
        ("remove *.a", Command::Remove(domain("*.a"))),
        ("list", Command::List { after: None }),
        (
            "list after=A.b",
            Command::List {
                after: Some(domain("a.b")),
            },
        ),
        ("certs", Command::Certs(Certs::All)),
        (
            "certs after=*.A",
            Command::Certs(Certs::After(domain("*.a"))),
        ),
        (
            "certs Example.com",
            Command::Certs(Certs::Only(domain("example.com"))),
        ),
        ("renew example.com", Command::Renew(domain("example.com"))),
        ("import example.com", Command::Import(domain("example.com"))),
        ("status", Command::Status),
        ("ping", Command::Ping),
        ("shutdown", Command::Shutdown),
    ] {
        assert_eq!(parse(text), command);
        assert_eq!(command.to_string(), text.to_lowercase());
        assert_eq!(parse(&format!(" {text}\t\r\n")), command);
    }
}

#[track_caller]
fn are_refused(commands: &[(&str, &str)]) {
    for (text, fault) in commands {
        let found = Command::parse(text.as_bytes()).expect_err(text);
        assert_eq!(found.to_string(), *fault);
    }
}

#[test]
fn what_is_no_command() {
    are_refused(&[
        ("", "empty: there is no command"),
        ("\n", "empty: there is no command"),
        (" \t \r\n", "empty: there is no command"),
        (
            "hello",
            "unknown-command: hello is not add, remove, list, certs, renew, import, status, ping or shutdown",
        ),
        (
            "ADD a 1",
            "unknown-command: ADD is not add, remove, list, certs, renew, import, status, ping or shutdown",
        ),
    ]);
}

#[test]
fn domains_and_ports_that_are_none() {
    are_refused(&[
        (
            "add",
            "missing: add needs a domain and a port, as in add example.com 5665",
        ),
        (
            "add a",
            "missing: add needs a port, as in add example.com 5665",
        ),
        ("remove", "missing: remove needs a domain"),
        ("add a_b 1", "bad-domain: a_b: “_” may not stand in a name"),
        (
            "add 5665 a",
            "bad-domain: 5665: an IP address is not a name",
        ),
        (
            "add ttl=5 1",
            "bad-domain: ttl=5: “=” may not stand in a name",
        ),
        (
            "remove 10.0.0.1",
            "bad-domain: 10.0.0.1: an IP address is not a name",
        ),
        (
            "list after=",
            "bad-domain: \"\": a label of the name is empty",
        ),
        ("add a 70000", "bad-port: 70000 is not 1–65535"),
        ("add a 0", "bad-port: 0 is not 1–65535"),
        ("add a +1", "bad-port: +1 is not 1–65535"),
        ("add a 080", "bad-port: 080 is not 1–65535"),
        ("add a http", "bad-port: http is not 1–65535"),
        ("add a ttl=5", "bad-port: ttl=5 is not 1–65535"),
    ]);
}

#[test]
fn options_and_words_that_do_not_belong_there() {
    are_refused(&[
        (
            "add a 1 color=red",
            "bad-option: color=red: the options are ttl, pid, check and host",
        ),
        (
            "add a 1 TTL=5",
            "bad-option: TTL=5: the options are ttl, pid, check and host",
        ),
        (
            "add a 1 =5",
            "bad-option: =5: the options are ttl, pid, check and host",
        ),
        (
            "add a 1 ttl=5 ttl=5",
            "bad-option: ttl=5: the option is given twice",
        ),
        (
            "add a 1 pid=0",
            "bad-option: pid=0: pid is a process id from 1 to 2147483647",
        ),
        (
            "add a 1 host=box",
            "bad-option: host=box: host is an IP address",
        ),
        (
            "list before=a",
            "bad-option: before=a: the only option is after",
        ),
        ("add a 1 2", "unexpected: there is a word too many: 2"),
        (
            "add a 1 ttl=5 now",
            "unexpected: there is a word too many: now",
        ),
        ("remove a 1", "unexpected: there is a word too many: 1"),
        ("list a", "unexpected: there is a word too many: a"),
        ("list after=a b", "unexpected: there is a word too many: b"),
        ("ping ttl=5", "unexpected: there is a word too many: ttl=5"),
        ("status ?", "unexpected: there is a word too many: ?"),
        ("shutdown now", "unexpected: there is a word too many: now"),
    ]);
}

#[test]
fn bad_values_of_options() {
    for option in [
        "ttl=",
        "ttl=0",
        "ttl=0s",
        "ttl=s",
        "ttl=-1",
        "ttl=1.5s",
        "ttl=05s",
        "ttl=1ms",
        "ttl=1w",
        "ttl=1S",
        "ttl=1sm",
        "ttl=366d",
        "ttl=31536001",
        "ttl=99999999999999999999d",
        "ttl=18446744073709551615d",
        "pid=",
        "pid=-1",
        "pid=+1",
        "pid=01",
        "pid=2147483648",
        "pid=4294967297",
        "pid=self",
        "check=",
        "check=up",
        "check=http://a/",
        "check=/é",
        "host=",
        "host=[::1]",
        "host=10.0.0",
        "host=010.0.0.1",
        "host=fe80::1%eth0",
        "host=10.0.0.5:80",
    ] {
        let text = format!("add a 1 {option}");
        let fault = Command::parse(text.as_bytes()).expect_err(option);
        assert_eq!(fault.code(), "bad-option", "{option}");
        assert!(
            fault.detail().starts_with(&format!("{option}: ")),
            "{fault}"
        );
    }
}

#[test]
fn what_is_no_text() {
    for (input, fault) in [
        (b"add \xff 1" as &[u8], "not-text: byte 5 is not UTF-8"),
        (b"add a 1\0", "not-text: byte 8 is a control character"),
        (b"ping\n\n", "not-text: byte 5 is a control character"),
        (b"ping\r", "not-text: byte 5 is a control character"),
        (b"ping\n ", "not-text: byte 5 is a control character"),
        (
            b"add a 1\nadd b 2",
            "not-text: byte 8 is a control character",
        ),
        (b"\x1b[2J", "not-text: byte 1 is a control character"),
        (b"a\xc2\x85", "not-text: byte 2 is a control character"),
        (b"a\x7f", "not-text: byte 2 is a control character"),
    ] {
        let found = Command::parse(input).unwrap_err();
        assert_eq!(found.to_string(), fault);
    }
}

#[test]
fn the_longest_command() {
    let mut text = String::from("add example.com 5665 check=/");
    text.extend(std::iter::repeat_n('a', MAX_COMMAND - text.len()));
    for end in ["", "\n", "\r\n"] {
        assert!(matches!(parse(&format!("{text}{end}")), Command::Add(_)));
        let fault = Command::parse(format!("{text}a{end}").as_bytes()).unwrap_err();
        assert_eq!(fault.to_string(), "too-long: 1025 bytes, of at most 1024");
    }
    let fault = Command::parse(&[0xff; 65_000]).unwrap_err();
    assert_eq!(fault.code(), "too-long");

    // Two bytes become three in lower case.
    let grown = format!("add {} 5665 check=/{}", "Ⱥ".repeat(59), "a".repeat(850));
    let fault = Command::parse(grown.as_bytes()).unwrap_err();
    assert_eq!(fault.to_string(), "too-long: 1044 bytes, of at most 1024");
}

#[test]
fn what_is_quoted_is_cut_and_escaped() {
    let name = "a_".repeat(300);
    let fault = Command::parse(format!("remove {name}").as_bytes()).unwrap_err();
    let cut = &name[..64];
    assert_eq!(
        fault.to_string(),
        format!("bad-domain: {cut}…: “_” may not stand in a name")
    );
    let fault = Command::parse("do\u{202e}it\u{2028}ok".as_bytes()).unwrap_err();
    let text = "unknown-command: do\\u{202e}it\\u{2028}ok is not add";
    assert!(fault.to_string().starts_with(text), "{fault}");
}
