//! The last failure of a name on one core, written while others may read it.
//!
//! The writer makes the version odd, writes, and makes it even; a reader that saw it odd or changing has read nothing. The
//! words are atomic, so that what is read meanwhile is only old or new, and then thrown away.

use super::Failure;
use std::io::Write;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, SystemTime};

/// The last exchange that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When it ended, to the millisecond.
    pub when: SystemTime,
    /// The status of the answer.
    pub status: u16,
    /// `GET /path: why`, cut off where it is long. What the client sent of it may be anything.
    pub text: Box<str>,
}

/// Words of text.
const WORDS: usize = 24;
const LONGEST: usize = WORDS * 8;
/// A reader tries so often before it does without.
const TRIES: usize = 16;

#[derive(Default)]
pub(super) struct FailureCell {
    version: AtomicU32,
    /// The name's serial, the status, and the length of the text.
    head: AtomicU64,
    millis: AtomicU64,
    text: [AtomicU64; WORDS],
}

impl FailureCell {
    pub(super) fn write(&self, serial: u32, status: u16, when: SystemTime, failure: &Failure<'_>) {
        let mut text = [0; LONGEST];
        let len = compose(failure, &mut text) as u64;
        let millis = when
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let head = u64::from(serial) << 32 | u64::from(status) << 16 | len;
        self.head.store(head, Ordering::Relaxed);
        self.millis.store(millis, Ordering::Relaxed);
        let (words, _) = text.as_chunks();
        for (cell, word) in self.text.iter().zip(words) {
            cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    /// The failure of the name with this serial, if there was one.
    pub(super) fn read(&self, serial: u32) -> Option<LastFailure> {
        (0..TRIES)
            .find_map(|_| self.try_read())
            .and_then(|(owner, failure)| (owner == serial).then_some(failure))
    }

    fn try_read(&self) -> Option<(u32, LastFailure)> {
        let version = self.version.load(Ordering::Acquire);
        let head = self.head.load(Ordering::Relaxed);
        let millis = self.millis.load(Ordering::Relaxed);
        let mut text = [0; LONGEST];
        let (words, _) = text.as_chunks_mut();
        for (cell, word) in self.text.iter().zip(words) {
            *word = cell.load(Ordering::Relaxed).to_le_bytes();
        }
        fence(Ordering::Acquire);
        if version % 2 == 1 || self.version.load(Ordering::Relaxed) != version {
            return None;
        }
        let text = &text[..usize::from(head as u16).min(LONGEST)];
        let failure = LastFailure {
            when: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
            status: (head >> 16) as u16,
            text: whole_characters(text).into(),
        };
        Some(((head >> 32) as u32, failure))
    }
}

/// Writes as much of the text as fits.
fn compose(failure: &Failure<'_>, text: &mut [u8; LONGEST]) -> usize {
    let mut rest = &mut text[..];
    // What does not fit is cut off.
    let _ = rest.write_all(failure.method);
    let _ = rest.write_all(b" ");
    // A long path leaves room for the reason.
    let _ = rest.write_all(&failure.path[..failure.path.len().min(LONGEST / 2)]);
    if let Some(reason) = failure.reason {
        let _ = rest.write_all(b": ");
        let _ = rest.write_all(reason.as_bytes());
    }
    LONGEST - rest.len()
}

/// The text without a character that was cut through at its end.
fn whole_characters(text: &[u8]) -> String {
    let cut = match str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => &text[..error.valid_up_to()],
        _ => text,
    };
    String::from_utf8_lossy(cut).into_owned()
}
