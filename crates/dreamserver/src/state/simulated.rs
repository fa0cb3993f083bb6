//! A disk in memory that fails when it is told to, and that forgets on a loss of power whatever was not synced: all of it,
//! or any part.

use dream_testkit::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::mem;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile};

/// The disk; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Simulated {
    state: Arc<Mutex<State>>,
    /// Whoever has this one waits for his turn before each call.
    turns: Option<Arc<Turns>>,
}

/// Says when the thread with the other end may call the disk, so that a test knows what happens in which order.
#[derive(Debug)]
pub(super) struct Baton {
    next: Sender<()>,
    waits: Receiver<()>,
}

#[derive(Debug)]
struct Turns {
    next: Mutex<Receiver<()>>,
    waits: Sender<()>,
}

/// A file that is written.
#[derive(Debug)]
pub(super) struct SimulatedFile {
    disk: Simulated,
    content: usize,
    /// Where the next write goes.
    at: usize,
    cut: bool,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    /// So many of a thousand.
    Some(usize),
    /// The call with this number, once.
    At(u64),
    /// At the call with this number the process dies: all fail until the next one begins.
    Death(u64),
}

/// How much of what was not synced is there after a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survives {
    Nothing,
    Anything,
    Everything,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// Bytes that the disk writes at once.
    sector: usize,
    contents: Vec<Content>,
    names: Names,
    /// As they are on the disk.
    kept_names: Names,
    /// What happened to names since, in order.
    pending: Vec<Naming>,
    failed_syncs: u64,
    faults: Faults,
    dead: bool,
    calls: u64,
}

type Names = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
enum Naming {
    Put(String, usize),
    Gone(String),
    Moved(String, String, usize),
}

/// The bytes of a file.
#[derive(Debug, Default)]
struct Content {
    /// As the system sees them.
    seen: Vec<u8>,
    /// As they are on the disk, without its length.
    kept: Vec<u8>,
    kept_length: usize,
    /// Sectors that a sync will write.
    dirty: BTreeSet<usize>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    Fails,
    /// Nobody learns whether it worked.
    Dies,
    /// The process was dead already.
    Never,
}

impl Simulated {
    /// An empty disk.
    pub(super) fn new(seed: u64) -> Simulated {
        let mut random = Random::new(seed);
        let sector = *random.pick(&[1, 7, 16, 64, 512]);
        let state = State {
            random,
            sector,
            contents: Vec::new(),
            names: Names::new(),
            kept_names: Names::new(),
            pending: Vec::new(),
            failed_syncs: 0,
            faults: Faults::None,
            dead: false,
            calls: 0,
        };
        Simulated {
            state: Arc::new(Mutex::new(state)),
            turns: None,
        }
    }

    /// The same disk for a thread that calls it when the baton says so.
    pub(super) fn in_turns(&self) -> (Simulated, Baton) {
        let ((next, is_next), (waits, is_waiting)) = (channel(), channel());
        let turns = Turns {
            next: Mutex::new(is_next),
            waits,
        };
        let disk = Simulated {
            state: self.state.clone(),
            turns: Some(Arc::new(turns)),
        };
        let waits = is_waiting;
        (disk, Baton { next, waits })
    }

    /// A disk with these files on it.
    pub(super) fn with(files: &BTreeMap<String, Vec<u8>>) -> Simulated {
        let disk = Simulated::new(0);
        for (name, bytes) in files {
            let mut file = disk.create(name).unwrap();
            file.write_all(bytes).unwrap();
            file.sync().unwrap();
        }
        disk.sync().unwrap();
        disk
    }

    /// All files, as the system sees them.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let bytes = |(name, content): (&String, &usize)| {
            (name.clone(), state.contents[*content].seen.clone())
        };
        state.names.iter().map(bytes).collect()
    }

    pub(super) fn fail(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The process ends, if it did not yet, and another one begins.
    pub(super) fn restart(&self) {
        self.state().dead = false;
    }

    /// The machine ends, and begins anew.
    pub(super) fn lose_power(&self, survives: Survives) {
        self.restart();
        self.state().lose_power(survives);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        if let Some(turns) = &self.turns {
            turns.wait();
        }
        self.state.lock().unwrap()
    }
}

impl Baton {
    /// Waits until the thread wants to call; tells whether it ever will.
    pub(super) fn is_wanted(&self) -> bool {
        self.waits.recv().is_ok()
    }

    /// Lets it call once, and waits until it wants to call again; tells whether it ever will.
    pub(super) fn pass(&self) -> bool {
        self.next.send(()).unwrap();
        self.is_wanted()
    }
}

impl Turns {
    /// Without the baton the process has ended, and with it this thread.
    fn wait(&self) {
        let _ = self.waits.send(());
        if self.next.lock().unwrap().recv().is_err() {
            resume_unwind(Box::new("the process has ended"));
        }
    }
}

impl State {
    /// Each call of the system begins here. Now and then the disk gets something written that nobody has synced.
    fn fate(&mut self) -> Fate {
        if self.dead {
            return Fate::Never;
        }
        if self.random.below(8) == 0 {
            self.write_back();
        }
        let call = self.calls;
        self.calls += 1;
        match self.faults {
            Faults::Some(of_thousand) if self.random.below(1000) < of_thousand => Fate::Fails,
            Faults::At(at) if at == call => Fate::Fails,
            Faults::Death(at) if at == call => {
                self.dead = true;
                Fate::Dies
            }
            _ => Fate::Works,
        }
    }

    /// A call that only looks.
    fn look(&mut self) -> io::Result<()> {
        match self.fate() {
            Fate::Works => Ok(()),
            Fate::Fails | Fate::Dies | Fate::Never => Err(broken()),
        }
    }

    /// A call that changes a name.
    fn name(&mut self, naming: Naming) -> io::Result<()> {
        let fate = self.fate();
        let happens = match fate {
            Fate::Works => true,
            Fate::Dies => self.random.below(2) == 0,
            Fate::Fails | Fate::Never => false,
        };
        if happens {
            naming.apply(&mut self.names);
            self.pending.push(naming);
        }
        match fate {
            Fate::Works => Ok(()),
            _ => Err(broken()),
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        match self.fate() {
            Fate::Works => {
                let pending = mem::take(&mut self.pending);
                pending
                    .iter()
                    .for_each(|naming| naming.apply(&mut self.kept_names));
                Ok(())
            }
            Fate::Fails => {
                self.failed_syncs += 1;
                self.keep_some_names();
                Err(broken())
            }
            Fate::Dies | Fate::Never => Err(broken()),
        }
    }

    /// Some of the pending changes are kept, and often the others are as good as synced: no later sync will keep them.
    fn keep_some_names(&mut self) {
        let forgets = self.random.below(2) == 0;
        for naming in mem::take(&mut self.pending) {
            match self.random.below(2) {
                0 => naming.apply(&mut self.kept_names),
                _ if forgets => {}
                _ => self.pending.push(naming),
            }
        }
    }

    /// A failed write may have left some of the bytes, too.
    fn write(&mut self, content: usize, at: usize, bytes: &[u8]) -> io::Result<usize> {
        let part = self.random.below(bytes.len() + 1);
        let short = self.random.below(16) == 0 && part > 0;
        let fate = self.fate();
        let length = match fate {
            Fate::Works if !short => bytes.len(),
            Fate::Never => 0,
            Fate::Works | Fate::Fails | Fate::Dies => part,
        };
        self.contents[content].write(at, &bytes[..length], self.sector);
        match fate {
            Fate::Works => Ok(length),
            _ => Err(broken()),
        }
    }

    fn sync(&mut self, content: usize) -> io::Result<()> {
        let forgets = self.random.below(2) == 0;
        let fate = self.fate();
        let (random, sector) = (&mut self.random, self.sector);
        let content = &mut self.contents[content];
        match fate {
            Fate::Works => content.keep_all(sector),
            Fate::Fails => {
                content.keep_some(random, sector);
                if forgets {
                    content.dirty.clear();
                }
            }
            Fate::Dies | Fate::Never => {}
        }
        match fate {
            Fate::Works => Ok(()),
            _ => Err(broken()),
        }
    }

    fn write_back(&mut self) {
        if self.random.below(2) == 0 && !self.pending.is_empty() {
            let first = self.pending.remove(0);
            first.apply(&mut self.kept_names);
        }
        if !self.contents.is_empty() {
            let content = self.random.below(self.contents.len());
            self.contents[content].keep_some(&mut self.random, self.sector);
        }
    }

    fn lose_power(&mut self, survives: Survives) {
        for naming in mem::take(&mut self.pending) {
            let kept = match survives {
                Survives::Nothing => false,
                Survives::Anything => self.random.below(2) == 0,
                Survives::Everything => true,
            };
            if kept {
                naming.apply(&mut self.kept_names);
            }
        }
        self.names = self.kept_names.clone();
        for content in &mut self.contents {
            match survives {
                Survives::Nothing => {}
                Survives::Anything => content.keep_some(&mut self.random, self.sector),
                Survives::Everything => content.keep_all(self.sector),
            }
            content.lose_power();
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Naming::Put(name, content) => {
                names.insert(name.clone(), *content);
            }
            Naming::Gone(name) => {
                names.remove(name);
            }
            Naming::Moved(from, to, content) => {
                names.remove(from);
                names.insert(to.clone(), *content);
            }
        }
    }
}

impl Content {
    fn write(&mut self, at: usize, bytes: &[u8], sector: usize) {
        let end = at + bytes.len();
        let length = self.seen.len().max(end);
        self.seen.resize(length, 0);
        self.seen[at..end].copy_from_slice(bytes);
        if at < end {
            self.dirty.extend(at / sector..=(end - 1) / sector);
        }
    }

    fn keep_all(&mut self, sector: usize) {
        for index in mem::take(&mut self.dirty) {
            self.keep(index, sector);
        }
        self.keep_length(self.seen.len());
    }

    /// Any of the sectors, and any length on the way to the present one.
    fn keep_some(&mut self, random: &mut Random, sector: usize) {
        let density = 1 + random.below(4);
        let picked: Vec<usize> = self.dirty.iter().copied().collect();
        for index in picked {
            if random.below(density) == 0 {
                self.keep(index, sector);
            }
        }
        let (one, other) = (self.kept_length, self.seen.len());
        let distance = random.below(one.abs_diff(other) + 1);
        let length = match random.below(3) {
            0 => one,
            1 => other,
            _ if one < other => one + distance,
            _ => one - distance,
        };
        self.keep_length(length);
    }

    fn keep(&mut self, index: usize, sector: usize) {
        let start = index * sector;
        let end = self.seen.len().min(start + sector);
        if start < end {
            let length = self.kept.len().max(end);
            self.kept.resize(length, 0);
            self.kept[start..end].copy_from_slice(&self.seen[start..end]);
        }
    }

    fn keep_length(&mut self, length: usize) {
        if length < self.kept_length {
            self.kept.truncate(length);
        }
        self.kept_length = length;
    }

    fn lose_power(&mut self) {
        self.kept.resize(self.kept_length, 0);
        self.seen = self.kept.clone();
        self.dirty.clear();
    }
}

impl Disk for Simulated {
    type File = SimulatedFile;

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = state.contents.len();
        state.contents.push(Content::default());
        state.name(Naming::Put(name.to_owned(), content))?;
        Ok(SimulatedFile {
            disk: self.clone(),
            content,
            at: 0,
            cut: false,
        })
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.look()?;
        let content = state.content(name)?;
        Ok(state.contents[content].seen.clone())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let content = state.content(from)?;
        state.name(Naming::Moved(from.to_owned(), to.to_owned(), content))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.content(name)?;
        state.name(Naming::Gone(name.to_owned()))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.look()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        self.state().sync_names()
    }

    fn failed_syncs(&self) -> u64 {
        self.state().failed_syncs
    }
}

impl State {
    fn content(&self, name: &str) -> io::Result<usize> {
        let content = self.names.get(name).copied();
        content.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Write for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.cut, "a file that was cut is written again");
        let length = self.disk.state().write(self.content, self.at, bytes)?;
        self.at += length;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.state().sync(self.content)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.cut = true;
        let mut state = self.disk.state();
        let length = usize::try_from(length).unwrap();
        state.look()?;
        state.contents[self.content].seen.truncate(length);
        Ok(())
    }
}

fn broken() -> io::Error {
    io::Error::other("the simulated disk fails")
}

/// The simulation itself: a test that sees every loss is worth what its disk loses.
#[test]
fn what_was_synced_stays_and_the_rest_may_go() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = Simulated::new(seed);
        let mut file = disk.create("file").unwrap();
        file.write_all(b"synced").unwrap();
        file.sync().unwrap();
        disk.sync().unwrap();
        file.write_all(b", not synced").unwrap();
        disk.create("other").unwrap();
        disk.lose_power(Survives::Anything);
        let files = disk.files();
        assert!(files["file"].starts_with(b"synced"));
        seen.insert((files["file"].len(), files.len()));
    }
    let all = [(6, 1), (6, 2), (18, 1), (18, 2)];
    assert!(all.iter().all(|state| seen.contains(state)), "{seen:?}");
}
