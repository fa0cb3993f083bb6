//! Thousands of random lives of a server: commits, compactions, faults, deaths and losses of power.

use dream_testkit::Random;

use super::Model;
use crate::state::simulated::{Faults, Simulated, Survives};
use crate::state::{Entry, Process};

#[test]
fn nothing_acknowledged_is_lost_and_nothing_invented() {
    let first = seed();
    for seed in first..first + lives() {
        let outcome = std::panic::catch_unwind(|| live(seed));
        if let Err(panic) = outcome {
            eprintln!("this was DREAM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// One disk, and several servers one after the other.
fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut model = Model::new(Simulated::new(seed));
    // Threads take their time, so not every life has them.
    let in_turns = seed.is_multiple_of(8);
    assert!(model.open());
    for _ in 0..1 + random.below(6) {
        let faults = [0, 0, 5, 30, 200][random.below(5)];
        model.disk.fail(match random.below(2) {
            0 => Faults::Some(faults),
            _ => Faults::Death(model.disk.calls() + random.below(60) as u64),
        });
        for _ in 0..random.below(40) {
            step(&mut model, &mut random, in_turns);
        }
        crash(&mut model, &mut random);
    }
    model.conclude();
}

fn step(model: &mut Model, random: &mut Random, in_turns: bool) {
    match random.below(12) {
        0 => model.begin_compaction(),
        1 | 4 | 5 if in_turns => model.write_some_of_compaction(1 + random.below(8)),
        1 => model.write_compaction(),
        2 => model.finish_compaction(),
        3 => drop(model.commit(&[])),
        _ => drop(model.commit(&changes(random))),
    }
}

fn changes(random: &mut Random) -> Vec<(String, Option<Entry>)> {
    let names = 1 + random.below(9);
    let count = 1 + random.below(6);
    let change = |_| {
        let name = format!("{}.example", random.below(names));
        let entry = (random.below(4) > 0).then(|| entry(random));
        (name, entry)
    };
    (0..count).map(change).collect()
}

fn entry(random: &mut Random) -> Entry {
    let mut entry = Entry::on_port(random.number() as u16);
    if random.below(4) == 0 {
        entry.check = Some("/is it well?".into());
        entry.until = Some(random.number());
        entry.process = Some(Process {
            pid: random.number() as u32,
            started: random.number(),
        });
    }
    entry
}

/// The server ends, and others begin until one of them can read.
fn crash(model: &mut Model, random: &mut Random) {
    loop {
        let survives = match random.below(6) {
            0 | 1 => None,
            2 => Some(Survives::Nothing),
            3 => Some(Survives::Everything),
            _ => Some(Survives::Anything),
        };
        model.disk.fail(Faults::None);
        model.crash(survives);
        match random.below(4) {
            0 => model.disk.fail(Faults::Some(300)),
            1 => model
                .disk
                .fail(Faults::Death(model.disk.calls() + random.below(16) as u64)),
            _ => {}
        }
        if model.open() && !model.disk.is_dead() {
            return;
        }
    }
}

/// `DREAM_SEED=7 DREAM_LIVES=1` repeats one life.
fn seed() -> u64 {
    number("DREAM_SEED").unwrap_or(1)
}

fn lives() -> u64 {
    number("DREAM_LIVES").unwrap_or(5000)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
