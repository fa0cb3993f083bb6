//! The order of a file's records, and the report of what is wrong with them.

use super::header::Start;
use super::record::Record;
use super::sheet::{Item, Items, Read, Sheet};
use super::{Damage, Reason};

/// How far a row of numbered records has come.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The number of the last record.
    pub last: u64,
    /// A damaged line was met since: it explains why numbers are missing.
    excused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Next,
    /// The numbers from the first to the last of these are missing.
    Gap(u64, u64),
    /// The number was passed already.
    Behind,
}

impl Order {
    /// Takes the next record.
    fn take(&mut self, number: u64) -> Step {
        if number <= self.last {
            return Step::Behind;
        }
        let step = self.step_over(number - 1);
        self.last = number;
        step
    }

    /// Takes the header of a journal, which goes on where the one before has ended. Beyond the limit, nothing is missing.
    fn begin(&mut self, start: Start, limit: Option<u64>) -> Step {
        let limit = limit.unwrap_or(u64::MAX);
        let step = self.step_over(start.repeats.min(limit));
        self.last = self.last.max(start.after.min(limit));
        step
    }

    fn step_over(&mut self, number: u64) -> Step {
        let excused = std::mem::take(&mut self.excused);
        match number > self.last && !excused {
            true => Step::Gap(self.last + 1, number),
            false => Step::Next,
        }
    }
}

/// One file on its way into the entries: its records in their order, and a report of everything else.
#[derive(Debug)]
pub(super) struct Reading<'a, 'b> {
    sheet: &'a Sheet,
    items: Items<'a>,
    order: &'b mut Order,
    damaged: &'b mut Vec<Damage>,
    /// Records with a higher number are void.
    pub limit: Option<u64>,
}

/// A record that comes after all that were read before.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The number of the line, from 1.
    pub at: u64,
    pub text: &'a [u8],
    pub record: Record<'a>,
}

impl<'a, 'b> Reading<'a, 'b> {
    pub(super) fn new(
        sheet: &'a Sheet,
        order: &'b mut Order,
        damaged: &'b mut Vec<Damage>,
    ) -> Reading<'a, 'b> {
        Reading {
            sheet,
            items: sheet.items(),
            order,
            damaged,
            limit: None,
        }
    }

    /// Takes the header of a journal.
    pub(super) fn begin(&mut self) {
        if self.sheet.lacks_header() {
            self.damaged(1, Reason::NoHeader, b"");
        } else if let Some(start) = self.sheet.start {
            let step = self.order.begin(start, self.limit);
            self.judge(step, 1, b"");
        }
    }

    /// The next record, if there is one.
    pub(super) fn next(&mut self) -> Option<Row<'a>> {
        loop {
            let Item { at, text, content } = self.items.next()?;
            match content {
                Read::Record(record) => {
                    if self.goes_on(record.number, at, text) {
                        return Some(Row { at, text, record });
                    }
                }
                Read::Damaged(reason) => self.damaged(at, reason, text),
                Read::Torn => {}
            }
        }
    }

    /// Line `at` cannot be used.
    pub(super) fn damaged(&mut self, at: u64, reason: Reason, text: &[u8]) {
        self.order.excused = true;
        self.report(at, reason, text);
    }

    /// The file has ended too early.
    pub(super) fn incomplete(&mut self) {
        let lines = self.sheet.text.split_inclusive(|byte| *byte == b'\n');
        self.report(lines.count() as u64, Reason::Incomplete, b"");
    }

    fn goes_on(&mut self, number: u64, at: u64, text: &[u8]) -> bool {
        if self.limit.is_some_and(|limit| number > limit) {
            return false;
        }
        let step = self.order.take(number);
        self.judge(step, at, text)
    }

    fn judge(&mut self, step: Step, at: u64, text: &[u8]) -> bool {
        match step {
            Step::Next => true,
            Step::Gap(first, last) => {
                self.report(at, Reason::Missing(first, last), b"");
                true
            }
            Step::Behind => {
                self.report(at, Reason::OutOfOrder, text);
                false
            }
        }
    }

    fn report(&mut self, at: u64, reason: Reason, text: &[u8]) {
        let damage = Damage::new(&self.sheet.name, at, reason, text);
        self.damaged.push(damage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(last: u64) -> Order {
        Order {
            last,
            excused: false,
        }
    }

    #[test]
    fn gaps_and_steps_back_are_seen() {
        let mut order = after(0);
        assert_eq!(order.take(1), Step::Next);
        assert_eq!(order.take(4), Step::Gap(2, 3));
        assert_eq!(order.take(4), Step::Behind);
        assert_eq!(order.take(5), Step::Next);
        order.excused = true;
        assert_eq!(order.take(9), Step::Next);
        assert_eq!(order.take(11), Step::Gap(10, 10));
    }

    #[test]
    fn a_journal_may_repeat_what_came_before() {
        let start = |after, repeats| Start {
            generation: 1,
            after,
            repeats,
        };
        let mut order = after(7);
        assert_eq!(order.begin(start(9, 7), None), Step::Next);
        assert_eq!(order.last, 9);
        assert_eq!(order.begin(start(12, 11), Some(9)), Step::Next);
        assert_eq!(order.last, 9);
        assert_eq!(order.begin(start(12, 11), None), Step::Gap(10, 11));
        assert_eq!(order.take(13), Step::Next);
    }
}
