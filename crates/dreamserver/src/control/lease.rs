//! Announcements that end by themselves: with their time, or with their program.

use super::answer::{Control, seconds};
use super::process;
use crate::state::{Entry, Process};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
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
    pub(super) fn watch(self: &Rc<Self>, name: &str, entry: &Entry) {
        if let Some(until) = entry.until {
            self.leases.ends.borrow_mut().insert((until, name.into()));
            self.leases.changed.notify_one();
        }
        if let Some(process) = entry.process {
            let mut programs = self.leases.programs.borrow_mut();
            let names = programs.entry((process.pid, process.started)).or_default();
            if names.is_empty() {
                let control = self.clone();
                tokio::task::spawn_local(async move {
                    process::ended(process).await;
                    control.end_program(process).await;
                });
            }
            names.insert(name.into());
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
