//! What is shown of the table: pages of names, and the state of the server.

use super::answer::{Answer, Control, seconds};
use super::name;
use crate::state::Entry;
use dream_control::{Domain, Reply};
use std::fmt::Write;
use std::sync::PoisonError;
use std::time::SystemTime;

/// Bytes of a page of the list: fits into a datagram on loopback, and is a moment's work.
const PAGE: usize = 8 * 1024;

impl Control {
    /// The names after one, as many as fit on a page.
    pub(super) fn list(&self, after: Option<&Domain>) -> Answer {
        let table = self.table.borrow();
        let entries = table.entries();
        let after = after.map(name::ascii).transpose()?;
        let rest = match &after {
            Some(name) => entries.behind(name),
            None => entries.behind(""),
        };
        let mut page = String::new();
        let mut last = None;
        let mut more = false;
        for (name, entry) in rest {
            if page.len() > PAGE {
                more = true;
                break;
            }
            write_line(&mut page, name, &entry);
            self.write_counts(&mut page, name);
            last = Some(name);
        }
        let next = match (more, last) {
            (true, Some(last)) => format!(" next={last}"),
            _ => String::new(),
        };
        Ok(Reply::ok(&format!("list {}{next}", entries.len())).with_lines(page.lines()))
    }

    /// The end of a line: what has been asked of the name since the server was started.
    fn write_counts(&self, page: &mut String, name: &str) {
        let sum = self.table.borrow().counted(name);
        let _ = writeln!(page, " requests={} failed={}", sum.requests(), sum.failed);
    }

    pub(super) fn status(&self) -> Reply {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let body = format!(
            "version={}\npid={}\nuptime={}\nmode={}\nlog={log}\nnames={}\nreceived={}\nrefused={}\ndropped={}\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            self.started.elapsed().as_secs(),
            self.mode,
            self.table.borrow().entries().len(),
            self.counts.received.get(),
            self.counts.refused.get(),
            self.counts.dropped.get(),
        );
        Reply::ok("status").with_lines(body.lines())
    }
}

/// One line of the list: as it would be announced, with what is left of a lease and the user that it belongs to.
fn write_line(page: &mut String, name: &str, entry: &Entry) {
    // Writing to a string never fails.
    let _ = write!(page, "{name} {}", entry.port);
    if let Some(host) = entry.host {
        let _ = write!(page, " host={host}");
    }
    if let Some(owner) = entry.owner {
        let _ = write!(page, " owner={owner}");
    }
    if let Some(until) = entry.until {
        let _ = write!(
            page,
            " ttl={}s",
            until.saturating_sub(seconds(SystemTime::now()))
        );
    }
    if let Some(process) = &entry.process {
        let _ = write!(page, " pid={}", process.pid);
    }
    if let Some(check) = &entry.check {
        let _ = write!(page, " check={check}");
    }
    if let Some(since) = entry.since {
        let age = seconds(SystemTime::now()).saturating_sub(u64::from(since.get()));
        let _ = write!(page, " age={age}");
    }
}
