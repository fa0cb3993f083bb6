//! A name that moves to another port: a switch, not a cut. New requests go to the new target once it answers; those under
//! way finish where they are.

use super::answer::Control;
use super::probe;
use super::table::Target;
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
    /// Waits until the target answers, within [`PATIENCE`], and has requests go there then; tells whether it did. One that
    /// takes longer is waited for in the background.
    pub(super) async fn switch(
        self: &Rc<Self>,
        name: &Arc<str>,
        target: &Target,
        check: Option<&str>,
    ) -> bool {
        let end = Instant::now() + PATIENCE;
        let ready = timeout_at(end, self.until_answers(target, check))
            .await
            .is_ok();
        if !self.is_switching(name, target) {
            return ready;
        }
        if ready {
            self.finish_switch(name).await;
        } else {
            self.switch_in_background(name, target, check);
        }
        ready
    }

    /// Goes on with a switch of the server before: requests go to `before` until the name's own target answers.
    pub(super) fn resume_switch(self: &Rc<Self>, name: &str, before: &str) {
        let Ok(before) = before.parse() else {
            tracing::warn!(
                domain = name,
                before,
                "the server before routed it to what is no target"
            );
            return;
        };
        let resumed = self.table.borrow_mut().resume_switch(name, before);
        if let Some((name, entry)) = resumed {
            self.switch_in_background(&name, &Target::of(&entry), entry.check.as_deref());
        }
    }

    fn switch_in_background(
        self: &Rc<Self>,
        name: &Arc<str>,
        target: &Target,
        check: Option<&str>,
    ) {
        let (control, name) = (self.clone(), name.clone());
        let (target, check) = (target.clone(), check.map(str::to_owned));
        tokio::task::spawn_local(async move {
            control.switch_later(&name, &target, check.as_deref()).await;
        });
    }

    async fn until_answers(&self, target: &Target, check: Option<&str>) {
        let mut pause = FIRST_PAUSE;
        while !self.answers(target, check).await {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn answers(&self, target: &Target, check: Option<&str>) -> bool {
        let _permit = self.probes.acquire().await;
        probe::answers(target, check).await
    }

    /// Switches when the new target answers, or the old one no longer does: then nothing is lost by it.
    async fn switch_later(&self, name: &Arc<str>, target: &Target, check: Option<&str>) {
        while self.is_switching(name, target) {
            let old = self.table.borrow().switching(name).cloned();
            let old_answers = match old {
                Some(old) => self.answers(&old, None).await,
                None => false,
            };
            if !old_answers || self.answers(target, check).await {
                if self.is_switching(name, target) {
                    self.finish_switch(name).await;
                }
                return;
            }
            sleep(LONGEST_PAUSE).await;
        }
    }

    /// Is this name on its way to this target, and not there?
    fn is_switching(&self, name: &str, target: &Target) -> bool {
        let table = self.table.borrow();
        let wanted = table.entries().get(name).map(Target::of);
        table.switching(name).is_some() && wanted.as_ref() == Some(target)
    }

    async fn finish_switch(&self, name: &Arc<str>) {
        let published = {
            let mut table = self.table.borrow_mut();
            table.finish_switch(name);
            table.publish()
        };
        published.await;
    }
}
