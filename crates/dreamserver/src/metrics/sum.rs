//! What all cores together have counted for a name, and what that says.

use super::LastFailure;
use std::time::Duration;

/// The counts of a name. Those of a while are the difference of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Answers by the first digit of their status, from 1xx (switched to another protocol) to 5xx.
    pub answers: [u64; 5],
    /// Exchanges that failed on our side or the program's: 5xx, and answers that broke off.
    pub failed: u64,
    /// The latencies of all exchanges together.
    pub total: Duration,
    /// How many took how long.
    pub latencies: Latencies,
    /// The last that failed.
    pub last_failure: Option<LastFailure>,
}

impl Sum {
    /// How many exchanges there were.
    pub fn requests(&self) -> u64 {
        self.answers.iter().sum()
    }

    /// What was counted since `before`.
    pub fn since(&self, before: &Sum) -> Sum {
        let mut answers = self.answers;
        for (number, before) in answers.iter_mut().zip(before.answers) {
            *number = number.saturating_sub(before);
        }
        Sum {
            answers,
            failed: self.failed.saturating_sub(before.failed),
            total: self.total.saturating_sub(before.total),
            latencies: self.latencies.since(&before.latencies),
            last_failure: self.last_failure.clone(),
        }
    }
}

/// How many exchanges took how long, in buckets of half an octave: the first is up to 32 µs, the last from 60 s on. The numbers
/// go round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies(pub(super) [u32; Latencies::LEN]);

impl Latencies {
    pub(super) const LEN: usize = 44;

    /// The time within which `share` (0 to 1) of the exchanges were answered; nothing if there were none.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let count: u64 = self.0.iter().map(|number| u64::from(*number)).sum();
        let wanted = (count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, number) in self.0.iter().enumerate() {
            let before = seen;
            seen += u64::from(*number);
            if seen >= wanted {
                // As if those of a bucket were evenly spread over it.
                let part = (wanted - before) as f64 / f64::from(*number);
                let (from, to) = (begin(bucket), begin(bucket + 1));
                let micros = from as f64 + (to - from) as f64 * part;
                return Some(Duration::from_micros(micros as u64));
            }
        }
        None
    }

    fn since(&self, before: &Latencies) -> Latencies {
        let mut numbers = self.0;
        for (number, before) in numbers.iter_mut().zip(before.0) {
            *number = number.wrapping_sub(before);
        }
        Latencies(numbers)
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies([0; Latencies::LEN])
    }
}

/// 2^5 µs: what is faster is all the same to a person.
const FIRST: u32 = 5;

/// The bucket for a time: which power of two, and which half of the way to the next.
pub(super) fn bucket(micros: u64) -> usize {
    let power = micros.max(1).ilog2();
    if power < FIRST {
        return 0;
    }
    let half = (micros >> (power - 1)) & 1;
    let bucket = 2 * (power - FIRST) as usize + half as usize + 1;
    bucket.min(Latencies::LEN - 1)
}

/// Where a bucket begins, in µs.
fn begin(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(1) else {
        return 0;
    };
    let power = 1 << (FIRST as usize + above / 2);
    power + (above % 2) as u64 * power / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_bucket() {
        for micros in (0..100_000).chain([1 << 26, 100_000_000, u64::MAX]) {
            let found = bucket(micros);
            assert!(begin(found) <= micros, "{micros}");
            assert!(
                micros < begin(found + 1) || found == Latencies::LEN - 1,
                "{micros}"
            );
        }
        assert!(
            (55_000_000..67_200_000).contains(&begin(Latencies::LEN - 1)),
            "a minute"
        );
    }

    #[test]
    fn shares_are_told_within_half_an_octave() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.within(0.5), None);
        for millis in 1..=100 {
            latencies.0[bucket(millis * 1000)] += 1;
        }
        for (share, millis) in [(0.5, 50.0), (0.99, 99.0), (0.01, 1.0)] {
            let told = latencies.within(share).unwrap().as_secs_f64() * 1000.0;
            assert!(
                (millis / 1.5..millis * 1.5).contains(&told),
                "{share}: {told}"
            );
        }
    }

    #[test]
    fn a_while_is_the_difference_of_two() {
        let mut before = Sum::default();
        before.latencies.0[3] = u32::MAX;
        before.answers[1] = 5;
        let mut after = before.clone();
        after.latencies.0[3] = 1;
        after.answers[1] = 7;
        let between = after.since(&before);
        assert_eq!((between.requests(), between.latencies.0[3]), (2, 2));
    }
}
