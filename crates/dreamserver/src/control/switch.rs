//! A name that moves to another port: a switch, not a cut. New requests go to the new target once it answers; those under
//! way finish where they are.

use super::answer::Control;
use crate::state::{Entry, Target};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A target that does not answer within this time is told as waiting: nobody likes to wait longer for a command.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between the first two questions whether a target answers; each pause is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Control {
    /// Waits until the target is ready for the name, within [`PATIENCE`], and has requests go there then; tells whether it
    /// was. One that takes longer is waited for in the background.
    pub(super) async fn arrive(
        self: &Rc<Self>,
        name: &Arc<str>,
        target: &Target,
        check: Option<&str>,
    ) -> bool {
        let end = Instant::now() + PATIENCE;
        let ready = timeout_at(end, self.until_ready(name, target, check))
            .await
            .is_ok();
        if ready {
            self.finish(name, target).await;
        }
        if self.is_moving(name, target) {
            self.move_later(name);
            return false;
        }
        ready
    }

    /// Waits for the target of a name in the background, if nobody does.
    pub(super) fn move_later(self: &Rc<Self>, name: &Arc<str>) {
        if self.moving.borrow_mut().insert(name.clone()) {
            let (control, name) = (self.clone(), name.clone());
            tokio::task::spawn_local(async move {
                control.follow_move(&name).await;
                control.moving.borrow_mut().remove(&name);
            });
        }
    }

    /// Has requests go to the target of a name when it is ready, whatever the target is by then.
    async fn follow_move(&self, name: &Arc<str>) {
        while let Some(entry) = self.current(name).filter(|entry| entry.from.is_some()) {
            let target = entry.target();
            if self.is_left(&entry).await
                || self.is_ready(name, &target, entry.check.as_deref()).await
            {
                self.finish(name, &target).await;
            }
            if self.is_moving(name, &target) {
                sleep(LONGEST_PAUSE).await;
            }
        }
    }

    async fn until_ready(&self, name: &Arc<str>, target: &Target, check: Option<&str>) {
        let mut pause = FIRST_PAUSE;
        while !self.is_ready(name, target, check).await {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn is_ready(&self, name: &Arc<str>, target: &Target, check: Option<&str>) -> bool {
        self.probes.answers(target, check).await && self.may_go(name, target).await
    }

    /// Does the target that a name comes from answer no longer? Then nothing is lost by going. Where owners count nothing is
    /// won either: whoever listens at the new target some day need not be one who may have the name.
    async fn is_left(&self, entry: &Entry) -> bool {
        match &entry.from {
            Some(from) if !self.owners.count() => !self.probes.answers(from, None).await,
            _ => false,
        }
    }

    /// Is this name on its way to this target, and not there?
    fn is_moving(&self, name: &str, target: &Target) -> bool {
        self.current(name)
            .is_some_and(|entry| entry.from.is_some() && entry.target() == *target)
    }

    /// Has requests for a name go to its target, if that is still the target.
    async fn finish(&self, name: &Arc<str>, target: &Target) {
        if self.is_moving(name, target)
            && let Some(entry) = self.current(name)
        {
            let from = None;
            if let Err(reply) = self.keep(name.clone(), Some(Entry { from, ..entry })).await {
                tracing::error!(domain = &**name, %reply, "an announcement stays where it was");
            }
        }
    }
}
