//! Time on one core: a coarse clock, the Date field, and time-outs that cost nothing per request.
//!
//! Setting a time-out stores one number. Four times a second the clock looks over the numbers, which
//! lie side by side, and wakes the tasks whose time has come: 100,000 connections are 400 KB to scan,
//! while a timer per read would cost each request an insertion and a removal.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// How often time-outs are looked over. Coarse enough to cost nothing, fine enough for the shortest one.
pub const TICK: Duration = Duration::from_millis(250);

const NEVER: u32 = u32::MAX;

/// The clock of one core.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// The same moment by both clocks, at most a tick ago.
    moment: Cell<(Instant, SystemTime)>,
    ticks: Cell<u32>,
    date: RefCell<String>,
    second: Cell<u64>,
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    deadlines: Vec<u32>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn new(now: Instant) -> Rc<Clock> {
        let clock = Clock {
            started: now,
            moment: Cell::new((now, SystemTime::UNIX_EPOCH)),
            ticks: Cell::new(0),
            date: RefCell::default(),
            second: Cell::new(0),
            slots: RefCell::default(),
        };
        clock.advance(now, SystemTime::now());
        Rc::new(clock)
    }

    /// Moves the clock and wakes the tasks whose time has come.
    pub fn advance(&self, now: Instant, wall: SystemTime) {
        self.moment.set((now, wall));
        self.ticks.set(ticks(now - self.started));
        self.write_date(wall);
        self.wake(|deadline, ticks| deadline <= ticks);
    }

    /// Wakes every task that has a timer, to look at the world anew.
    pub fn wake_all(&self) {
        self.wake(|_, _| true);
    }

    /// The time as the Date field writes it (RFC 9110 §6.6.1), at most a tick old.
    pub fn with_date<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        with(self.date.borrow().as_bytes())
    }

    /// The time of day at `instant`, without asking the system.
    pub fn wall(&self, instant: Instant) -> SystemTime {
        let (then, wall) = self.moment.get();
        match instant.checked_duration_since(then) {
            Some(since) => wall + since,
            None => wall - (then - instant),
        }
    }

    /// The time since the clock was made, at most a tick old.
    pub fn elapsed(&self) -> Duration {
        TICK * self.ticks.get()
    }

    fn write_date(&self, wall: SystemTime) {
        let second = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.second.replace(second) != second {
            *self.date.borrow_mut() = httpdate::fmt_http_date(wall);
        }
    }

    fn wake(&self, due: impl Fn(u32, u32) -> bool) {
        let now = self.ticks.get();
        let mut slots = self.slots.borrow_mut();
        let Slots {
            deadlines, wakers, ..
        } = &mut *slots;
        for (deadline, waker) in deadlines.iter().zip(wakers) {
            if due(*deadline, now)
                && let Some(waker) = waker.take()
            {
                waker.wake();
            }
        }
    }
}

/// One time-out, set and cleared by storing a number.
#[derive(Debug)]
pub struct Timer {
    clock: Rc<Clock>,
    slot: usize,
}

impl Timer {
    /// A time-out that is not set.
    pub fn new(clock: &Rc<Clock>) -> Timer {
        let mut slots = clock.slots.borrow_mut();
        let slot = match slots.free.pop() {
            Some(slot) => slot as usize,
            None => {
                slots.deadlines.push(NEVER);
                slots.wakers.push(None);
                slots.deadlines.len() - 1
            }
        };
        drop(slots);
        Timer {
            clock: clock.clone(),
            slot,
        }
    }

    /// The clock that this time-out goes by.
    pub fn clock(&self) -> &Rc<Clock> {
        &self.clock
    }

    /// Sets the time-out to `after` from now: it ends no earlier, and at most two ticks later.
    pub fn set(&self, after: Duration) {
        let deadline = self
            .clock
            .ticks
            .get()
            .saturating_add(ticks(after))
            .saturating_add(2);
        self.store(deadline.min(NEVER - 1));
    }

    /// Sets the time-out to `after` from now unless it ends earlier already.
    pub fn shorten(&self, after: Duration) {
        let before = self.clock.slots.borrow().deadlines[self.slot];
        self.set(after);
        let after = self.clock.slots.borrow().deadlines[self.slot];
        self.store(before.min(after));
    }

    /// Unsets the time-out.
    pub fn clear(&self) {
        self.store(NEVER);
    }

    /// Is the time-out set?
    pub fn is_set(&self) -> bool {
        self.clock.slots.borrow().deadlines[self.slot] != NEVER
    }

    /// Ready once the time has come.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.slots.borrow().deadlines[self.slot] <= self.clock.ticks.get() {
            return Poll::Ready(());
        }
        self.attend(cx);
        Poll::Pending
    }

    /// Lets [`Clock::wake_all`] reach this task, whether the time-out is set or not.
    pub fn attend(&self, cx: &mut Context<'_>) {
        match &mut self.clock.slots.borrow_mut().wakers[self.slot] {
            Some(waker) => waker.clone_from(cx.waker()),
            waker @ None => *waker = Some(cx.waker().clone()),
        }
    }

    fn store(&self, deadline: u32) {
        self.clock.slots.borrow_mut().deadlines[self.slot] = deadline;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut slots = self.clock.slots.borrow_mut();
        slots.deadlines[self.slot] = NEVER;
        slots.wakers[self.slot] = None;
        slots.free.push(self.slot as u32);
    }
}

fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() / TICK.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &Clock, millis: u64) {
        clock.advance(
            clock.started + Duration::from_millis(millis),
            SystemTime::UNIX_EPOCH,
        );
    }

    fn poll(timer: &Timer) -> Poll<()> {
        timer.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_timer_ends_after_its_time_and_within_two_ticks() {
        let clock = Clock::new(Instant::now());
        let timer = Timer::new(&clock);
        timer.set(Duration::from_secs(1));
        at(&clock, 1_000);
        assert_eq!(poll(&timer), Poll::Pending);
        at(&clock, 1_500);
        assert_eq!(poll(&timer), Poll::Ready(()));
    }

    #[test]
    fn a_cleared_timer_never_ends() {
        let clock = Clock::new(Instant::now());
        let timer = Timer::new(&clock);
        timer.set(Duration::ZERO);
        timer.clear();
        at(&clock, 1_000_000);
        assert_eq!(poll(&timer), Poll::Pending);
    }

    #[test]
    fn a_slot_is_used_again() {
        let clock = Clock::new(Instant::now());
        drop(Timer::new(&clock));
        let timer = Timer::new(&clock);
        assert_eq!(timer.slot, 0);
        assert_eq!(poll(&timer), Poll::Pending);
    }
}
