//! Announcements that end by themselves: with their time, or with their program.

use super::answer::{Control, seconds};
use crate::state::{Entry, Process};
use crate::stream::{self, Watched};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::Interest;
use tokio::sync::Notify;

/// What will end, and when.
#[derive(Default)]
pub(super) struct Leases {
    /// In the order of their ends, in unix seconds.
    ends: RefCell<BTreeSet<(u64, Arc<str>)>>,
    /// The names of each program that is watched, by its number and start.
    programs: RefCell<Programs>,
    changed: Notify,
}

type Programs = HashMap<(u32, u64), BTreeSet<Arc<str>>>;

impl Control {
    /// Watches for the end of an announcement, if it has one.
    pub(super) fn watch(self: &Rc<Self>, name: &Arc<str>, entry: &Entry) {
        if let Some(until) = entry.until {
            self.leases.ends.borrow_mut().insert((until, name.clone()));
            self.leases.changed.notify_one();
        }
        if let Some(process) = entry.process {
            let mut programs = self.leases.programs.borrow_mut();
            let names = programs.entry((process.pid, process.started)).or_default();
            if names.is_empty() {
                let control = self.clone();
                tokio::task::spawn_local(async move {
                    ended(process).await;
                    control.end_program(process).await;
                });
            }
            names.insert(name.clone());
        }
    }

    async fn end_program(&self, process: Process) {
        let key = (process.pid, process.started);
        let names = self.leases.programs.borrow_mut().remove(&key);
        for name in names.into_iter().flatten() {
            self.end(&name, |entry| entry.process == Some(process))
                .await;
        }
    }
}

/// Ends announcements when their time is over.
pub(super) async fn expire(control: Rc<Control>) {
    loop {
        let first = control.leases.ends.borrow().first().cloned();
        let Some((until, name)) = first else {
            control.leases.changed.notified().await;
            continue;
        };
        let left = until.saturating_sub(seconds(SystemTime::now()));
        if left > 0 {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(left)) => {}
                () = control.leases.changed.notified() => {}
            }
            continue;
        }
        control
            .leases
            .ends
            .borrow_mut()
            .remove(&(until, name.clone()));
        // One that was renewed ends later.
        control.end(&name, |entry| entry.until == Some(until)).await;
    }
}

/// Waits until a process has ended.
async fn ended(process: Process) {
    let watched = watch(process);
    // Between opening and this look the number may have gone to another process.
    if let Some(watched) = watched.filter(|_| runs(process)) {
        let _ = watched.readable().await;
    }
    // Nobody tells where the system refuses to: old kernels, sandboxes.
    while runs(process) {
        tokio::time::sleep(LOOK).await;
    }
}

/// What becomes readable when the process of this number ends (pidfd_open(2)).
fn watch(process: Process) -> Option<Watched> {
    let pid = Pid::from_raw(process.pid.cast_signed())?;
    let opened = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    stream::watch(Rc::new(opened), Interest::READABLE).ok()
}

/// How often it is looked whether a process runs, if that cannot be told in another way.
const LOOK: Duration = Duration::from_secs(1);

fn runs(process: Process) -> bool {
    started(process.pid) == Some(process.started)
}

/// When the process of this number was started, in ticks since the machine's start; nothing if none runs
/// (`/proc/<pid>/stat`, fields 3 and 22).
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // One that has ended stays until its parent has asked how.
    let runs = !matches!(fields.next()?, "Z" | "X");
    fields.nth(18).filter(|_| runs)?.parse().ok()
}
