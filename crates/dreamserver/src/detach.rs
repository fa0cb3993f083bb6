//! Letting go of the terminal: `dreamserver core --release` returns once the server serves, and the server stays.
//!
//! The process that was started starts itself again, as a child with a session of its own, and waits. The child's standard
//! output and standard error are pipes to it. When the child serves it says so on its standard output, and then has neither any
//! more; when it cannot serve it says why on its standard error, and ends. So whoever started it knows by the exit code, sees
//! all that there is to say, and sees nothing afterwards.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The flag of the child; it stands before the command.
pub const FLAG: &str = "--detached";

/// Starts this program again with the same arguments, detached; gives the exit code for whoever started it: success
/// once it serves.
///
/// # Errors
/// The system refuses a process, a pipe or the like.
pub fn start() -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Before the child is there: whoever interrupts this ends both.
        let mut interrupts = Interrupts::new()?;
        let mut child = spawn()?;
        let said = tokio::select! {
            said = listen(&mut child) => said?,
            number = interrupts.next() => return interrupted(&mut child, number),
        };
        if said.ends_with(b"\n") {
            // The server serves, whether somebody hears it or not.
            let _ = io::stdout()
                .write_all(&said)
                .and_then(|()| io::stdout().flush());
            return Ok(ExitCode::SUCCESS);
        }
        Ok(failure(child.wait()?))
    })
}

/// What the child does first: leaves the session, and with it the terminal, of whoever started it.
///
/// # Errors
/// It leads a group of processes, so that it was not started by [`start`].
pub fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// What the child does once it serves: says so, and lets go of its standard streams.
///
/// # Errors
/// Nobody waits any more: what started it is gone, and does not know that it serves. It has let go all the same.
pub fn let_go(message: &str) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut out = io::stdout().lock();
    let said = out.write_all(message.as_bytes()).and_then(|()| out.flush());
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    said
}

fn spawn() -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    let name = arguments
        .next()
        .unwrap_or_else(|| OsString::from("dreamserver"));
    Command::new(std::env::current_exe()?)
        .arg0(name)
        .arg(FLAG)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What the child says on its standard output until it has let go; what it says on its standard error is passed on.
async fn listen(child: &mut Child) -> io::Result<Vec<u8>> {
    let mut stdout = receiver(child.stdout.take().map(OwnedFd::from))?;
    let mut stderr = receiver(child.stderr.take().map(OwnedFd::from))?;
    let pass_on = async {
        let mut buffer = [0; 4096];
        while let len @ 1.. = stderr.read(&mut buffer).await? {
            // It starts whether somebody reads this or not.
            let _ = io::stderr().write_all(&buffer[..len]);
        }
        Ok(())
    };
    let mut said = Vec::new();
    let hear = stdout.read_to_end(&mut said);
    tokio::try_join!(hear, pass_on)?;
    Ok(said)
}

fn receiver(pipe: Option<OwnedFd>) -> io::Result<Receiver> {
    let pipe = pipe.ok_or_else(|| io::Error::other("the child has no pipe"))?;
    Receiver::from_owned_fd(pipe)
}

/// What ends the one who waits.
struct Interrupts {
    interrupt: Signals,
    terminate: Signals,
    hang_up: Signals,
}

impl Interrupts {
    fn new() -> io::Result<Interrupts> {
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        let signal = tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hang_up.recv() => Signal::HUP,
        };
        u8::try_from(signal.as_raw()).unwrap_or(u8::MAX)
    }
}

/// Takes the child along. It has begun nothing that must be finished.
fn interrupted(child: &mut Child, number: u8) -> io::Result<ExitCode> {
    kill_process(Pid::from_child(child), Signal::KILL)?;
    child.wait()?;
    Ok(ExitCode::from(INTERRUPTED + number))
}

/// The code of a child that does not serve: its own, but never that of success.
fn failure(status: ExitStatus) -> ExitCode {
    if let Some(number) = status.signal() {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(
            io::stderr(),
            "dreamserver: a signal ended the server ({number})"
        );
    }
    match status.code().map(u8::try_from) {
        Some(Ok(code @ 1..)) => ExitCode::from(code),
        _ => ExitCode::FAILURE,
    }
}

/// Added to the number of the signal that ended a process, as shells do.
const INTERRUPTED: u8 = 128;
