//! When another program starts and ends, as far as the system tells. Linux does; elsewhere no program is found.

use crate::state::Process;
use crate::stream::Watched;
use std::fs;
use std::time::Duration;

/// How often it is looked whether a process runs, if that cannot be told in another way.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until a process has ended.
pub(super) async fn ended(process: Process) {
    // Between opening and this look the number may have gone to another process.
    if let Some(watched) = watch(process).filter(|_| runs(process)) {
        let _ = watched.readable().await;
    }
    // Nobody tells where the system refuses to: old kernels, sandboxes.
    while runs(process) {
        tokio::time::sleep(LOOK).await;
    }
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

fn runs(process: Process) -> bool {
    started(process.pid) == Some(process.started)
}

/// What becomes readable when the process of this number ends (pidfd_open(2)).
#[cfg(target_os = "linux")]
fn watch(process: Process) -> Option<Watched> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(process.pid.cast_signed())?;
    let opened = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    crate::stream::watch(std::rc::Rc::new(opened), tokio::io::Interest::READABLE).ok()
}

#[cfg(not(target_os = "linux"))]
fn watch(_: Process) -> Option<Watched> {
    None
}
