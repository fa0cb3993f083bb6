//! What one core has counted for one name.

use super::Counted;
use super::failure::FailureCell;
use super::sum::{self, Latencies, Sum};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Written by one core, read by the back office.
pub(super) struct Tally {
    /// Whose counts these are.
    serial: AtomicU32,
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 5],
    failed: AtomicU64,
    micros: AtomicU64,
    /// These go round; only differences are of use.
    latencies: [AtomicU32; Latencies::LEN],
    /// Made by the first failure.
    failure: OnceLock<Box<FailureCell>>,
}

impl Tally {
    pub(super) fn new(serial: u32) -> Tally {
        Tally {
            serial: AtomicU32::new(serial),
            answers: Default::default(),
            failed: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            latencies: [const { AtomicU32::new(0) }; Latencies::LEN],
            failure: OnceLock::new(),
        }
    }

    /// Begins anew where the serial is a later one; `false` for an earlier one, whose name is gone.
    pub(super) fn turn_to(&self, serial: u32) -> bool {
        let current = self.serial.load(Ordering::Relaxed);
        if current == serial {
            return true;
        }
        let is_later = serial.wrapping_sub(current) < u32::MAX / 2;
        if is_later {
            let numbers = [&self.failed, &self.micros];
            for number in self.answers.iter().chain(numbers) {
                number.store(0, Ordering::Relaxed);
            }
            for number in &self.latencies {
                number.store(0, Ordering::Relaxed);
            }
            // Whoever reads the new serial reads what was counted since.
            self.serial.store(serial, Ordering::Release);
        }
        is_later
    }

    pub(super) fn count(&self, counted: &Counted<'_>, now: impl FnOnce() -> SystemTime) {
        let class = usize::from(counted.status / 100).clamp(1, 5) - 1;
        let micros = u64::try_from(counted.latency.as_micros()).unwrap_or(u64::MAX);
        add(&self.answers[class], 1);
        add(&self.micros, micros);
        let bucket = &self.latencies[sum::bucket(micros)];
        // One writer: nobody changes it between the two.
        let so_far = bucket.load(Ordering::Relaxed);
        bucket.store(so_far.wrapping_add(1), Ordering::Relaxed);
        if let Some(failure) = &counted.failure {
            add(&self.failed, 1);
            let cell = self.failure.get_or_init(Box::default);
            let serial = self.serial.load(Ordering::Relaxed);
            cell.write(serial, counted.status, now(), failure);
        }
    }

    /// Adds what was counted for the name with this serial.
    pub(super) fn add_to(&self, sum: &mut Sum, serial: u32) {
        if self.serial.load(Ordering::Acquire) != serial {
            return;
        }
        for (sum, number) in sum.answers.iter_mut().zip(&self.answers) {
            *sum += number.load(Ordering::Relaxed);
        }
        sum.failed += self.failed.load(Ordering::Relaxed);
        sum.total += Duration::from_micros(self.micros.load(Ordering::Relaxed));
        for (sum, number) in sum.latencies.0.iter_mut().zip(&self.latencies) {
            *sum = sum.wrapping_add(number.load(Ordering::Relaxed));
        }
        let failure = self.failure.get().and_then(|cell| cell.read(serial));
        if let Some(failure) = failure {
            let is_later = |other: &super::LastFailure| failure.when >= other.when;
            if sum.last_failure.as_ref().is_none_or(is_later) {
                sum.last_failure = Some(failure);
            }
        }
    }
}

/// One writer: nobody changes the number between the two.
fn add(number: &AtomicU64, more: u64) {
    let so_far = number.load(Ordering::Relaxed);
    number.store(so_far.wrapping_add(more), Ordering::Relaxed);
}
