//! From the cores to the disk: a buffer on each core, one thread that writes, and a bound on what is between them.
//!
//! A core formats into its own buffer and gives it away when it is full, or four times a second. Giving away never
//! waits: if the queue is full the lines are dropped and counted. The thread gives empty buffers back, so that
//! nothing is allocated once traffic is steady.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, SystemTime};

use super::file::LogFile;
use super::record::{self, Record, TimeText, Visit};
use super::{Format, Options, Target};

/// The owner of the thread that writes access lines. Dropping it writes what was handed over, then ends the thread.
#[derive(Debug)]
pub struct Writer(Option<Running>);

#[derive(Debug)]
struct Running {
    queue: SyncSender<Message>,
    signals: Arc<Signals>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    format: Format,
    query: bool,
    connections: bool,
}

/// What both sides of the queue see.
#[derive(Debug, Default)]
struct Signals {
    dropped: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Lines(Lines),
    /// An event of the server, which stands between the lines.
    Event(Vec<u8>),
    /// Look at the signals.
    Wake,
}

/// A buffer on its way to the disk.
#[derive(Debug)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    /// Where the empty buffer goes.
    home: SyncSender<Vec<u8>>,
}

impl Writer {
    /// Opens the target and starts the thread; without a target there is none.
    ///
    /// # Errors
    /// The file or its folder cannot be created, or `max_size` is below [`Options::MIN_SIZE`].
    pub fn start(options: &Options) -> io::Result<Writer> {
        match &options.target {
            Target::Off => Ok(Writer(None)),
            Target::Stdout => Writer::over(Stdout::new()?, options),
            Target::File(_) if options.max_size < Options::MIN_SIZE => {
                let text = format!("max_size is below {} bytes", Options::MIN_SIZE);
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
            Target::File(path) => {
                let file = LogFile::open(path, options.max_size).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                });
                Writer::over(file?, options)
            }
        }
    }

    fn over(output: impl Output + 'static, options: &Options) -> io::Result<Writer> {
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let (alive, ended) = mpsc::channel::<()>();
        let signals = Arc::new(Signals::default());
        let desk = Desk {
            output,
            signals: Arc::clone(&signals),
            format: options.format,
            time: TimeText::default(),
            failing: false,
        };
        thread::Builder::new().name("log".into()).spawn(move || {
            desk.run(&messages);
            drop(alive);
        })?;
        Ok(Writer(Some(Running {
            queue,
            signals,
            ended,
            format: options.format,
            query: options.query,
            connections: options.connections,
        })))
    }

    /// A core's end of the queue.
    pub fn sink(&self) -> Sink {
        Sink(self.0.as_ref().map(Core::new))
    }

    /// The way into this log for events of the server; none if it is off.
    pub fn events(&self) -> Option<EventSink> {
        self.0.as_ref().map(|running| EventSink {
            queue: running.queue.clone(),
            signals: running.signals.clone(),
        })
    }

    /// Opens the file anew, after someone moved it away.
    pub fn reopen(&self) {
        if let Some(running) = &self.0 {
            running.signals.reopen.store(true, Ordering::Release);
            running.wake();
        }
    }

    /// Writes everything that sinks have handed over, and ends the thread; drop the sinks, or flush them, before. Gives
    /// up on a disk that takes nothing for 5 seconds.
    pub fn finish(self) {
        drop(self);
    }
}

impl Running {
    /// A full queue needs no waking: the thread looks at the signals with every message.
    fn wake(&self) {
        let _ = self.queue.try_send(Message::Wake);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signals.closing.store(true, Ordering::Release);
        self.wake();
        let _ = self.ended.recv_timeout(FINISH);
    }
}

/// Where events of the server go that stand between the access lines. As with those, nobody waits for the disk: what the
/// queue does not take is dropped and counted.
#[derive(Clone, Debug)]
pub struct EventSink {
    queue: SyncSender<Message>,
    signals: Arc<Signals>,
}

/// What is written at once is one event.
impl Write for EventSink {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Event(event.to_vec())) {
            self.signals.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A core's end of the log.
#[derive(Debug)]
pub struct Sink(Option<Core>);

#[derive(Debug)]
struct Core {
    queue: SyncSender<Message>,
    signals: Arc<Signals>,
    home: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    format: Format,
    query: bool,
    connections: bool,
    pending: RefCell<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    count: u64,
    time: TimeText,
}

impl Sink {
    /// Are lines written at all?
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Are lines of connections written?
    pub fn has_connections(&self) -> bool {
        self.0.as_ref().is_some_and(|core| core.connections)
    }

    /// Writes one line into the core's buffer, and hands the buffer over if that filled it. Never waits.
    pub fn write(&self, record: &Record<'_>) {
        if let Some(core) = &self.0 {
            core.add(|time, bytes| record.write_to(core.format, core.query, time, bytes));
        }
    }

    /// As [`Sink::write`], a line of a connection.
    pub fn write_visit(&self, visit: &Visit) {
        if let Some(core) = &self.0 {
            core.add(|time, bytes| visit.write_to(core.format, time, bytes));
        }
    }

    /// Hands over what is there. If the disk is behind, the lines wait here until the buffer is full.
    pub fn flush(&self) {
        let Some(core) = &self.0 else { return };
        let mut pending = core.pending.borrow_mut();
        if pending.count > 0 {
            core.hand_over(&mut pending);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
        if let Some(core) = &self.0 {
            // What the queue did not take is lost, but counted.
            core.drop_lines(&mut core.pending.borrow_mut());
        }
    }
}

impl Core {
    fn new(running: &Running) -> Core {
        let (home, empty) = mpsc::sync_channel(KEPT);
        Core {
            queue: running.queue.clone(),
            signals: Arc::clone(&running.signals),
            home,
            empty,
            format: running.format,
            query: running.query,
            connections: running.connections,
            pending: RefCell::default(),
        }
    }

    /// Adds the line that `write` writes, at the time of day that it is given.
    fn add(&self, write: impl FnOnce(&str, &mut Vec<u8>)) {
        let mut pending = self.pending.borrow_mut();
        let Pending { bytes, count, time } = &mut *pending;
        write(time.at(SystemTime::now()), bytes);
        *count += 1;
        if bytes.len() >= BUFFER && !self.hand_over(&mut pending) {
            self.drop_lines(&mut pending);
        }
    }

    /// Gives the lines to the thread, unless the queue is full.
    fn hand_over(&self, pending: &mut Pending) -> bool {
        let lines = Lines {
            bytes: mem::take(&mut pending.bytes),
            count: pending.count,
            home: self.home.clone(),
        };
        match self.queue.try_send(Message::Lines(lines)) {
            Ok(()) => {
                let fresh = || Vec::with_capacity(BUFFER + BUFFER / 4);
                pending.bytes = self.empty.try_recv().unwrap_or_else(|_| fresh());
                pending.count = 0;
                true
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                if let Message::Lines(lines) = message {
                    pending.bytes = lines.bytes;
                }
                false
            }
        }
    }

    fn drop_lines(&self, pending: &mut Pending) {
        let lines = mem::take(&mut pending.count);
        self.signals.dropped.fetch_add(lines, Ordering::Relaxed);
        pending.bytes.clear();
    }
}

/// Where lines end up.
trait Output: Send {
    /// Adds whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// The name may belong to another file now.
    fn reopen(&mut self) {}
}

impl Output for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        LogFile::write(self, lines)
    }

    fn reopen(&mut self) {
        LogFile::reopen(self);
    }
}

/// Standard output without the buffer of the standard library, which would send again what a failed write held.
struct Stdout {
    file: File,
    /// A write failed, perhaps in the middle of a line.
    torn: bool,
}

impl Stdout {
    fn new() -> io::Result<Stdout> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Stdout { file, torn: false })
    }
}

impl Output for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        let written = self.file.write_all(lines);
        self.torn = written.is_err();
        written
    }
}

/// The thread's side.
struct Desk<O> {
    output: O,
    signals: Arc<Signals>,
    format: Format,
    time: TimeText,
    /// The last write failed; the operator knows.
    failing: bool,
}

impl<O: Output> Desk<O> {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            self.handle(message);
            if self.signals.closing.load(Ordering::Acquire) {
                break;
            }
        }
        while let Ok(message) = messages.try_recv() {
            self.handle(message);
        }
        self.report_dropped();
    }

    fn handle(&mut self, message: Message) {
        if self.signals.reopen.swap(false, Ordering::AcqRel) {
            self.output.reopen();
        }
        match message {
            Message::Lines(lines) => {
                self.write(&lines.bytes, lines.count);
                give_back(lines);
            }
            Message::Event(event) => self.write(&event, 1),
            Message::Wake => {}
        }
    }

    fn write(&mut self, lines: &[u8], count: u64) {
        match self.output.write(lines) {
            Ok(()) => {
                if mem::take(&mut self.failing) {
                    tracing::info!("the access log can be written again");
                }
                self.report_dropped();
            }
            Err(error) => {
                self.signals.dropped.fetch_add(count, Ordering::Relaxed);
                if !mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the access log cannot be written, lines are dropped and counted");
                }
            }
        }
    }

    /// Says in the log itself how many lines are missing before this point.
    fn report_dropped(&mut self) {
        let dropped = self.signals.dropped.swap(0, Ordering::Relaxed);
        if dropped == 0 {
            return;
        }
        let mut line = Vec::new();
        let time = self.time.at(SystemTime::now());
        record::write_dropped(dropped, self.format, time, &mut line);
        if self.output.write(&line).is_err() {
            self.signals.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }
}

/// A buffer that one huge line made large is not kept.
fn give_back(lines: Lines) {
    let Lines {
        mut bytes, home, ..
    } = lines;
    bytes.clear();
    if bytes.capacity() <= 2 * BUFFER {
        let _ = home.try_send(bytes);
    }
}

/// A buffer is handed over at this size: some sixty lines share one system call, and it stays in the core's cache.
const BUFFER: usize = 16 * 1024;

/// Buffers that wait for the disk: 4 MiB in all, which is a second of stall at 15,000 lines a second.
const QUEUE: usize = 256;

/// Empty buffers kept for one core; more are only in use after a stall.
const KEPT: usize = 4;

/// How long the end waits for the disk, so that a pipe nobody reads cannot keep the process alive.
const FINISH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use dream_http::Version;
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;

    fn record(path: &[u8]) -> Record<'_> {
        Record {
            id: b"019ab",
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            method: b"GET",
            path,
            query: None,
            host: b"localhost",
            user_agent: None,
            status: 200,
            bytes: 0,
            received: 0,
            latency: Duration::ZERO,
            endpoint: None,
            endpoint_latency: None,
            version: Version::Http11,
            error: None,
        }
    }

    fn to_file(path: std::path::PathBuf) -> Options {
        Options {
            target: Target::File(path),
            ..Options::default()
        }
    }

    #[test]
    fn the_lines_of_all_cores_are_there_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/access.log");
        let writer = Writer::start(&to_file(path.clone())).unwrap();
        let cores: Vec<_> = (0..3)
            .map(|core| {
                let sink = writer.sink();
                thread::spawn(move || {
                    for number in 0..500 {
                        sink.write(&record(format!("/{core}/{number}").as_bytes()));
                    }
                })
            })
            .collect();
        for core in cores {
            core.join().unwrap();
        }
        writer.finish();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1500);
        for number in [0, 250, 499] {
            assert!(text.contains(&format!(" | path=/2/{number} | ")));
        }
    }

    /// Takes lines only when it is told to.
    struct Gate {
        open: Receiver<io::Result<()>>,
        entered: mpsc::Sender<()>,
        written: Arc<Mutex<String>>,
    }

    impl Output for Gate {
        fn write(&mut self, lines: &[u8]) -> io::Result<()> {
            let _ = self.entered.send(());
            // A gate whose keeper is gone stands open.
            self.open.recv().unwrap_or(Ok(()))?;
            let text = std::str::from_utf8(lines).unwrap();
            self.written.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    struct Keeper {
        writer: Writer,
        open: mpsc::Sender<io::Result<()>>,
        entered: Receiver<()>,
        written: Arc<Mutex<String>>,
    }

    fn gate() -> Keeper {
        let (open, opened) = mpsc::channel();
        let (enter, entered) = mpsc::channel();
        let written = Arc::new(Mutex::new(String::new()));
        let output = Gate {
            open: opened,
            entered: enter,
            written: Arc::clone(&written),
        };
        let writer = Writer::over(output, &Options::default()).unwrap();
        Keeper {
            writer,
            open,
            entered,
            written,
        }
    }

    #[test]
    fn a_disk_that_cannot_follow_costs_lines_but_no_time() {
        let Keeper {
            writer,
            open,
            written,
            ..
        } = gate();
        let sink = writer.sink();
        let path = [b'x'; 4000];
        let total = 3 * QUEUE * BUFFER / path.len();
        for _ in 0..total {
            sink.write(&record(&path));
        }
        sink.flush();
        drop(open);
        drop(sink);
        writer.finish();
        let text = written.lock().unwrap();
        let kept = text.matches("REQUEST").count();
        let dropped: usize = text
            .lines()
            .filter_map(|line| line.strip_prefix("[WARN] DREAM_SERVER DROPPED | lines="))
            .map(|rest| rest.split(' ').next().unwrap().parse::<usize>().unwrap())
            .sum();
        assert!(dropped > 0);
        assert_eq!(kept + dropped, total);
    }

    #[test]
    fn lines_of_a_failed_write_are_counted_and_reported_once_it_works() {
        let Keeper {
            writer,
            open,
            entered,
            written,
        } = gate();
        let sink = writer.sink();
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        for result in [full(), full(), Ok(())] {
            sink.write(&record(b"/a"));
            sink.write(&record(b"/b"));
            sink.flush();
            entered.recv().unwrap();
            open.send(result).unwrap();
        }
        drop(open);
        drop(sink);
        writer.finish();
        let text = written.lock().unwrap();
        assert_eq!(text.matches("REQUEST").count(), 2);
        assert!(
            text.contains("[WARN] DREAM_SERVER DROPPED | lines=4 | time="),
            "{text}"
        );
    }

    #[test]
    fn events_stand_between_the_lines_and_count_for_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.log");
        let mut options = to_file(path.clone());
        options.max_size = Options::MIN_SIZE;
        let writer = Writer::start(&options).unwrap();
        let sink = writer.sink();
        sink.write(&record(b"/before"));
        sink.flush();
        let mut events = writer.events().unwrap();
        let event = format!("[INFO] {}\n", "x".repeat(1000));
        // More than one file holds, and fewer than the queue does.
        for _ in 0..QUEUE - 20 {
            events.write_all(event.as_bytes()).unwrap();
        }
        sink.write(&record(b"/after"));
        drop(sink);
        writer.finish();
        let old = fs::read_to_string(folder.path().join("core.log.1")).unwrap();
        assert!(old.contains("path=/before") && old.ends_with("x\n"));
        let new = fs::read_to_string(&path).unwrap();
        assert!(new.starts_with("[INFO] x") && new.contains("path=/after"));
        assert!(old.len() as u64 <= Options::MIN_SIZE / 10);
        // Nobody reads the queue any more, and nobody is harmed.
        events.write_all(b"too late\n").unwrap();
    }

    #[test]
    fn reopening_makes_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (
            folder.path().join("access.log"),
            folder.path().join("moved"),
        );
        let writer = Writer::start(&to_file(path.clone())).unwrap();
        fs::rename(&path, &moved).unwrap();
        writer.reopen();
        let sink = writer.sink();
        sink.write(&record(b"/new"));
        drop(sink);
        writer.finish();
        assert!(fs::read_to_string(&path).unwrap().contains("path=/new"));
        assert_eq!(fs::read_to_string(&moved).unwrap(), "");
    }

    #[test]
    fn off_writes_nothing_and_bad_targets_are_told_at_the_start() {
        let off = Options {
            target: Target::Off,
            ..Options::default()
        };
        let writer = Writer::start(&off).unwrap();
        writer.sink().write(&record(b"/"));
        writer.reopen();
        let small = Options {
            max_size: 1000,
            ..to_file("/dev/null".into())
        };
        assert!(Writer::start(&small).is_err());
        assert!(Writer::start(&to_file("/dev/null/access.log".into())).is_err());
    }
}
