//! What the desk tells of its certificates: some of them, and those that somebody should look at.

use super::super::entry::{Certificate, Entry, Progress};
use super::super::{Listed, Row, Which};
use super::Desk;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

impl Desk {
    /// Some of the names. Their files are looked at if nobody has done so since the start, and no others: however many there
    /// are, that is a moment's work.
    pub(super) fn find(&mut self, wanted: &Which, most: usize) -> Listed {
        let names: Vec<Arc<str>> = match wanted {
            Which::After(after) => {
                let behind = (Bound::Excluded(after.as_str()), Bound::Unbounded);
                let behind = self.names.range::<str, _>(behind);
                behind.take(most).map(|(name, _)| name.clone()).collect()
            }
            Which::Matching(part) => {
                let matching = self
                    .names
                    .keys()
                    .filter(|name| name.contains(part.as_str()));
                matching.take(most).cloned().collect()
            }
            Which::Only(name) => {
                let only = self.names.get_key_value(name.as_str());
                only.into_iter().map(|(name, _)| name.clone()).collect()
            }
        };
        let rows = names.iter().filter_map(|name| {
            if matches!(self.names.get(name)?.certificate, Certificate::Unread) {
                self.read(name);
            }
            Some(self.names.get(name)?.row(name))
        });
        Listed {
            rows: rows.collect(),
            total: self.names.len(),
        }
    }

    /// The names that are served and that somebody should look at.
    pub(super) fn pressing(&self, most: usize) -> Vec<Row> {
        let now = self.shop.clock.now();
        let pressing = self
            .names
            .iter()
            .filter(|(_, entry)| entry.is_pressing(now));
        let served = pressing.filter(|(name, _)| self.is_served(name));
        served
            .take(most)
            .map(|(name, entry)| entry.row(name))
            .collect()
    }
}

impl Entry {
    /// Has an attempt failed, or does the certificate end soon though it should have been renewed long ago?
    fn is_pressing(&self, now: SystemTime) -> bool {
        match &self.certificate {
            _ if self.trouble.is_some() => true,
            Certificate::Known(known) => {
                let is_late = known.not_after < now + SOON && known.renewal <= now;
                is_late && self.progress == Progress::Idle
            }
            Certificate::None | Certificate::Unread => false,
        }
    }
}

/// Time enough for a person to do something about it.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
