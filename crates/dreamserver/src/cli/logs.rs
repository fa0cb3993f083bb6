//! `dreamserver logs`: what the running server has written to its log, and what it writes from now on.
//!
//! Only files are read. The server is asked where they are, and a rotation in between neither repeats nor loses a line.

use super::announce::Speaker;
use super::args::LogsArguments;
use super::fail;
use super::plan::LogFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Shows the log of the running server; if none runs, says so and shows what the last one has left in this folder.
pub(super) fn show(speaker: &Speaker, arguments: &LogsArguments) -> ExitCode {
    let status = match speaker.ask_status() {
        Ok(status) => status,
        Err(code) => {
            show_last(arguments.lines);
            return code;
        }
    };
    let said = |key| status.get(key).and_then(Value::as_str);
    match said("log") {
        Some(path) if path.starts_with('/') => finish(read(Path::new(path), arguments)),
        place => fail(&elsewhere(place, status.get("pid").unwrap_or(&Value::Null))),
    }
}

/// Where to look for the log of a server that has no file for it.
fn elsewhere(place: Option<&str>, pid: &Value) -> String {
    match place {
        Some("stdout") => format!(
            "the server writes its log to the terminal that it was started in (process {pid})\n\
             one that is started with `dreamserver core --release` keeps it in {}",
            LogFile::NAME
        ),
        Some("journal") => {
            format!("the server writes its log to the journal: `journalctl -f _PID={pid}` shows it")
        }
        Some("off") => "the server keeps no log: its configuration says `access = \"off\"`".into(),
        _ => "the server does not say where its log is: it is of another version".into(),
    }
}

/// What is left in this folder of a server that has ended.
fn show_last(lines: usize) {
    let path = LogFile::here(0).path;
    if path.exists() {
        let _ = fail(&format!(
            "this is the end of {}, which the last one has left",
            path.display()
        ));
        if let Err(error) = open_log(&path).and_then(|log| log.print_last(lines)) {
            let _ = fail(&error.to_string());
        }
    }
}

fn read(path: &Path, arguments: &LogsArguments) -> io::Result<()> {
    let log = open_log(path)?;
    log.print_last(arguments.lines)
        .and_then(|log| match arguments.follow {
            true => log.follow(),
            false => Ok(()),
        })
}

/// A reader that left early, such as `head`, is no failure.
fn finish(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// A log that is being written to and rotated, and where its lines go.
struct Log {
    path: PathBuf,
    /// The newest file, as far as it has been read.
    current: File,
    /// Standard output, without the buffer of the standard library.
    out: File,
}

fn open_log(path: &Path) -> io::Result<Log> {
    let open = File::open(path).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{} cannot be read: {error}", path.display()),
        )
    });
    Ok(Log {
        path: path.to_owned(),
        current: open?,
        out: File::from(io::stdout().as_fd().try_clone_to_owned()?),
    })
}

impl Log {
    /// Prints the last lines; those before a rotation are in older files.
    fn print_last(mut self, lines: usize) -> io::Result<Log> {
        let mut missing = lines;
        let mut older: Vec<File> = Vec::new();
        let mut number = 1;
        loop {
            let file = older.last().unwrap_or(&self.current);
            match find_last(file, missing)? {
                Found::At(offset) => {
                    older
                        .last_mut()
                        .unwrap_or(&mut self.current)
                        .seek(SeekFrom::Start(offset))?;
                    break;
                }
                Found::Only(count) => missing -= count,
            }
            match File::open(self.rotated(number)) {
                // It was rotated since it was opened.
                Ok(file) if is_same(&file, older.last().unwrap_or(&self.current)) => {}
                Ok(file) => older.push(file),
                Err(_) => break,
            }
            number += 1;
        }
        for file in older.iter_mut().rev() {
            io::copy(file, &mut self.out)?;
        }
        io::copy(&mut self.current, &mut self.out)?;
        Ok(self)
    }

    /// Prints what is written from now on, until Ctrl-C, or until nobody reads it any more.
    fn follow(mut self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut look = tokio::time::interval(LOOK);
            let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
            loop {
                tokio::select! {
                    _ = look.tick() => {}
                    interrupted = &mut interrupted => return interrupted,
                }
                if self.is_unread()? {
                    return Ok(());
                }
                self.print_new()?;
            }
        })
    }

    fn print_new(&mut self) -> io::Result<()> {
        if self.current.metadata()?.len() < self.current.stream_position()? {
            // Somebody emptied it, instead of moving it away.
            self.current.rewind()?;
        }
        io::copy(&mut self.current, &mut self.out)?;
        let newer = self.newer();
        if newer.is_empty() {
            return Ok(());
        }
        // What was written before it was rotated.
        io::copy(&mut self.current, &mut self.out)?;
        for mut file in newer {
            io::copy(&mut file, &mut self.out)?;
            self.current = file;
        }
        Ok(())
    }

    /// The files that came after the current one, oldest first.
    fn newer(&self) -> Vec<File> {
        loop {
            let Some(number) = self.number() else {
                // It was moved away: the name is what counts.
                return File::open(&self.path).into_iter().collect();
            };
            let newer: Option<Vec<File>> = (0..number)
                .rev()
                .map(|number| File::open(self.rotated(number)).ok())
                .collect();
            match newer {
                // A rotation in between has given all of them other numbers.
                Some(newer) if self.number() == Some(number) => return newer,
                Some(_) => {}
                // A moment without a newest file, before it is made.
                None => return Vec::new(),
            }
        }
    }

    /// The number of the current file; 0 is that of the newest.
    fn number(&self) -> Option<u64> {
        (0..=MOST).find(|number| {
            fs::metadata(self.rotated(*number)).is_ok_and(|there| is_file(&there, &self.current))
        })
    }

    fn rotated(&self, number: u64) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// Has everybody gone who could read what is printed?
    fn is_unread(&self) -> io::Result<bool> {
        let mut out = [PollFd::new(&self.out, PollFlags::empty())];
        let now = Timespec::default();
        poll(&mut out, Some(&now))?;
        Ok(out[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
    }
}

fn is_same(one: &File, other: &File) -> bool {
    one.metadata().is_ok_and(|one| is_file(&one, other))
}

fn is_file(one: &fs::Metadata, other: &File) -> bool {
    other
        .metadata()
        .is_ok_and(|other| (one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Where the last lines of a file begin.
enum Found {
    /// There.
    At(u64),
    /// It has only so many lines.
    Only(usize),
}

/// Looks for the last `lines` lines, from the end.
fn find_last(file: &File, lines: usize) -> io::Result<Found> {
    let mut buffer = vec![0; CHUNK];
    let mut end = file.metadata()?.len();
    let mut seen = 0;
    while end > 0 {
        let len = usize::try_from(end).map_or(CHUNK, |end| end.min(CHUNK));
        let start = end - len as u64;
        file.read_exact_at(&mut buffer[..len], start)?;
        for at in memchr::memrchr_iter(b'\n', &buffer[..len]) {
            if seen == lines {
                return Ok(Found::At(start + at as u64 + 1));
            }
            seen += 1;
        }
        end = start;
    }
    Ok(Found::Only(seen))
}

/// How often it is looked for new lines: a person does not see the difference.
const LOOK: Duration = Duration::from_millis(250);

/// More files than there are of one log.
const MOST: u64 = 20;

/// Bytes that are searched at once.
const CHUNK: usize = 64 * 1024;
