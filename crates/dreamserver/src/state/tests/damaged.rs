//! Files in which something was changed behind our back.

use dream_testkit::Random;
use std::collections::BTreeMap;

use super::{Model, Table, removed, set, table};
use crate::state::simulated::{Faults, Simulated};
use crate::state::{Entry, OpenError, Process, Reason, Recovered, Store, Target};

type Files = BTreeMap<String, Vec<u8>>;

/// A small state with two checkpoints, and journals before, between and after them.
struct Small {
    files: Files,
    table: Table,
    /// What each domain was set to at some time.
    history: BTreeMap<String, Vec<Entry>>,
}

impl Small {
    fn new() -> Small {
        let mut small = Small {
            files: Files::new(),
            table: Table::new(),
            history: BTreeMap::new(),
        };
        let mut model = Model::new(Simulated::new(3));
        assert!(model.open());
        small.commit(&mut model, &[set("a.example", 1), set("b.example", 2)]);
        small.compact(&mut model);
        small.commit(
            &mut model,
            &[set("b.example", 3), set("c.example", 4), rich("d.example")],
        );
        small.commit(&mut model, &[set("e.example", 5)]);
        small.compact(&mut model);
        small.commit(
            &mut model,
            &[removed("c.example"), set("f.example", 6), rich("g.example")],
        );
        // Written, but not synced: the caller is told that it was refused.
        model.disk.fail(Faults::At(model.disk.calls() + 1));
        assert!(!model.commit(&[set("refused.example", 7), set("a.example", 7)]));
        small.commit(&mut model, &[set("e.example", 8), set("h.example", 9)]);
        small.files = model.disk.files();
        small.table = model.table;
        small
    }

    fn commit(&mut self, model: &mut Model, changes: &[(String, Option<Entry>)]) {
        assert!(model.commit(changes));
        for (name, entry) in changes {
            let history = self.history.entry(name.clone()).or_default();
            history.extend(entry.clone());
        }
    }

    fn compact(&mut self, model: &mut Model) {
        model.begin_compaction();
        model.write_compaction();
        model.finish_compaction();
    }

    fn newest(&self, kind: &str) -> String {
        let mut names = self.files.keys().rev();
        names.find(|name| name.starts_with(kind)).unwrap().clone()
    }

    /// The names of the domains that are not as they were; whatever they are now, they have been.
    fn differing(&self, recovered: &Recovered) -> Vec<&str> {
        let mut differing = Vec::new();
        let entries = table(recovered);
        for name in entries.keys() {
            assert!(self.history.contains_key(name), "{name} is invented");
        }
        for (name, history) in &self.history {
            let found = entries.get(name);
            assert!(
                found.is_none_or(|entry| history.contains(entry)),
                "{name} is {found:?}"
            );
            if found != self.table.get(name) {
                differing.push(name.as_str());
            }
        }
        differing
    }
}

fn rich(name: &str) -> (String, Option<Entry>) {
    let entry = Entry {
        port: 5665,
        host: Some([192, 0, 2, 1].into()),
        from: Some(Box::new(Target {
            host: None,
            port: 5664,
        })),
        owner: Some(1000),
        check: Some("/is it well?".into()),
        until: Some(1_763_757_600),
        process: Some(Process {
            pid: 4711,
            started: 99_887_766,
        }),
        since: None,
    };
    (name.to_owned(), Some(entry))
}

fn open(files: &Files) -> Recovered {
    let (_, recovered) = Store::open(Simulated::with(files)).unwrap();
    recovered
}

/// Opens the state once for each way in which a byte of the file may be changed.
fn flip(files: &Files, name: &str, mut judge: impl FnMut(&Recovered, &str)) {
    let bytes = &files[name];
    for (at, &byte) in bytes.iter().enumerate() {
        let others = [
            byte ^ 1,
            byte ^ 2,
            byte ^ 0x20,
            byte ^ 0x80,
            !byte,
            b'\n',
            b' ',
            b'+',
            b'0',
            b'9',
            0,
        ];
        for other in others.into_iter().filter(|other| *other != byte) {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] = other;
            judge(&open(&files), &format!("{name}: byte {at} is {other}"));
        }
    }
}

#[test]
fn a_flipped_byte_of_the_checkpoint_costs_nothing() {
    let small = Small::new();
    flip(
        &small.files,
        &small.newest("checkpoint"),
        |recovered, place| {
            assert!(small.differing(recovered).is_empty(), "{place}");
            assert!(!recovered.damaged.is_empty(), "{place}");
        },
    );
}

#[test]
fn without_an_older_generation_it_costs_one_entry() {
    let mut small = Small::new();
    let newest = small.newest("checkpoint");
    let generation = newest.split_once('-').unwrap().1.to_owned();
    small.files.retain(|name, _| {
        name.split_once('-')
            .is_some_and(|(_, other)| *other >= *generation)
    });
    assert!(small.differing(&open(&small.files)).is_empty());
    flip(&small.files, &newest, |recovered, place| {
        assert!(
            small.differing(recovered).len() <= 1,
            "{place}: {:?}",
            small.differing(recovered)
        );
        assert!(!recovered.damaged.is_empty(), "{place}");
    });
}

#[test]
fn a_flipped_byte_of_a_journal_costs_one_change() {
    let small = Small::new();
    let newest = small.newest("checkpoint").replace("checkpoint", "journal");
    let read: Vec<&String> = small.files.keys().filter(|name| **name >= newest).collect();
    assert_eq!(read.len(), 2);
    for name in read {
        flip(&small.files, name, |recovered, place| {
            assert!(
                small.differing(recovered).len() <= 1,
                "{place}: {:?}",
                small.differing(recovered)
            );
            assert!(!recovered.damaged.is_empty(), "{place}");
        });
    }
}

#[test]
fn a_cut_checkpoint_costs_nothing() {
    let small = Small::new();
    let newest = small.newest("checkpoint");
    for length in 0..small.files[&newest].len() - 1 {
        let mut files = small.files.clone();
        files.get_mut(&newest).unwrap().truncate(length);
        let recovered = open(&files);
        assert!(small.differing(&recovered).is_empty(), "{length}");
        assert!(!recovered.damaged.is_empty(), "{length}");
    }
}

#[test]
fn a_cut_journal_is_what_a_crash_leaves() {
    let small = Small::new();
    let newest = small.newest("journal");
    for length in 0..small.files[&newest].len() {
        let mut files = small.files.clone();
        files.get_mut(&newest).unwrap().truncate(length);
        let recovered = open(&files);
        // Without its first line nothing says that the commit before was refused.
        let header = small.files[&newest].iter().position(|byte| *byte == b'\n');
        if length >= header.unwrap() {
            assert!(small.differing(&recovered).len() <= 2, "{length}");
        }
        assert!(
            recovered.damaged.is_empty(),
            "{length}: {:?}",
            recovered.damaged
        );
    }
}

/// Whatever is done to the files: no entry is found that there never was, and none is found twice.
#[test]
fn ruins_invent_nothing() {
    let mut small = Small::new();
    for (name, port) in [("refused.example", 7), ("a.example", 7)] {
        let history = small.history.entry(name.to_owned()).or_default();
        history.push(Entry::on_port(port));
    }
    let mut random = Random::new(1);
    for _ in 0..3000 {
        let mut files = small.files.clone();
        for _ in 0..=random.below(4) {
            let name = files.keys().nth(random.below(files.len())).unwrap().clone();
            let bytes = files.get_mut(&name).unwrap();
            ruin(bytes, &mut random);
            if random.below(8) == 0 {
                files.remove(&name);
            }
        }
        small.differing(&open(&files));
    }
}

/// Overwrites, removes, repeats or moves some bytes.
fn ruin(bytes: &mut Vec<u8>, random: &mut Random) {
    let start = random.below(bytes.len());
    let end = start + random.below(bytes.len() - start + 1);
    match random.below(4) {
        0 => bytes[start..end].fill_with(|| random.number() as u8),
        1 => drop(bytes.drain(start..end)),
        2 => bytes.extend_from_within(start..end),
        _ => bytes.rotate_left(start),
    }
}

#[test]
fn a_lost_file_is_reported() {
    let mut small = Small::new();
    let lost = small.newest("checkpoint").replace("checkpoint", "journal");
    small.files.remove(&lost);
    let recovered = open(&small.files);
    let reasons: Vec<Reason> = recovered
        .damaged
        .iter()
        .map(|damage| damage.reason)
        .collect();
    assert_eq!(reasons, [Reason::Missing(7, 9)]);
}

#[test]
fn damage_is_set_aside_once_and_mended_by_a_checkpoint() {
    let small = Small::new();
    let mut files = small.files.clone();
    let name = small.newest("journal");
    let bytes = files.get_mut(&name).unwrap();
    let last = bytes.len() - 12;
    bytes[last] ^= 1;
    let disk = Simulated::with(&files);
    for _ in 0..3 {
        let (store, recovered) = Store::open(disk.clone()).unwrap();
        assert_eq!(recovered.damaged.len(), 1);
        assert!(store.needs_compaction());
    }
    let list = String::from_utf8(disk.files()["damaged.txt"].clone()).unwrap();
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(
        list.starts_with(&format!(
            "{name}:3: the checksum does not match: 11 set h.example"
        )),
        "{list}"
    );

    let (mut store, recovered) = Store::open(disk.clone()).unwrap();
    store.compact(recovered.entries.iter()).unwrap();
    assert!(!store.needs_compaction());
    let (_, again) = Store::open(disk).unwrap();
    assert_eq!(table(&again), table(&recovered));
    assert!(again.damaged.is_empty());
}

#[test]
fn a_later_format_is_left_alone() {
    let small = Small::new();
    let name = small.newest("journal");
    let generation = name["journal-".len()..]
        .trim_end_matches(".txt")
        .parse()
        .unwrap();
    let mut header = b"dreamserver journal 2 whatever that means".to_vec();
    crate::state::line::seal(&mut header, 0, generation);
    let mut files = small.files.clone();
    files.insert(name.clone(), header);
    let disk = Simulated::with(&files);
    let error = Store::open(disk.clone()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Newer { file, version: 2 } if *file == name),
        "{error}"
    );
    assert_eq!(disk.files(), files);
}
