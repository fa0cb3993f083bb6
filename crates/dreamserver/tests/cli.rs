//! The command line as a person meets it: exit codes and messages.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in `folder`, far from any configuration of this machine's user.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dreamserver"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_RUNTIME_DIR", folder)
        .output()
        .expect("the program starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it writes UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it writes UTF-8")
}

fn folder_with(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("dreamserver.toml"), config).expect("a file can be written");
    folder
}

#[test]
fn check_accepts_a_right_file() {
    let folder = folder_with("[sites.a]\nproxy = '5665'\n");
    let output = run(folder.path(), &["check"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("dreamserver.toml is fine: sites: 1, routes: 1"));
}

#[test]
fn check_refuses_a_wrong_file_on_standard_error() {
    let folder = folder_with("[sites.a]\nprxy = '5665'\n[limits]\nhead = true\n");
    for command in ["check", "routes", "run", "reload"] {
        let output = run(folder.path(), &[command]);
        assert_eq!(code(&output), 2, "{command}");
        assert!(out(&output).is_empty());
        let report = err(&output);
        assert!(report.contains("did you mean `proxy`?"), "{report}");
        assert!(report.contains("2 errors in the configuration"), "{report}");
        assert!(!report.contains('\x1b'), "colours without a terminal");
    }
}

#[test]
fn a_named_file_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--config", "other.toml", "check"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("cannot read other.toml"));
    let output = run(folder.path(), &["files", "--config", "other.toml"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("takes no configuration file"));
}

#[test]
fn wrong_arguments_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["prox"][..], "proxy"),
        (&["proxy"], "TO"),
        (&["proxy", "https://x/y"], "an endpoint has no path"),
        (&["--listen", "nowhere"], "not a port"),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(err(&output).contains(expected), "{}", err(&output));
    }
}

#[test]
fn routes_are_listed_in_matching_order() {
    let folder = folder_with(
        r#"
        [sites."*"]
        redirect = "https://example.com{path}"
        [sites."example.com"]
        files = "/var/www"
        headers.response.set = { X-A = "b" }
        [[sites."example.com".routes]]
        path = "/v1/*"
        strip = "/v1"
        proxy = "5665"
        [[sites."example.com".routes]]
        path = "/v1/{name}"
        methods = "POST"
        respond = "x"
        "#,
    );
    let output = run(folder.path(), &["--listen", ":81", "routes"]);
    let expected = "\
listen :81

example.com
  /v1/{name} [POST]  →  compress zstd br gzip → headers (0 in, 1 out) → respond 200
  /v1/*              →  compress zstd br gzip → headers (0 in, 1 out) → strip /v1 → proxy localhost:5665
  /*                 →  compress zstd br gzip → headers (0 in, 1 out) → files /var/www

*
  /*  →  redirect 308 https://example.com{path}
";
    assert_eq!(out(&output), expected);
}

#[test]
fn reload_says_when_nobody_is_there() {
    let folder = folder_with("");
    let pid_file = folder.path().join("x.pid");
    let output = run(
        folder.path(),
        &["reload", "--pid-file", pid_file.to_str().unwrap()],
    );
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("no server is running"));
    assert!(err(&output).contains("start one with `dreamserver`"));
}

#[test]
fn help_completions_and_manual_are_there() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["--help"][..], "dreamserver proxy 5665"),
        (&["completions", "bash"], "complete -F"),
        (&["completions", "fish"], "complete -c dreamserver"),
        (&["man"], ".TH dreamserver"),
        (&["reference"], "# The configuration file"),
        (&["schema"], "additionalProperties"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(out(&output).contains(expected), "{arguments:?}");
    }
}

#[test]
fn the_help_of_a_command_shows_what_it_has_a_use_for() {
    let folder = tempfile::tempdir().unwrap();
    for (command, shown, hidden) in [
        (
            &["list"][..],
            &["--control", "--json"][..],
            &["--listen", "--state"][..],
        ),
        (
            &["certs", "renew"],
            &["--control", "--state"],
            &["--listen", "--config"],
        ),
        (&["trust"], &["--authority"], &["--control", "--listen"]),
        (&["reload"], &["--config", "--pid-file"], &["--control"]),
        (&["core"], &["--listen", "--state"], &["--config"]),
        (&["run"], &["--config", "--listen", "--authority"], &[]),
    ] {
        let output = run(folder.path(), &[command, &["--help"]].concat());
        let help = out(&output);
        for option in shown {
            assert!(help.contains(option), "{command:?} {option}");
        }
        for option in hidden {
            assert!(!help.contains(option), "{command:?} {option}");
        }
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
    // Yet scripts that say the same to all commands go on, with the options on either side.
    let shared = ["--state", "x", "--listen", ":0", "--control", "127.0.0.1:1"];
    for arguments in [
        [&shared[..], &["list"]].concat(),
        [&["list"], &shared[..]].concat(),
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(code(&output), 1);
        assert!(err(&output).contains("nobody listens on UDP 127.0.0.1:1"));
    }
}
