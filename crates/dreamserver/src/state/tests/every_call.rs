//! A short life in which each call of the system fails once, or is the last one.

use super::{Model, removed, set};
use crate::state::Entry;
use crate::state::simulated::{Faults, Simulated, Survives};

#[test]
fn each_call_may_fail() {
    each_call(Faults::At);
}

#[test]
fn each_call_may_be_the_last() {
    each_call(Faults::Death);
}

#[test]
fn after_a_failure_the_next_commit_is_accepted() {
    for seed in 0..SEEDS {
        for at in 0..calls_of_a_life(seed) {
            let mut model = Model::new(Simulated::new(seed));
            model.disk.fail(Faults::At(at));
            let refused = live(&mut model);
            assert!(refused <= 1, "call {at}, seed {seed}");
        }
    }
}

/// The disk is full when a journal begins, and the next sync of the folder fails, which is that of a checkpoint: it may
/// have been the one that would have kept the journal's name.
#[test]
fn a_sync_that_fails_for_one_fails_for_all() {
    for seed in 0..10 * SEEDS {
        for at in 0..8 {
            let mut model = Model::new(Simulated::new(seed));
            assert!(model.open());
            model.begin_compaction();
            for call_of_commit in [0, 1] {
                model
                    .disk
                    .fail(Faults::At(model.disk.calls() + call_of_commit));
                model.commit(&[set("a.example", 1)]);
            }
            model.disk.fail(Faults::At(model.disk.calls() + at));
            model.write_compaction();
            model.disk.fail(Faults::None);
            model.commit(&[set("a.example", 2)]);
            model.crash(Some(Survives::Nothing));
            assert!(model.open());
        }
    }
}

/// A commit is refused, though a part of it is on the disk, and what says so is lost with the power: two journals that did
/// not get there whole. The next server had read them still.
#[test]
fn what_was_refused_is_void_whatever_is_lost_of_the_journals_between() {
    for seed in 0..10 * SEEDS {
        let mut model = Model::new(Simulated::new(seed));
        assert!(model.open());
        assert!(model.commit(&[set("a.example", 1)]));
        let refused = [set("b.example", 2), set("c.example", 3)];
        refuse(&mut model, 1, &refused);
        refuse(&mut model, 2, &refused);
        model.crash(None);
        // Listing, reading three journals, creating and writing one: its sync is the last call of this server.
        model.disk.fail(Faults::Death(model.disk.calls() + 6));
        assert!(model.open());
        model.disk.fail(Faults::None);
        model.crash(None);
        assert!(model.open(), "seed {seed}");
        model.crash(Some(Survives::Nothing));
        assert!(model.open(), "seed {seed}");
    }
}

/// Has a call of this commit fail.
fn refuse(model: &mut Model, call: u64, changes: &[(String, Option<Entry>)]) {
    model.disk.fail(Faults::At(model.disk.calls() + call));
    assert!(!model.commit(changes));
    model.disk.fail(Faults::None);
}

fn each_call(fault: fn(u64) -> Faults) {
    for seed in 0..SEEDS {
        for at in 0..calls_of_a_life(seed) {
            for survives in LOSSES {
                let mut model = Model::new(Simulated::new(seed));
                model.disk.fail(fault(at));
                live(&mut model);
                model.disk.fail(Faults::None);
                model.crash(survives);
                assert!(model.open(), "call {at}, seed {seed}");
                model.conclude();
            }
        }
    }
}

/// Until the process dies; how many commits were refused.
fn live(model: &mut Model) -> usize {
    let mut refused = 0;
    for number in 0..STEPS {
        if model.disk.is_dead() {
            break;
        }
        refused += usize::from(!step(model, number));
    }
    refused
}

/// Whether the step was accepted, if it was a commit.
fn step(model: &mut Model, number: usize) -> bool {
    match number {
        0 | 13 => {
            model.crash(None);
            // Nobody starts a server that cannot read its state only once.
            let _ = model.open() || model.open();
        }
        1 => return model.commit(&[set("a.example", 1)]),
        2 => return model.commit(&[set("b.example", 2), set("c.example", 3)]),
        3 | 9 => model.begin_compaction(),
        4 => return model.commit(&[set("a.example", 4), removed("b.example")]),
        5 | 10 => model.write_compaction(),
        6 => return model.commit(&[set("d.example", 5)]),
        7 | 11 => model.finish_compaction(),
        8 => return model.commit(&[removed("d.example"), set("b.example", 6)]),
        12 => return model.commit(&[set("e.example", 7)]),
        _ => return model.commit(&[set("e.example", 8)]),
    }
    true
}

fn calls_of_a_life(seed: u64) -> u64 {
    let mut model = Model::new(Simulated::new(seed));
    live(&mut model);
    model.disk.calls()
}

const STEPS: usize = 15;

const SEEDS: u64 = 20;

const LOSSES: [Option<Survives>; 4] = [
    None,
    Some(Survives::Nothing),
    Some(Survives::Anything),
    Some(Survives::Everything),
];
