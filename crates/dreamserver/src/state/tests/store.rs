//! What the store promises besides.

use super::{Model, set};
use crate::state::simulated::{Faults, Simulated};
use crate::state::{Change, Entry, Store};
use std::io;

#[test]
fn what_could_not_be_read_again_is_refused() {
    let (mut store, _) = Store::open(Simulated::new(1)).unwrap();
    let entry = Entry::on_port(1);
    for name in ["", "Example.com", "a b", "a\nb"] {
        let changes = [Change::Set("example.com", &entry), Change::Remove(name)];
        let error = store.commit(&changes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = store.compact([(name, &entry)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let (_, recovered) = Store::open(store.disk().clone()).unwrap();
    assert_eq!(recovered.entries.iter().count(), 0);
}

#[test]
fn two_generations_are_kept() {
    let mut model = Model::new(Simulated::new(1));
    assert!(model.open());
    for port in 1..6 {
        assert!(model.commit(&[set("example.com", port)]));
        model.begin_compaction();
        model.write_compaction();
        model.finish_compaction();
    }
    let names: Vec<String> = model.disk.files().into_keys().collect();
    let expected = [
        "checkpoint-00000005.txt",
        "checkpoint-00000006.txt",
        "journal-00000005.txt",
        "journal-00000006.txt",
    ];
    assert_eq!(names, expected);
}

#[test]
fn one_compaction_at_a_time() {
    let (mut store, _) = Store::open(Simulated::new(1)).unwrap();
    let running = store.begin_compaction().unwrap();
    let error = store.begin_compaction().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    drop(running);
    let compaction = store.begin_compaction().unwrap();
    store.finish_compaction(compaction.write(NOTHING).unwrap());
    store.begin_compaction().unwrap();
}

#[test]
fn much_to_read_asks_for_a_checkpoint() {
    let (mut store, _) = Store::open(Simulated::new(1)).unwrap();
    let mut entry = Entry::on_port(1);
    entry.check = Some("x".repeat(4000).into());
    let mut commits = 0;
    while !store.needs_compaction() {
        store
            .commit(&[Change::Set("example.com", &entry); 10])
            .unwrap();
        commits += 1;
    }
    assert_eq!(commits, 26, "1 MiB");
    let compaction = store.begin_compaction().unwrap();
    assert!(!store.needs_compaction(), "one is running");
    store.finish_compaction(compaction.write(NOTHING).unwrap());
    assert!(!store.needs_compaction());
}

#[test]
fn many_starts_ask_for_a_checkpoint() {
    let disk = Simulated::new(1);
    let opened = |_| Store::open(disk.clone()).unwrap().0;
    let asks = (0..10)
        .map(opened)
        .position(|store| store.needs_compaction());
    assert_eq!(asks, Some(8));
}

#[test]
fn a_failed_sync_asks_for_a_checkpoint() {
    let mut model = Model::new(Simulated::new(1));
    assert!(model.open());
    model.disk.fail(Faults::At(model.disk.calls() + 1));
    assert!(!model.commit(&[set("example.com", 1)]));
    assert!(model.store.as_ref().unwrap().needs_compaction());
    assert!(model.commit(&[set("example.com", 2)]));
    model.begin_compaction();
    model.write_compaction();
    model.finish_compaction();
    assert!(!model.store.as_ref().unwrap().needs_compaction());
    model.conclude();
}

#[test]
fn a_full_disk_serves_what_it_has() {
    let mut model = Model::new(Simulated::new(1));
    assert!(model.open());
    assert!(model.commit(&[set("example.com", 1)]));
    model.crash(None);
    let (mut store, recovered) = {
        let reads = 2;
        model.disk.fail(Faults::At(model.disk.calls() + reads));
        Store::open(model.disk.clone()).unwrap()
    };
    assert_eq!(recovered.entries.iter().count(), 1);
    model.disk.fail(Faults::Some(1000));
    assert!(
        store.commit(&[]).is_err(),
        "nobody knows whether it is safe"
    );
    model.disk.fail(Faults::None);
    assert!(store.commit(&[]).is_ok());
    model.conclude();
}

const NOTHING: [(&str, &Entry); 0] = [];
