//! The program under test, as a process of its own: started as people start it, seen from outside only.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};

use crate::client::Client;
use crate::folder::Folder;
use crate::wait::{DEADLINE, poll_until};

/// A running server; killed, by its process id, when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    _home: Option<Folder>,
}

/// How a process ended that was not expected to go on.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Server {
    /// Starts `binary` in an empty folder and waits until it says where it listens.
    #[track_caller]
    pub fn start(binary: &str, arguments: &[&str]) -> Server {
        let home = Folder::new("home");
        let mut server = Server::start_in(binary, home.path(), arguments);
        server._home = Some(home);
        server
    }

    /// Starts `binary` in `folder` and waits until it says where it listens.
    #[track_caller]
    pub fn start_in(binary: &str, folder: &Path, arguments: &[&str]) -> Server {
        let mut child = command(binary, folder, arguments)
            .spawn()
            .unwrap_or_else(|error| panic!("{binary} does not start: {error}"));
        let stdout = Lines::collect(child.stdout.take().expect("a piped output"));
        let stderr = Lines::collect(child.stderr.take().expect("a piped output"));
        let mut server = Server {
            child,
            port: 0,
            stdout,
            stderr,
            _home: None,
        };
        server.port = server.announced_port();
        server
    }

    /// Runs `binary` until it ends by itself, at most [`DEADLINE`].
    #[track_caller]
    pub fn run(binary: &str, folder: &Path, arguments: &[&str]) -> Exit {
        let mut child = command(binary, folder, arguments)
            .spawn()
            .unwrap_or_else(|error| panic!("{binary} does not start: {error}"));
        let stdout = Lines::collect(child.stdout.take().expect("a piped output"));
        let stderr = Lines::collect(child.stderr.take().expect("a piped output"));
        let status = wait_for(&mut child, DEADLINE);
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        stdout.until_end();
        stderr.until_end();
        let exit = Exit {
            code: status.and_then(|status| status.code()),
            stdout: stdout.text(),
            stderr: stderr.text(),
        };
        assert!(status.is_some(), "it should have ended by itself: {exit}");
        exit
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The port of [`Server::address`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it speaks TLS; panics if it does not say so.
    #[track_caller]
    pub fn secure_address(&self) -> SocketAddr {
        let line = self.message(|line| port_behind("https://", line).is_some());
        let port = port_behind("https://", &line).expect("just seen");
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// A new connection to it.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our own child takes signals");
    }

    /// Waits until it ends; `None` if it is still there after `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        wait_for(&mut self.child, deadline)
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The memory that it holds now, in bytes.
    pub fn rss(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that it ever held, in bytes.
    pub fn peak_rss(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The time that it has had of the processors, its own and the kernel's for it; in steps of 10 ms.
    #[track_caller]
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        // The name in parentheses may hold anything; behind it `utime` and `stime` are the 12th and 13th.
        let (_, behind) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks = behind.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// How many TCP connections it has open.
    pub fn connections(&self) -> usize {
        let process = PathBuf::from(format!("/proc/{}", self.id()));
        let connected: HashSet<String> = ["tcp", "tcp6"]
            .iter()
            .flat_map(|table| fs::read_to_string(process.join("net").join(table)))
            .flat_map(|table| table.lines().filter_map(connected).collect::<Vec<_>>())
            .collect();
        let open = fs::read_dir(process.join("fd")).into_iter().flatten();
        open.flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|link| connected.contains(&*link.to_string_lossy()))
            .count()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }

    /// The lines of its standard output once there are `count`; panics if that takes too long.
    #[track_caller]
    pub fn log_lines(&self, count: usize) -> Vec<String> {
        self.stdout
            .wait(DEADLINE, |lines| {
                (lines.len() >= count).then(|| lines.to_vec())
            })
            .unwrap_or_else(|| {
                panic!(
                    "fewer than {count} lines in the log:\n{}",
                    self.stdout.text()
                )
            })
    }

    /// The first line of its standard output that `wanted` holds for.
    #[track_caller]
    pub fn log_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout
            .wait(DEADLINE, |lines| {
                lines.iter().find(|line| wanted(line)).cloned()
            })
            .unwrap_or_else(|| panic!("no such line in the log:\n{}", self.stdout.text()))
    }

    /// The first line of its standard error that `wanted` holds for.
    #[track_caller]
    pub fn message(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr
            .wait(DEADLINE, |lines| {
                lines.iter().find(|line| wanted(line)).cloned()
            })
            .unwrap_or_else(|| panic!("no such message:\n{}", self.stderr.text()))
    }

    /// All it said on its standard error so far.
    pub fn messages(&self) -> String {
        self.stderr.text()
    }

    /// All it wrote to its standard output so far.
    pub fn log(&self) -> String {
        self.stdout.text()
    }

    #[track_caller]
    fn announced_port(&self) -> u16 {
        let port = self.stderr.wait(DEADLINE, |lines| {
            lines.iter().find_map(|line| port_behind("http://", line))
        });
        port.unwrap_or_else(|| panic!("it does not say where it listens:\n{}", self.stderr.text()))
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kilobytes
            .and_then(|digits| digits.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exit code {:?}\n-- standard output:\n{}\n-- standard error:\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

/// Tests run side by side, and beside a server and a CA of the person who runs them.
fn command(binary: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .env("DREAM_CONTROL", "off")
        .env("HOME", folder)
        .env_remove("XDG_DATA_HOME")
        .env_remove("CAROOT")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A port on which nobody listens; another program may of course take it.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a bound socket").port()
}

/// Lifts this process's limit of open descriptors as far as it may, and gives it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is not allowed the old limit stays, and is what we give.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The port of the first `SCHEME://HOST:PORT/` in `line`.
fn port_behind(scheme: &str, line: &str) -> Option<u16> {
    let (_, rest) = line.split_once(scheme)?;
    let (authority, _) = rest.split_once('/')?;
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok()
}

fn wait_for(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    poll_until(deadline, || child.try_wait().ok().flatten())
}

/// What a process writes, line by line, with a way to wait for more.
#[derive(Debug, Default)]
struct Lines {
    state: Mutex<Written>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn collect(source: impl Read + Send + 'static) -> Arc<Lines> {
        let lines = Arc::new(Lines::default());
        let writer = Arc::clone(&lines);
        thread::spawn(move || writer.read(BufReader::new(source)));
        lines
    }

    fn read(&self, mut source: impl BufRead) {
        let mut line = Vec::new();
        while let Ok(1..) = source.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches('\n')
                .to_string();
            self.lock().lines.push(text);
            self.more.notify_all();
            line.clear();
        }
        self.lock().ended = true;
        self.more.notify_all();
    }

    /// Asks `probe` at each new line; gives up at the deadline, or when no more lines can come.
    fn wait<T>(&self, deadline: Duration, probe: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut state = self.lock();
        loop {
            if let Some(value) = probe(&state.lines) {
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now())?;
            if state.ended {
                return None;
            }
            state = self
                .more
                .wait_timeout(state, left)
                .expect("no panic holds the lock")
                .0;
        }
    }

    fn until_end(&self) {
        let _ = poll_until(DEADLINE, || self.lock().ended.then_some(()));
    }

    fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.state.lock().expect("no panic holds the lock")
    }
}

/// The socket of a line of `/proc/net/tcp`, as descriptors name it, if it does not listen.
fn connected(line: &str) -> Option<String> {
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [_, _, _, state, _, _, _, _, _, inode, ..] if state != LISTENS => {
            Some(format!("socket:[{inode}]"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_port_in_an_announcement() {
        assert_eq!(
            port_behind("http://", "  Open  http://localhost:8080/  in a browser"),
            Some(8080)
        );
        assert_eq!(port_behind("http://", "http://[::1]:81/"), Some(81));
        assert_eq!(port_behind("http://", "http://localhost/"), None);
    }

    #[test]
    fn sees_what_a_process_says_and_how_it_ends() {
        let exit = Server::run(
            "/bin/sh",
            Path::new("/"),
            &["-c", "echo out; echo err >&2; exit 3"],
        );
        assert_eq!(
            (exit.code, exit.stdout.as_str(), exit.stderr.as_str()),
            (Some(3), "out", "err")
        );
    }

    #[test]
    fn a_process_ends_by_a_signal() {
        let script = "echo 'at http://localhost:1234/' >&2; echo ready; exec sleep 100";
        let mut server = Server::start("/bin/sh", &["-c", script]);
        assert_eq!(server.port(), 1234);
        assert_eq!(server.log_lines(1), ["ready"]);
        assert!(server.rss() > 0 && server.is_running());
        server.signal(Signal::TERM);
        assert!(server.wait(DEADLINE).is_some());
    }
}
