//! What `docs/announce.md` offers to paste, run as it stands there: only the port is another.
//!
//! Where a language is missing the test says so and leaves it out; in CI (`CI`, or `DREAM_PEERS=required`) it fails.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_control::{Code, Command, Reply};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// How the blocks of one language are run.
struct Language {
    /// What stands behind the fence.
    name: &'static str,
    programs: &'static [&'static str],
    file: &'static str,
    /// For the shell, in the folder of the file.
    run: &'static str,
    /// Does a block show the reply?
    shows_reply: bool,
}

const LANGUAGES: [Language; 9] = [
    Language {
        name: "bash",
        programs: &["bash"],
        file: "announce.bash",
        run: "bash announce.bash",
        shows_reply: false,
    },
    Language {
        name: "sh",
        programs: &["nc"],
        file: "announce.sh",
        run: "sh announce.sh",
        shows_reply: true,
    },
    Language {
        name: "python",
        programs: &["python3"],
        file: "announce.py",
        run: "python3 announce.py",
        shows_reply: true,
    },
    Language {
        name: "ruby",
        programs: &["ruby"],
        file: "announce.rb",
        run: "ruby announce.rb",
        shows_reply: true,
    },
    Language {
        name: "php",
        programs: &["php"],
        file: "announce.php",
        run: "php announce.php",
        shows_reply: true,
    },
    Language {
        name: "js",
        programs: &["node"],
        file: "announce.mjs",
        run: "node announce.mjs",
        shows_reply: true,
    },
    Language {
        name: "go",
        programs: &["go"],
        file: "announce.go",
        run: "GOCACHE=$PWD/cache go run announce.go",
        shows_reply: true,
    },
    Language {
        name: "rust",
        programs: &["rustc"],
        file: "announce.rs",
        run: "rustc --edition 2024 announce.rs && ./announce",
        shows_reply: true,
    },
    Language {
        name: "java",
        programs: &["java", "javac"],
        file: "Announce.java",
        run: "java Announce.java",
        shows_reply: true,
    },
];

#[test]
fn bash() {
    announces("bash");
}

#[test]
fn shell_with_netcat() {
    announces("sh");
}

#[test]
fn python() {
    announces("python");
}

#[test]
fn ruby() {
    announces("ruby");
}

#[test]
fn php() {
    announces("php");
}

#[test]
fn node() {
    announces("js");
}

#[test]
fn go() {
    announces("go");
}

#[test]
fn rust() {
    announces("rust");
}

#[test]
fn java() {
    announces("java");
}

#[test]
fn every_block_is_tried() {
    for block in blocks() {
        let known = LANGUAGES.iter().any(|language| language.name == block.name);
        let is_said = ["text", "reply"].contains(&&*block.name);
        assert!(known || is_said, "{}", block.name);
        let sends = block.text.contains(PORT) || block.text.contains("dream_control::announce");
        assert!(sends || is_said, "{}", block.text);
    }
}

#[test]
fn the_grammar_is_as_it_is_described() {
    let text = |block: &Block| block.name == "text";
    for line in blocks()
        .iter()
        .filter(|b| text(b))
        .flat_map(|b| b.text.lines())
    {
        let command = Command::parse(line.as_bytes()).expect(line);
        assert_eq!(command.to_string(), line);
    }
    for block in blocks().iter().filter(|block| block.name == "reply") {
        let reply = Reply::parse(block.text.as_bytes()).expect(&block.text);
        assert_eq!(reply.to_string(), block.text.trim_end());
    }
    let document = document();
    for code in Code::ALL.iter().filter(|code| **code != Code::BadReply) {
        let row = format!("\n| `{}` | ", code.as_str());
        assert!(document.contains(&row), "{row}");
    }
}

/// Runs each block of a language; exactly the announcement must arrive.
#[track_caller]
fn announces(name: &str) {
    let language = LANGUAGES
        .iter()
        .find(|language| language.name == name)
        .unwrap();
    if !language.programs.iter().all(|program| has(program)) {
        return;
    }
    let blocks = blocks().into_iter().filter(|block| block.name == name);
    // One without the port uses our crate: it is a documentation test.
    let blocks: Vec<Block> = blocks.filter(|block| block.text.contains(PORT)).collect();
    assert!(!blocks.is_empty());
    for (at, block) in blocks.iter().enumerate() {
        let (port, arrived) = server();
        let folder = folder(&format!("{name}-{at}"));
        let text = block.text.replace(PORT, &port.to_string());
        fs::write(folder.join(language.file), text).unwrap();
        let said = run(language.run, &folder);
        let bytes = arrived.recv_timeout(Duration::from_secs(10)).unwrap();
        let command = String::from_utf8(bytes).unwrap();
        assert_eq!(command.strip_suffix('\n').unwrap_or(&command), ANNOUNCEMENT);
        assert!(arrived.try_recv().is_err(), "it was sent twice");
        let reply = said.lines().any(|line| line == REPLY);
        assert_eq!(reply, language.shows_reply, "{said}");
    }
}

/// What a command wrote to standard output.
#[track_caller]
fn run(line: &str, folder: &Path) -> String {
    let mut command = process::Command::new("sh");
    let output = command
        .args(["-c", line])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}{complaint}");
    said
}

/// Whether `program` is there; where it must be and is not, the test fails.
fn has(program: &str) -> bool {
    let mut command = process::Command::new("sh");
    let output = command
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = output.is_ok_and(|output| output.status.success());
    let required = env::var_os("CI").is_some()
        || env::var("DREAM_PEERS").is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "{program} is missing, and it is required"
    );
    if !found {
        println!("LEFT OUT: {program} is missing");
    }
    found
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("announcements")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Hears and answers commands over UDP and over TCP, on one port, until the test ends.
fn server() -> (u16, Receiver<Vec<u8>>) {
    let (sender, arrived) = mpsc::channel();
    let (tcp, udp) = sockets();
    let port = tcp.local_addr().unwrap().port();
    let heard = sender.clone();
    thread::spawn(move || hear_datagrams(&udp, &heard));
    thread::spawn(move || hear_lines(&tcp, &sender));
    (port, arrived)
}

/// Another program may have the port of the one for the other; then the next is tried.
fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (tcp, udp);
        }
    }
}

fn hear_datagrams(socket: &UdpSocket, heard: &Sender<Vec<u8>>) {
    let mut buffer = [0; 2000];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        heard.send(buffer[..len].to_vec()).unwrap();
        // Whoever does not wait for a reply may be gone.
        socket.send_to(REPLY.as_bytes(), from).ok();
    }
}

fn hear_lines(listener: &TcpListener, heard: &Sender<Vec<u8>>) {
    while let Ok((mut stream, _)) = listener.accept() {
        let mut line = Vec::new();
        BufReader::new(&stream)
            .read_until(b'\n', &mut line)
            .unwrap();
        heard.send(line).unwrap();
        stream.write_all(format!("{REPLY}\n").as_bytes()).unwrap();
    }
}

/// A fenced block of the document.
struct Block {
    /// The first word behind the fence.
    name: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let document = document();
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let name = info.split(',').next().unwrap_or_default().to_owned();
        let inside = lines.by_ref().take_while(|line| *line != "```");
        let text = inside.flat_map(|line| [line, "\n"]).collect();
        blocks.push(Block { name, text });
    }
    blocks
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/announce.md");
    fs::read_to_string(path).unwrap()
}

/// The port as the document writes it.
const PORT: &str = "40608";

const ANNOUNCEMENT: &str = "add example.com 5665";

const REPLY: &str = "ok add example.com 5665";
