//! When a certificate is renewed. Time and chance are arguments.

use std::time::{Duration, SystemTime};

/// When the authority is asked again where it said nothing (RFC 9773 §4.3.2 wants it between minutes and a day).
pub(super) const ASK: Duration = Duration::from_secs(6 * 3600);

/// The span of time to renew within: at one third of the lifetime left, as Let's Encrypt advises, and spread over a
/// twenty-fourth of it, so that certificates that came together do not go together.
pub(super) fn usual(not_before: SystemTime, not_after: SystemTime) -> (SystemTime, SystemTime) {
    let lifetime = not_after.duration_since(not_before).unwrap_or_default();
    let start = not_after.checked_sub(lifetime / 3).unwrap_or(not_before);
    (start, start + lifetime / 24)
}

/// The moment within a span. `chance` is the same for one certificate whenever it is asked, so that a restart moves nothing.
pub(super) fn moment(span: (SystemTime, SystemTime), chance: f64) -> SystemTime {
    let (start, end) = span;
    let length = end.duration_since(start).unwrap_or_default();
    start + length.mul_f64(chance.clamp(0.0, 1.0))
}

/// A number from 0 to 1 that a certificate has for all its life.
pub(super) fn chance(leaf: &[u8]) -> f64 {
    f64::from(crc32fast::hash(leaf)) / f64::from(u32::MAX)
}

/// When to ask the authority again that wants to be asked after `said`.
pub(super) fn ask_again(said: Duration) -> Duration {
    said.clamp(Duration::from_secs(60), Duration::from_secs(86_400))
}

/// How long to wait after the failures so far: a minute, twice as long each time, at most 6 hours. Half a dozen tries fall
/// into the first hour, in which people mend what they have just set up.
pub(super) fn pause(failures: u32, chance: f64) -> Duration {
    const FIRST: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    // Up to a tenth less, so that names that failed together do not come back together.
    doubled.min(LONGEST).mul_f64(1.0 - chance / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_third_of_the_lifetime_is_left() {
        let begin = SystemTime::UNIX_EPOCH;
        let span = usual(begin, begin + 90 * DAY);
        assert_eq!(span.0, begin + 60 * DAY);
        for chance in [0.0, 0.5, 1.0] {
            let moment = moment(span, chance);
            assert!(span.0 <= moment && moment <= span.1);
            assert!(moment < begin + 65 * DAY);
        }
        // Nonsense from a certificate is no panic.
        usual(begin + DAY, begin);
        assert!(moment((begin + DAY, begin), 0.7) >= begin);
    }

    #[test]
    fn pauses_grow_to_six_hours() {
        let minutes: Vec<u64> = (0..12)
            .map(|failures| pause(failures, 0.0).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
        assert_eq!(pause(u32::MAX, 0.0), Duration::from_secs(6 * 3600));
        assert_eq!(pause(1, 1.0), Duration::from_secs(54));
        assert_eq!(ask_again(Duration::ZERO), Duration::from_secs(60));
        assert_eq!(ask_again(30 * DAY), DAY);
    }

    #[test]
    fn chance_is_a_fraction() {
        for leaf in [&b""[..], b"a", b"b", &[0xff; 100]] {
            assert!((0.0..=1.0).contains(&chance(leaf)));
        }
    }
}
