//! What is shown of the table: pages of names, and the state of the server.

use super::answer::{Answer, Control, seconds};
use super::name;
use crate::metrics::Sum;
use crate::sockets;
use crate::state::{Entry, Target};
use dream_control::{Domain, Reply};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of a page of the list: fits into a datagram on loopback, and is a moment's work.
const PAGE: usize = 8 * 1024;

/// The system is asked no more often what it dropped: it goes through all sockets for that.
const GLANCE: Duration = Duration::from_secs(1);

/// A part of the list.
#[derive(Default)]
struct Page {
    /// The lines, but for the health of the target.
    lines: Vec<(String, Target)>,
    /// The last name, if there are more behind it.
    next: Option<String>,
}

impl Control {
    /// The names after one, as many as fit on a page.
    pub(super) async fn list(self: &Rc<Self>, after: Option<&Domain>) -> Answer {
        let page = self.page(after)?;
        let targets: Vec<Target> = page
            .lines
            .iter()
            .map(|(_, target)| target.clone())
            .collect();
        self.until_seen(&targets).await;
        let lines = page.lines.into_iter().map(|(line, target)| {
            let health = self.look(&target).map(health_text);
            health.map_or(line.clone(), |health| format!("{line} health={health}"))
        });
        let next = page
            .next
            .map_or(String::new(), |next| format!(" next={next}"));
        let count = self.table.borrow().entries().len();
        Ok(Reply::ok(&format!("list {count}{next}")).with_lines(lines))
    }

    fn page(&self, after: Option<&Domain>) -> Result<Page, Reply> {
        let table = self.table.borrow();
        let entries = table.entries();
        let after = after.map(name::ascii).transpose()?;
        let rest = match &after {
            Some(name) => entries.behind(name),
            None => entries.behind(""),
        };
        let mut page = Page::default();
        let (mut size, mut last) = (0, None);
        for (name, entry) in rest {
            if size > PAGE {
                page.next = last;
                break;
            }
            let line = line(name, &entry, &table.counted(name));
            size += line.len() + LONGEST_HEALTH;
            page.lines.push((line, entry.target()));
            last = Some(name.to_owned());
        }
        Ok(page)
    }

    pub(super) async fn status(&self) -> Reply {
        let warnings = self.warnings().await;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let body = format!(
            "version={}\npid={}\nuptime={}\nmode={}\nlog={log}\nnames={}\nreceived={}\nrefused={}\ndropped={}\nview={}\nstate={}\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            self.started.elapsed().as_secs(),
            self.mode,
            self.table.borrow().entries().len(),
            self.counts.received.get(),
            self.counts.refused.get(),
            self.counts.dropped.get() + self.lost(),
            self.view,
            self.folder.path().display(),
        );
        let warnings = warnings.iter().map(|warning| format!("warning={warning}"));
        Reply::ok("status").with_lines(body.lines().map(str::to_owned).chain(warnings))
    }

    /// Announcements that the system had no room for; none where it does not tell.
    fn lost(&self) -> u64 {
        if let Some((at, lost)) = self.counts.lost.get()
            && at.elapsed() < GLANCE
        {
            return lost;
        }
        let lost = sockets::dropped(&self.addresses).unwrap_or_default();
        self.counts.lost.set(Some((Instant::now(), lost)));
        lost
    }
}

/// How a target is, in a word.
pub(super) fn health_text(answers: bool) -> &'static str {
    if answers { "up" } else { "down" }
}

const LONGEST_HEALTH: usize = " health=down\n".len();

/// A line of the list: as it would be announced, with what is left of a lease, where its requests go while it waits for its port,
/// the user that the name belongs to, its age, and what it has been asked since the server was started.
fn line(name: &str, entry: &Entry, sum: &Sum) -> String {
    let mut line = format!("{name} {}", entry.port);
    let mut option = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string never fails.
            let _ = write!(line, " {key}={value}");
        }
    };
    let left = |until: u64| until.saturating_sub(seconds(SystemTime::now()));
    option("host", entry.host.map(|host| host.to_string()));
    option("from", entry.from.as_ref().map(ToString::to_string));
    option("owner", entry.owner.map(|owner| owner.to_string()));
    option("ttl", entry.until.map(|until| format!("{}s", left(until))));
    option("pid", entry.process.map(|process| process.pid.to_string()));
    option("check", entry.check.as_deref().map(str::to_owned));
    option("age", age(entry).map(|age| age.to_string()));
    option("requests", Some(sum.requests().to_string()));
    option("failed", Some(sum.failed.to_string()));
    line
}

/// The seconds since a name was announced first, if that is known.
pub(super) fn age(entry: &Entry) -> Option<u64> {
    let since = u64::from(entry.since?.get());
    Some(seconds(SystemTime::now()).saturating_sub(since))
}
