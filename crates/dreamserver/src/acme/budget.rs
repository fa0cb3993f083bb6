//! What may be asked of an authority, so that its own limits are never met: going over them costs hours.
//!
//! The figures are those of Let's Encrypt. Time is an argument.

use super::name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, SystemTime};

/// What was asked of one authority.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Budget {
    /// When orders were begun.
    orders: Times,
    /// When a certificate was given, by registered domain. Renewals do not count, as they do not for Let's Encrypt.
    domains: BTreeMap<String, Times>,
    /// When a certificate was given, by name.
    names: BTreeMap<String, Times>,
    /// When the authority looked and did not find us, by name.
    failures: BTreeMap<String, Times>,
}

/// Times in seconds since 1970, the oldest first.
type Times = VecDeque<u64>;

/// So often, and not more, within a span of time.
struct Limit {
    most: usize,
    span: Duration,
}

const ORDERS: Limit = Limit {
    most: 300,
    span: Duration::from_secs(3 * 3600),
};
const DOMAIN: Limit = Limit {
    most: 50,
    span: WEEK,
};
const NAME: Limit = Limit {
    most: 5,
    span: WEEK,
};
const FAILURES: Limit = Limit {
    most: 5,
    span: Duration::from_secs(3600),
};
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A budget that is used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spent {
    what: &'static str,
    most: usize,
    /// When there is room again.
    pub(super) until: SystemTime,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} is used up", self.what, self.most)
    }
}

impl Budget {
    /// May a certificate be ordered now?
    pub(super) fn allows(&self, name: &str, renews: bool, now: SystemTime) -> Result<(), Spent> {
        let none = Times::new();
        let domain = self.domains.get(name::registered(name)).unwrap_or(&none);
        let of_name = self.names.get(name).unwrap_or(&none);
        let failures = self.failures.get(name).unwrap_or(&none);
        FAILURES.allows(
            "the budget for failed validations of a name in an hour",
            failures,
            now,
        )?;
        ORDERS.allows("the budget for orders in 3 hours", &self.orders, now)?;
        NAME.allows(
            "the budget for certificates of one name in 7 days",
            of_name,
            now,
        )?;
        if !renews {
            DOMAIN.allows(
                "the budget for certificates of a registered domain in 7 days",
                domain,
                now,
            )?;
        }
        Ok(())
    }

    /// An order is begun.
    pub(super) fn ordered(&mut self, now: SystemTime) {
        self.forget(now);
        self.orders.push_back(seconds(now));
    }

    /// A certificate was given.
    pub(super) fn given(&mut self, name: &str, renews: bool, now: SystemTime) {
        let now = seconds(now);
        self.names
            .entry(name.to_owned())
            .or_default()
            .push_back(now);
        if !renews {
            let domain = name::registered(name).to_owned();
            self.domains.entry(domain).or_default().push_back(now);
        }
    }

    /// The authority looked, and did not find us.
    pub(super) fn failed(&mut self, name: &str, now: SystemTime) {
        let failures = self.failures.entry(name.to_owned()).or_default();
        failures.push_back(seconds(now));
    }

    /// Forgets what no limit counts any more, so that it stays small.
    fn forget(&mut self, now: SystemTime) {
        ORDERS.forget(&mut self.orders, now);
        for (times, limit) in [
            (&mut self.domains, DOMAIN),
            (&mut self.names, NAME),
            (&mut self.failures, FAILURES),
        ] {
            times.retain(|_, times| {
                limit.forget(times, now);
                !times.is_empty()
            });
        }
    }
}

impl Limit {
    fn allows(&self, what: &'static str, times: &Times, now: SystemTime) -> Result<(), Spent> {
        let since = seconds(now).saturating_sub(self.span.as_secs());
        // What is in the future was written by a clock that was wrong; it would hold everything up.
        let counts = |time: &&u64| **time > since && **time <= seconds(now);
        let counted: Vec<u64> = times.iter().filter(counts).copied().collect();
        match counted.len().checked_sub(self.most) {
            None => Ok(()),
            Some(over) => Err(Spent {
                what,
                most: self.most,
                until: SystemTime::UNIX_EPOCH + Duration::from_secs(counted[over]) + self.span,
            }),
        }
    }

    fn forget(&self, times: &mut Times, now: SystemTime) {
        let since = seconds(now).saturating_sub(self.span.as_secs());
        times.retain(|time| *time > since);
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn begin() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
    }

    #[test]
    fn orders_have_room_again_when_the_oldest_is_three_hours_old() {
        let mut budget = Budget::default();
        for minute in 0..100 {
            for _ in 0..3 {
                budget
                    .allows("a.com", false, begin() + minute * MINUTE)
                    .unwrap();
                budget.ordered(begin() + minute * MINUTE);
            }
        }
        let spent = budget
            .allows("a.com", false, begin() + 100 * MINUTE)
            .unwrap_err();
        assert_eq!(spent.until, begin() + 180 * MINUTE);
        assert!(spent.to_string().contains("300"), "{spent}");
        assert!(budget.allows("a.com", false, spent.until).is_ok());
    }

    #[test]
    fn a_registered_domain_has_fifty_a_week_and_renewals_are_free() {
        let mut budget = Budget::default();
        for number in 0..50 {
            let name = format!("{number}.example.co.uk");
            budget.allows(&name, false, begin()).unwrap();
            budget.given(&name, false, begin());
        }
        assert!(budget.allows("x.example.co.uk", false, begin()).is_err());
        assert!(budget.allows("0.example.co.uk", true, begin()).is_ok());
        assert!(budget.allows("other.co.uk", false, begin()).is_ok());
        assert!(
            budget
                .allows("x.example.co.uk", false, begin() + WEEK)
                .is_ok()
        );
    }

    #[test]
    fn one_name_has_five_a_week_and_five_failures_an_hour() {
        let mut budget = Budget::default();
        for _ in 0..5 {
            budget.failed("a.com", begin());
            budget.given("b.com", true, begin());
        }
        let spent = budget.allows("a.com", false, begin()).unwrap_err();
        assert_eq!(spent.until, begin() + 60 * MINUTE);
        assert!(budget.allows("b.com", true, begin()).is_err());
        assert!(budget.allows("c.com", false, begin()).is_ok());
        budget.ordered(begin() + 2 * WEEK);
        let mut fresh = Budget::default();
        fresh.ordered(begin() + 2 * WEEK);
        assert_eq!(budget, fresh);
    }

    #[test]
    fn a_clock_that_was_wrong_holds_nothing_up() {
        let mut budget = Budget::default();
        for _ in 0..5 {
            budget.failed("a.com", begin() + 100 * WEEK);
        }
        assert!(budget.allows("a.com", false, begin()).is_ok());
    }
}
