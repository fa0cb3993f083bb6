//! The core server in the background: who is told what, and where all is written down.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dream_testkit::{Client, DEADLINE, Exit, Folder, Server, eventually, poll_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::peers::has;
use crate::start::binary;

const ANYWHERE: [&str; 6] = [
    "--listen",
    "127.0.0.1:0",
    "--control",
    "127.0.0.1:0",
    "--state",
    "state",
];

/// A server in the background; killed, by the number that it was started with, when dropped.
struct Daemon {
    pid: Pid,
    address: SocketAddr,
    control: String,
}

impl Daemon {
    #[track_caller]
    fn start(home: &Folder, more: &[&str]) -> Daemon {
        let exit = release(home, more);
        assert_eq!(exit.code, Some(0), "{exit}");
        assert_eq!(exit.stderr, "", "all is well");
        Daemon::of(&exit.stdout)
    }

    /// The one that says this of itself.
    #[track_caller]
    fn of(said: &str) -> Daemon {
        let pid = between(said, "(process ", ")").parse().ok();
        Daemon {
            pid: pid.and_then(Pid::from_raw).expect(said),
            address: between(said, "at http://", "/ ").parse().expect(said),
            control: between(said, "--control ", "`").to_owned(),
        }
    }

    fn is_running(&self) -> bool {
        is_running(self.pid)
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it takes signals");
    }

    fn command(&self, home: &Folder, arguments: &[&str]) -> Exit {
        let control = ["--control", &self.control];
        Server::run(&binary(), home.path(), &[arguments, &control].concat())
    }

    /// `dreamserver logs`, and what it prints.
    fn logs(&self, home: &Folder, arguments: &[&str]) -> (Child, impl Iterator<Item = String>) {
        let mut child = Command::new(binary())
            .arg("logs")
            .args(arguments)
            .args(["--control", &self.control])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (child, out.lines().map(Result::unwrap))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Not if it only waits for somebody to ask how it ended.
fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Is it the first of its session? Where the tests run in a container, other sessions may have no number that is seen here.
fn leads_a_session(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    let session = |stat: String| {
        let behind_name = stat.rsplit_once(") ")?.1;
        behind_name.split(' ').nth(3)?.parse().ok()
    };
    stat.ok().and_then(session) == Some(pid.as_raw_pid())
}

#[track_caller]
fn between<'a>(text: &'a str, before: &str, behind: &str) -> &'a str {
    let rest = text.split_once(before).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_once(behind))
        .unwrap_or_else(|| panic!("no {before:?} in {text}"))
        .0
}

#[track_caller]
fn release(home: &Folder, more: &[&str]) -> Exit {
    let start = ["core", "--release"];
    Server::run(
        &binary(),
        home.path(),
        &[&start, &ANYWHERE[..], more].concat(),
    )
}

fn log_of(home: &Folder) -> String {
    fs::read_to_string(home.join("logs/core.log")).unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

#[test]
fn it_returns_once_it_serves_and_says_what_where_and_how_to_stop_it() {
    let home = Folder::new("release");
    // It ends when nobody holds its standard streams any more: the server has let go of them.
    let exit = release(&home, &[]);
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit}");
    let daemon = Daemon::of(&exit.stdout);
    assert_eq!(daemon.client().ask(get("/")).status, 404);
    let log = fs::canonicalize(home.join("logs/core.log")).unwrap();
    for words in [
        "serves what programs announce at http://127.0.0.1:",
        &format!(
            "logs in {}; stop it with `dreamserver stop --control 127",
            log.display()
        ),
        "Announcements come in at 127.0.0.1:",
    ] {
        assert!(exit.stdout.contains(words), "{words}: {exit}");
    }
    assert!(leads_a_session(daemon.pid));
    for number in 0..3 {
        let stream = format!("/proc/{}/fd/{number}", daemon.pid.as_raw_pid());
        assert_eq!(fs::read_link(stream).unwrap(), Path::new("/dev/null"));
    }
    let status = daemon.command(&home, &["status"]).stdout;
    assert!(status.contains("mode: release"), "{status}");
    assert!(
        status.contains(&format!("log: {}", log.display())),
        "{status}"
    );
    let exit = daemon.command(&home, &["stop"]);
    assert_eq!(exit.code, Some(0), "{exit}");
    eventually("it ends", || !daemon.is_running());
    let log = log_of(&home);
    for words in [
        "] DREAM_SERVER started |",
        "path=/ |",
        "] DREAM_SERVER stopped |",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn what_keeps_it_from_serving_is_told_and_no_success() {
    let home = Folder::new("release");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, address) = (
        taken.local_addr().unwrap().port(),
        taken.local_addr().unwrap(),
    );
    let address = address.to_string();
    fs::write(home.join("file"), "").unwrap();
    let file = home.join("file/state");
    let file = file.to_str().unwrap();
    let start = ["core", "--release"];
    for (arguments, code, words) in [
        (
            ["--listen", &address, "--control", "off"],
            1,
            format!("port {port} is taken"),
        ),
        (
            ["--listen", "127.0.0.1:0", "--control", &address],
            1,
            format!("listens on {address}"),
        ),
        (
            ["--control", "127.0.0.1:0", "--state", file],
            1,
            format!("the folder {file}"),
        ),
        (
            ["--control", "off", "--config", "none.toml"],
            2,
            "no configuration file".into(),
        ),
        (
            ["--control", "off", "--log-size", "1MB"],
            2,
            "2 MiB is the least".into(),
        ),
        (
            ["--control", "off", "--dev", "--dev"],
            2,
            "cannot be used".into(),
        ),
    ] {
        let listen = match arguments.contains(&"--listen") {
            true => &[][..],
            false => &ANYWHERE[..2],
        };
        let line = [&start[..], listen, &arguments].concat();
        let exit = Server::run(&binary(), home.path(), &line);
        assert_eq!(exit.code, Some(code), "{line:?}: {exit}");
        assert!(exit.stderr.contains(&words), "{line:?}: {exit}");
        assert_eq!(exit.stdout, "");
    }
    fs::remove_dir_all(home.join("logs")).unwrap();
    fs::write(home.join("logs"), "no folder").unwrap();
    let exit = release(&home, &[]);
    assert_eq!(exit.code, Some(1), "{exit}");
    assert!(exit.stderr.contains("logs/core.log: "), "{exit}");
}

#[test]
fn whoever_interrupts_the_start_ends_all_of_it() {
    let home = Folder::new("release");
    // Opening its log takes for ever, because nobody reads there.
    fs::create_dir(home.join("logs")).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(home.join("logs/core.log"))
        .status();
    assert!(fifo.unwrap().success());
    let mut starter = Command::new(binary())
        .args(["core", "--release"])
        .args(ANYWHERE)
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let number = starter.id();
    let children = format!("/proc/{number}/task/{number}/children");
    let child = poll_until(DEADLINE, || {
        let child = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
        Pid::from_raw(child).filter(|child| leads_a_session(*child))
    });
    let child = child.expect("it starts the server");
    kill_process(Pid::from_child(&starter), Signal::INT).unwrap();
    assert_eq!(starter.wait().unwrap().code(), Some(130));
    eventually("the server ends too", || !is_running(child));
}

#[test]
fn whoever_takes_over_goes_on_in_the_same_mode_unless_told_otherwise() {
    let home = Folder::new("modes");
    let first = Daemon::start(&home, &[]);
    let again = |more: &[&str]| {
        let arguments = ["core", "--control", &first.control, "--state", "state"];
        Server::run(&binary(), home.path(), &[&arguments, more].concat())
    };
    let exit = again(&[]);
    assert_eq!(exit.code, Some(0), "{exit}");
    let second = Daemon::of(&exit.stdout);
    assert_eq!(second.address, first.address);
    eventually("the first ends", || !first.is_running());
    let status = second.command(&home, &["status"]).stdout;
    assert!(status.contains("mode: release"), "{status}");
    let arguments = [
        "core",
        "--dev",
        "--control",
        &first.control,
        "--state",
        "state",
    ];
    let third = Server::start_in(&binary(), home.path(), &arguments);
    assert_eq!(third.address(), first.address);
    let status = second.command(&home, &["status"]).stdout;
    assert!(status.contains("mode: dev"), "{status}");
    eventually("the second ends", || !second.is_running());
}

#[test]
fn it_outlives_the_terminal_that_it_was_started_in() {
    if !has("script", &["--version"]) {
        return;
    }
    let home = Folder::new("release");
    let line = format!("{} core --release {}", binary(), ANYWHERE.join(" "));
    // A terminal of its own, which is gone when the command has ended.
    let exit = Server::run("script", home.path(), &["-qec", &line, "/dev/null"]);
    assert_eq!(exit.code, Some(0), "{exit}");
    let daemon = Daemon::of(&exit.stdout);
    assert_eq!(daemon.client().ask(get("/")).status, 404);
    daemon.signal(Signal::HUP);
    eventually("a hang-up is a reload", || {
        log_of(&home).contains("was read again")
    });
    assert_eq!(daemon.client().ask(get("/")).status, 404);
}

/// The number that a line of the log is about.
fn number_in(line: &str) -> Option<usize> {
    let path = line.split_once("path=/")?.1;
    path.split_once('/')?.0.parse().ok()
}

#[test]
fn the_log_is_bounded_and_can_be_followed_while_it_rotates() {
    const LINES: usize = 600;
    const AT_ONCE: usize = 60;
    let home = Folder::new("release");
    let daemon = Daemon::start(&home, &["--log-size", "2MiB"]);
    let (mut follower, mut lines) = daemon.logs(&home, &["-f"]);
    assert!(lines.next().unwrap().contains("started"));
    let padding = "x".repeat(7000);
    let mut client = daemon.client();
    for first in (0..LINES).step_by(AT_ONCE) {
        for number in first..first + AT_ONCE {
            assert_eq!(client.ask(get(&format!("/{number}/{padding}"))).status, 404);
        }
        // Each once, in order, whatever file they are in by now.
        let seen: Vec<usize> = (&mut lines)
            .map(|line| number_in(&line).unwrap())
            .take(AT_ONCE)
            .collect();
        assert_eq!(seen, (first..first + AT_ONCE).collect::<Vec<_>>());
    }
    let files: Vec<_> = fs::read_dir(home.join("logs"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(files.len(), 10);
    let sizes = files.iter().map(|file| file.metadata().unwrap().len());
    assert!(sizes.sum::<u64>() <= 2 << 20);
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let (mut all, lines) = daemon.logs(&home, &["-n", "150"]);
    let seen: Vec<usize> = lines.map(|line| number_in(&line).unwrap()).collect();
    assert_eq!(seen, (LINES - 150..LINES).collect::<Vec<_>>());
    assert!(all.wait().unwrap().success());
    kill_process(Pid::from_child(&follower), Signal::INT).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn following_ends_when_nobody_reads_any_more() {
    let home = Folder::new("release");
    let daemon = Daemon::start(&home, &[]);
    let (mut follower, mut lines) = daemon.logs(&home, &["--follow", "-n", "1"]);
    assert!(lines.next().unwrap().contains("started"));
    assert!(follower.try_wait().unwrap().is_none());
    drop(lines);
    let status = poll_until(DEADLINE, || follower.try_wait().unwrap());
    assert_eq!(status.expect("it ends by itself").code(), Some(0));
    let (mut none, mut lines) = daemon.logs(&home, &["-n", "0"]);
    assert_eq!(lines.next(), None);
    assert!(none.wait().unwrap().success());
}

#[test]
fn without_a_server_the_last_log_is_shown_and_how_to_start_one() {
    let home = Folder::new("release");
    let daemon = Daemon::start(&home, &[]);
    daemon.command(&home, &["stop"]);
    eventually("it ends", || !daemon.is_running());
    let exit = daemon.command(&home, &["logs", "-n", "1"]);
    assert_eq!(exit.code, Some(1), "{exit}");
    assert!(exit.stdout.contains("DREAM_SERVER stopped"), "{exit}");
    assert!(exit.stderr.contains("`dreamserver core`"), "{exit}");
    let elsewhere = Folder::new("elsewhere");
    for command in ["logs", "status", "stop", "list"] {
        let exit = daemon.command(&elsewhere, &[command]);
        assert_eq!((exit.code, exit.stdout.as_str()), (Some(1), ""), "{exit}");
        assert!(
            exit.stderr
                .contains("start the server with `dreamserver core`"),
            "{exit}"
        );
    }
}

#[test]
fn in_the_foreground_the_log_is_where_it_was_started() {
    for (flags, mode) in [
        (&["--release", "--foreground"][..], "mode: release"),
        (&["--dev"], "mode: dev"),
        (&[], "mode: dev"),
    ] {
        let home = Folder::new("foreground");
        let arguments = [&["core"], flags, &ANYWHERE[..]].concat();
        let server = Server::start_in(&binary(), home.path(), &arguments);
        let control = server.message(|line| line.contains("come in at"));
        let control = control.rsplit(' ').next().unwrap();
        server.client().ask(get("/seen"));
        server.log_line(|line| line.contains("path=/seen"));
        let run = |command| Server::run(&binary(), home.path(), &[command, "--control", control]);
        let status = run("status").stdout;
        assert!(
            status.contains(mode) && status.contains("log: stdout"),
            "{status}"
        );
        let exit = run("logs");
        assert_eq!(exit.code, Some(1), "{exit}");
        assert!(
            exit.stderr.contains(&format!("process {}", server.id())),
            "{exit}"
        );
        assert!(!home.join("logs").exists());
    }
}

#[test]
fn a_log_file_of_the_configuration_is_shown_too() {
    let home = Folder::new("plain");
    fs::write(
        home.join("dreamserver.toml"),
        "listen = '127.0.0.1:0'\nlog.access = 'access.log'",
    )
    .unwrap();
    let server = Server::start_in(&binary(), home.path(), &ANYWHERE[2..]);
    let control = server.message(|line| line.contains("come in at"));
    let control = control.rsplit(' ').next().unwrap();
    server.client().ask(get("/seen"));
    eventually("the line is shown", || {
        let exit = Server::run(&binary(), home.path(), &["logs", "--control", control]);
        exit.code == Some(0) && exit.stdout.contains("path=/seen")
    });
}

#[test]
fn a_wrong_level_in_the_environment_is_told_too() {
    let home = Folder::new("release");
    let mut starter = Command::new(binary())
        .args(["core", "--release"])
        .args(ANYWHERE)
        .env("DREAMSERVER_LOG", "loud")
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    starter
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(starter.wait().unwrap().code(), Some(1));
    assert!(said.contains("DREAMSERVER_LOG=\"loud\""), "{said}");
}
