//! The state on a real disk: processes that are killed, a disk that is full, and a million domains.

#![expect(
    clippy::unwrap_used,
    reason = "in a test the panic is the report; clippy knows only the functions that are tests themselves"
)]

use dream_testkit::{Random, eventually};
use dreamserver::inside::state::{Change, Entry, Folder, Recovered, Store};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::hint;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

type Entries = HashMap<Box<str>, Entry>;

/// A server that is killed again and again: what it has acknowledged is found. `DREAM_ROUNDS` says how often.
#[test]
fn a_killed_server_has_lost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk {
        folder: folder.path().into(),
    };
    let mut random = Random::new(u64::from(std::process::id()));
    for round in 1..=rounds() {
        let before = desk.acknowledged();
        let mut server = desk.start("endless", &[]);
        let some = before + 1 + random.below(60) as u64;
        eventually("commits are acknowledged", || desk.acknowledged() >= some);
        spin(Duration::from_micros(random.below(3000) as u64));
        server.kill().unwrap();
        server.wait().unwrap();
        desk.check(&format!("round {round}"));
    }
}

/// A file may not grow beyond some size: what a commit meets then is what it meets on a full disk.
#[test]
fn a_full_disk_refuses_a_commit_and_takes_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk {
        folder: folder.path().into(),
    };
    let limit = r#"trap "" XFSZ; ulimit -f 16; exec "$0" "$@""#;
    let mut server = desk.start("refused", &["sh", "-c", limit]);
    assert!(server.wait().unwrap().success());
    desk.check("after the refusal");
}

/// A million in a release build; a debug build does a tenth of it.
#[test]
fn a_million_domains_are_opened() {
    let count = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let folder = tempfile::tempdir().unwrap();
    let mut all = Entries::default();
    for number in 0..count {
        let mut entry = Entry::on_port(5665);
        entry.owner = Some(1000);
        entry.until = Some(1_763_757_600 + number);
        all.insert(format!("{number}.customers.example.com").into(), entry);
    }
    let open = || Store::open(Folder::open(folder.path()).unwrap()).unwrap();
    let (mut store, _) = open();
    let start = Instant::now();
    store
        .compact(all.iter().map(|(name, entry)| (&**name, entry)))
        .unwrap();
    eprintln!("written in {:?}", start.elapsed());
    drop(store);

    let start = Instant::now();
    let (mut store, recovered) = open();
    eprintln!("opened in {:?}", start.elapsed());
    assert_eq!(recovered.damaged, []);
    assert_eq!(recovered.entries.iter().count(), all.len());
    assert!(
        recovered
            .entries
            .iter()
            .all(|(name, entry)| all.get(name) == Some(&entry))
    );

    let start = Instant::now();
    let commits = 100;
    for port in 1..=commits {
        store
            .commit(&[Change::Set("example.com", &Entry::on_port(port))])
            .unwrap();
    }
    eprintln!("a commit in {:?}", start.elapsed() / u32::from(commits));
}

/// This is the server that the other tests start.
#[test]
fn serve_for_another_test() {
    let Ok(mode) = std::env::var(MODE) else {
        return;
    };
    let desk = Desk {
        folder: std::env::var_os(DESK).unwrap().into(),
    };
    let (mut store, recovered) = Store::open(Folder::open(&desk.state()).unwrap()).unwrap();
    let mut entries: Entries = table(&recovered);
    let mut diary = desk.diary();
    let mut refused = None;
    for number in done(&entries) + 1.. {
        let batch = batch(number);
        if let Err(error) = store.commit(&batch.changes()) {
            assert_eq!(mode, "refused", "{error}");
            refused = Some(number);
            store.commit(&batch.changes()).unwrap();
        }
        batch.apply(&mut entries);
        diary.write_all(format!("{number}\n").as_bytes()).unwrap();
        if number % 50 == 0 {
            compact(&mut store, &entries);
        }
        if refused.is_some_and(|refused| number > refused + 10) {
            return;
        }
    }
}

fn table(recovered: &Recovered) -> Entries {
    let entries = recovered.entries.iter();
    entries.map(|(name, entry)| (name.into(), entry)).collect()
}

/// Writes all entries on another thread; a commit comes in between.
fn compact(store: &mut Store, entries: &Entries) {
    let compaction = store.begin_compaction().unwrap();
    let copy = entries.clone();
    let writing =
        thread::spawn(move || compaction.write(copy.iter().map(|(name, entry)| (&**name, entry))));
    store.commit(&[Change::Remove("nobody.example")]).unwrap();
    if let Ok(compacted) = writing.join().unwrap() {
        store.finish_compaction(compacted);
    }
}

/// The changes of one commit, which its number determines.
struct Batch(Vec<(String, Option<Entry>)>);

fn batch(number: u64) -> Batch {
    let mut changes = Vec::new();
    for part in 0..1 + number % 4 {
        let mut entry = Entry::on_port(number as u16);
        entry.check = Some("x".repeat((number % 90) as usize).into());
        changes.push((format!("{}.example", (number + part) % 97), Some(entry)));
    }
    if number.is_multiple_of(3) {
        changes.push((format!("{}.example", number % 89), None));
    }
    let mut last = Entry::on_port(1);
    last.until = Some(number);
    changes.push((LAST.to_owned(), Some(last)));
    Batch(changes)
}

impl Batch {
    fn changes(&self) -> Vec<Change<'_>> {
        let changes = self.0.iter();
        changes
            .map(|(name, entry)| Change::new(name, entry.as_ref()))
            .collect()
    }

    fn apply(&self, entries: &mut Entries) {
        for (name, entry) in &self.0 {
            match entry {
                Some(entry) => entries.insert(name.as_str().into(), entry.clone()),
                None => entries.remove(name.as_str()),
            };
        }
    }
}

/// The number of the last commit that is in the entries as a whole.
fn done(entries: &Entries) -> u64 {
    entries.get(LAST).and_then(|entry| entry.until).unwrap_or(0)
}

/// What the server of a test shares with the test.
struct Desk {
    folder: PathBuf,
}

impl Desk {
    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The numbers of the commits that were acknowledged.
    fn diary(&self) -> File {
        let path = self.folder.join("diary");
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
    }

    fn acknowledged(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join("diary")).unwrap_or_default();
        let last = text.lines().next_back();
        last.map_or(0, |line| line.parse().unwrap())
    }

    /// Starts this very program as a server, by way of `wrapper`.
    fn start(&self, mode: &str, wrapper: &[&str]) -> Child {
        let program = std::env::current_exe().unwrap();
        let mut words = wrapper.iter().map(OsStr::new).chain([program.as_os_str()]);
        Command::new(words.next().unwrap())
            .args(words)
            .args(["--exact", "serve_for_another_test", "--nocapture"])
            .env(MODE, mode)
            .env(DESK, &self.folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Everything that was acknowledged is there. Of the next commit each change may be there or not.
    fn check(&self, when: &str) {
        let folder = Folder::open(&self.state()).unwrap();
        let (_, recovered) = Store::open(folder).unwrap();
        assert_eq!(recovered.damaged, [], "{when}");
        let acknowledged = self.acknowledged();
        let mut expected = Entries::default();
        (1..=acknowledged).for_each(|number| batch(number).apply(&mut expected));
        let next = batch(acknowledged + 1);
        let entries: Entries = table(&recovered);
        let names: BTreeSet<&Box<str>> = entries.keys().chain(expected.keys()).collect();
        for name in names {
            let found = entries.get(name);
            let changed = |(changed, entry): &(String, Option<Entry>)| {
                **changed == **name && entry.as_ref() == found
            };
            let right = found == expected.get(name) || next.0.iter().any(changed);
            assert!(
                right,
                "{when}: {name} is {found:?} after {acknowledged} commits"
            );
        }
    }
}

/// Waits so short that a sleep would be longer.
fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        hint::spin_loop();
    }
}

fn rounds() -> u64 {
    let rounds = std::env::var("DREAM_ROUNDS").ok();
    rounds.map_or(20, |rounds| rounds.parse().unwrap())
}

/// The domain whose entry says how far the server has come.
const LAST: &str = "last.example";

/// What the server is told: whether a commit may be refused.
const MODE: &str = "DREAM_STATE_MODE";

/// Where its folder is.
const DESK: &str = "DREAM_STATE_DESK";
