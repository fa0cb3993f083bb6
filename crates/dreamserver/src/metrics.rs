//! What is counted of the exchanges of each announced name.
//!
//! Every core counts for itself ([`Meter`]), in memory that no other core writes; the back office reads all of them and adds up
//! ([`Metrics::of`]). Counting takes no lock and no atomic read-modify-write: each number has one writer, and others only
//! load it. Nothing is kept of a name that was never asked for, but the [`Account`] that its route carries.

mod failure;
mod sum;
mod tally;

pub use failure::LastFailure;
pub use sum::Sum;

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tally::Tally;

/// Where the exchanges of a name are counted: a place, and the serial of who has it now. An exchange that ends after its name
/// was removed does not count for the name that has the place then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    place: u32,
    serial: u32,
}

/// What is counted of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// The status of the answer.
    pub status: u16,
    /// How long the client waited for the answer to begin.
    pub latency: Duration,
    /// What went wrong on our side or the program's, if something did.
    pub failure: Option<Failure<'a>>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The request's method.
    pub method: &'a [u8],
    /// The request's path; queries may hold secrets.
    pub path: &'a [u8],
    /// Why, if more is known than the status says.
    pub reason: Option<&'a str>,
}

/// The counts of all cores.
pub struct Metrics {
    cores: Box<[Counters]>,
}

/// One core's end: the only one that writes its counters.
pub struct Meter {
    metrics: Arc<Metrics>,
    core: usize,
    /// Not to be shared between threads.
    _single: PhantomData<Cell<()>>,
}

/// Gives out accounts, for the one thread that hears announcements.
#[derive(Debug, Default)]
pub struct Accounts {
    free: Vec<u32>,
    next: u32,
    serial: u32,
}

impl Metrics {
    /// Counters for so many cores, and each core's end of them.
    pub fn new(cores: usize) -> (Arc<Metrics>, Vec<Meter>) {
        let metrics = Arc::new(Metrics {
            cores: (0..cores).map(|_| Counters::default()).collect(),
        });
        let meter = |core| Meter {
            metrics: metrics.clone(),
            core,
            _single: PhantomData,
        };
        let meters = (0..cores).map(meter).collect();
        (metrics, meters)
    }

    /// What was counted for an account so far, on all cores.
    pub fn of(&self, account: Account) -> Sum {
        let mut sum = Sum::default();
        let tallies = self.cores.iter().filter_map(|core| core.get(account.place));
        for tally in tallies {
            tally.add_to(&mut sum, account.serial);
        }
        sum
    }
}

impl Meter {
    /// Counts an exchange, which has ended.
    pub fn count(&self, account: Account, counted: &Counted<'_>, now: impl FnOnce() -> SystemTime) {
        let counters = &self.metrics.cores[self.core];
        let tally = counters.get_or_make(account);
        if let Some(tally) = tally.filter(|tally| tally.turn_to(account.serial)) {
            tally.count(counted, now);
        }
    }
}

impl Accounts {
    /// An account with nothing on it.
    pub fn open(&mut self) -> Account {
        self.serial = self.serial.wrapping_add(1);
        let place = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        Account {
            place,
            serial: self.serial,
        }
    }

    /// Its place is for others from now on.
    pub fn close(&mut self, account: Account) {
        self.free.push(account.place);
    }
}

/// One core's counters by place, in a tree of pages that grows where something is counted: a page has 4 KiB.
#[derive(Default)]
struct Counters(Page<Page<Page<Tally>>>);

struct Page<T>([OnceLock<Box<T>>; PAGE]);

/// Places beyond three levels of these, 16 million, are not counted.
const PAGE: usize = 256;

impl<T> Default for Page<T> {
    fn default() -> Page<T> {
        Page([const { OnceLock::new() }; PAGE])
    }
}

impl Counters {
    fn get(&self, place: u32) -> Option<&Tally> {
        let [beyond, first, second, third] = place.to_be_bytes().map(usize::from);
        if beyond > 0 {
            return None;
        }
        self.0.0[first].get()?.0[second].get()?.0[third]
            .get()
            .map(|tally| &**tally)
    }

    fn get_or_make(&self, account: Account) -> Option<&Tally> {
        let [beyond, first, second, third] = account.place.to_be_bytes().map(usize::from);
        if beyond > 0 {
            return None;
        }
        let page = self.0.0[first].get_or_init(Box::default);
        let page = page.0[second].get_or_init(Box::default);
        Some(page.0[third].get_or_init(|| Box::new(Tally::new(account.serial))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn answered(status: u16, millis: u64) -> Counted<'static> {
        Counted {
            status,
            latency: Duration::from_millis(millis),
            failure: None,
        }
    }

    fn failed(path: &'static str, reason: &'static str) -> Counted<'static> {
        Counted {
            failure: Some(Failure {
                method: b"GET",
                path: path.as_bytes(),
                reason: Some(reason),
            }),
            ..answered(502, 1)
        }
    }

    #[test]
    fn the_cores_counts_are_added_up() {
        let (metrics, meters) = Metrics::new(3);
        let mut accounts = Accounts::default();
        let (first, second) = (accounts.open(), accounts.open());
        thread::scope(|scope| {
            for meter in meters {
                scope.spawn(move || {
                    for number in 0..1000 {
                        let status = if number % 10 == 0 { 404 } else { 200 };
                        meter.count(first, &answered(status, 2), SystemTime::now);
                    }
                });
            }
        });
        let sum = metrics.of(first);
        assert_eq!(sum.answers, [0, 2700, 0, 300, 0]);
        assert_eq!((sum.requests(), sum.failed), (3000, 0));
        assert_eq!(sum.total, Duration::from_secs(6));
        assert_eq!(metrics.of(second), Sum::default());
    }

    #[test]
    fn a_place_begins_anew_with_its_next_name() {
        let (metrics, meters) = Metrics::new(1);
        let mut accounts = Accounts::default();
        let old = accounts.open();
        meters[0].count(old, &failed("/", "why"), SystemTime::now);
        accounts.close(old);
        let new = accounts.open();
        assert_eq!(old.place, new.place);
        assert_eq!(
            metrics.of(new),
            Sum::default(),
            "nothing was counted for it"
        );
        meters[0].count(new, &answered(200, 1), SystemTime::now);
        // The old name's last exchange ends.
        meters[0].count(old, &answered(200, 1), SystemTime::now);
        assert_eq!(metrics.of(new).requests(), 1);
        assert_eq!(metrics.of(new).last_failure, None);
        assert_eq!(metrics.of(old), Sum::default());
    }

    #[test]
    fn the_last_failure_is_the_latest_of_all_cores() {
        let (metrics, meters) = Metrics::new(2);
        let account = Accounts::default().open();
        let at = |seconds| move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        meters[1].count(account, &failed("/late", "b"), at(20));
        meters[0].count(account, &failed("/early", "a"), at(10));
        let failure = metrics.of(account).last_failure.unwrap();
        assert_eq!((failure.status, &*failure.text), (502, "GET /late: b"));
        assert_eq!(failure.when, at(20)());
        let long: &'static str = "ü".repeat(1000).leak();
        meters[0].count(account, &failed("/long", long), at(30));
        let failure = metrics.of(account).last_failure.unwrap();
        assert!(
            failure.text.starts_with("GET /long: üüü"),
            "{}",
            failure.text
        );
        assert!(!failure.text.contains('\u{fffd}'), "cut between characters");
    }

    #[test]
    fn a_failure_is_never_read_half_written() {
        let (metrics, meters) = Metrics::new(1);
        let account = Accounts::default().open();
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..100_000u64 {
                    let path = ["/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "/bbbb"][number as usize % 2];
                    meters[0].count(account, &failed(path, "x"), || SystemTime::UNIX_EPOCH);
                }
            });
            for _ in 0..10_000 {
                if let Some(failure) = metrics.of(account).last_failure {
                    let whole = ["GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: x", "GET /bbbb: x"];
                    assert!(whole.contains(&&*failure.text), "{}", failure.text);
                }
            }
        });
    }

    #[test]
    fn places_far_away_are_no_trouble() {
        let (metrics, meters) = Metrics::new(1);
        for (place, counted) in [(0xff_ffff, 1), (0x100_0000, 0), (u32::MAX, 0)] {
            let account = Account { place, serial: 1 };
            meters[0].count(account, &answered(200, 1), SystemTime::now);
            assert_eq!(metrics.of(account).requests(), counted, "{place:x}");
        }
    }
}
