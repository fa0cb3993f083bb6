//! What the office knows of one name.

use super::failure::Trouble;
use super::folder::Stored;
use super::{Refusal, Row, RowTrouble, renewal};
use crate::credential::Credential;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What is known of a name.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) certificate: Certificate,
    /// Of the attempts since the last that went well.
    pub(super) trouble: Option<Box<Trouble>>,
    pub(super) progress: Progress,
    pub(super) waiting: Vec<Waiting>,
    /// Its place among those that something is to be done for.
    pub(super) due: Option<SystemTime>,
}

/// Its certificate.
#[derive(Default)]
pub(super) enum Certificate {
    #[default]
    None,
    /// There is a file that nobody has looked at since the start.
    Unread,
    Known(Known),
}

/// What is kept in memory of a certificate.
pub(super) struct Known {
    pub(super) issuer: Arc<str>,
    pub(super) not_after: SystemTime,
    /// When it is to be renewed.
    pub(super) renewal: SystemTime,
    /// It is not renewed before, whatever anybody says: an authority whose advice is always in the past would be asked for
    /// certificates without end.
    pub(super) not_before: SystemTime,
    /// When its authority is asked whether that has changed.
    pub(super) ask: SystemTime,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    #[default]
    Idle,
    /// It waits for its turn.
    Queued,
    /// It is under way.
    Running,
    /// Its authority is asked when to renew.
    Asking,
}

/// Somebody who waits.
pub(super) struct Waiting {
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Result<Credential, Refusal>>,
}

impl Known {
    /// What is to be known of a certificate, whose authority is asked at `ask` when to renew it.
    pub(super) fn of(stored: &Stored, ask: SystemTime) -> Known {
        let credential = &stored.credential;
        let span = renewal::usual(credential.not_before(), credential.not_after());
        Known {
            issuer: credential.issuer().into(),
            not_after: credential.not_after(),
            renewal: renewal::moment(span, chance(credential)),
            not_before: SystemTime::UNIX_EPOCH,
            ask,
        }
    }

    /// It is to be renewed at that time.
    pub(super) fn renew_at(&mut self, time: SystemTime) {
        self.renewal = time.max(self.not_before);
    }
}

/// The number that a certificate has for all its life.
pub(super) fn chance(credential: &Credential) -> f64 {
    let leaf = credential.certified().cert.first();
    leaf.map_or(0.0, |leaf| renewal::chance(leaf))
}

impl Entry {
    /// When something is to be done for the name next.
    pub(super) fn next(&self) -> Option<SystemTime> {
        if self.progress != Progress::Idle {
            return None;
        }
        match (&self.trouble, &self.certificate) {
            (Some(trouble), _) => Some(trouble.next),
            (None, Certificate::Known(known)) => Some(known.renewal.min(known.ask)),
            (None, _) => None,
        }
    }

    /// Answers all who wait.
    pub(super) fn answer(&mut self, answer: &Result<Credential, Refusal>) {
        for waiting in self.waiting.drain(..) {
            // Who has gone away needs no answer.
            let _ = waiting.reply.send(answer.clone());
        }
    }

    /// Answers those who have waited for long enough, and tells how many they were.
    pub(super) fn give_up(&mut self, now: Instant) -> usize {
        let (over, still): (Vec<Waiting>, Vec<Waiting>) = self
            .waiting
            .drain(..)
            .partition(|waiting| waiting.until <= now);
        self.waiting = still;
        let count = over.len();
        for waiting in over {
            let _ = waiting.reply.send(Err(Refusal::Slow));
        }
        count
    }

    /// Why there is no certificate, if that is known.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.trouble.as_ref().map(|trouble| Refusal::Failed {
            error: trouble.error.clone(),
            advice: trouble.advice.clone(),
            next: trouble.next,
        })
    }

    pub(super) fn row(&self, name: &str) -> Row {
        let known = match &self.certificate {
            Certificate::Known(known) => Some(known),
            Certificate::None | Certificate::Unread => None,
        };
        Row {
            name: name.to_owned(),
            issuer: known.map(|known| known.issuer.to_string()),
            not_after: known.map(|known| known.not_after),
            renewal: known.map(|known| known.renewal),
            is_ordered: matches!(self.progress, Progress::Queued | Progress::Running),
            trouble: self.trouble.as_ref().map(|trouble| RowTrouble {
                error: trouble.error.clone(),
                advice: trouble.advice.clone(),
                failures: trouble.failures,
                next: trouble.next,
            }),
        }
    }
}
