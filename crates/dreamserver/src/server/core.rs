//! One thread a core, each with a runtime of its own and nothing shared on the request path.

use super::LOOK;
use crate::handler::{State, files};
use crate::listener::{self, Bound, Gate};
use crate::log;
use crate::serve::{Core, Snapshot};
use crate::time::{Clock, TICK};
use crate::upstream::Pools;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// Messages that wait for a core. They are rare; a core that is this far behind is stuck.
const MAILBOX: usize = 16;

/// Idle connections are looked over once in so many ticks: once a second.
const SWEEP: u32 = 4;

/// Threads that wait for slow disks and names, for each core.
const BLOCKING_THREADS: usize = 16;

/// What was broken off has this long to be logged.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the main thread tells a core.
pub(super) enum Message {
    /// Serve by this from now on.
    Publish(Arc<Snapshot>),
    /// Finish, within this time.
    Drain(Duration),
}

/// The cores, as the main thread sees them.
pub(super) struct Cores {
    threads: Vec<JoinHandle<()>>,
    mailboxes: Vec<mpsc::Sender<Message>>,
}

/// How many cores this process may use.
pub(super) fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Cores {
    /// Starts a thread for each member of `sockets`, which listens on those.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub(super) fn start(
        sockets: Vec<Vec<Bound>>,
        snapshot: &Arc<Snapshot>,
        gate: &Arc<Gate>,
        log: &log::Writer,
    ) -> io::Result<Cores> {
        let mut cores = Cores {
            threads: Vec::new(),
            mailboxes: Vec::new(),
        };
        for (number, sockets) in sockets.into_iter().enumerate() {
            let (sender, mailbox) = mpsc::channel(MAILBOX);
            let seat = Seat {
                sockets,
                mailbox,
                snapshot: snapshot.clone(),
                gate: gate.clone(),
                log: log.sink(),
            };
            let thread = thread::Builder::new().name(format!("core-{number}"));
            cores.threads.push(thread.spawn(move || seat.run())?);
            cores.mailboxes.push(sender);
        }
        Ok(cores)
    }

    /// Puts a message into every mailbox.
    pub(super) fn send(&self, message: impl Fn() -> Message) {
        for mailbox in &self.mailboxes {
            // A core that has ended needs no message.
            let _ = mailbox.blocking_send(message());
        }
    }

    /// Waits until every core has ended.
    pub(super) async fn finished(&self) {
        let mut look = tokio::time::interval(LOOK);
        while !self.threads.iter().all(JoinHandle::is_finished) {
            look.tick().await;
        }
    }

    /// Ends the threads, which have finished.
    pub(super) fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a core ended by a fault of its own");
            }
        }
    }
}

/// What a core's thread begins with.
struct Seat {
    sockets: Vec<Bound>,
    mailbox: mpsc::Receiver<Message>,
    snapshot: Arc<Snapshot>,
    gate: Arc<Gate>,
    log: log::Sink,
}

impl Seat {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => tracing::error!(%error, "a core cannot start"),
        }
    }

    async fn serve(mut self) {
        let clock = Clock::new(Instant::now());
        let limits = &self.snapshot.limits;
        let state = State {
            files: files::Store::new(limits.file_store),
            pools: Pools::new(clock.clone(), limits, &self.snapshot.timeouts),
        };
        let core = Rc::new(Core::new(clock, state, self.log, self.snapshot));
        for bound in self.sockets {
            let listening = listener::run(core.clone(), bound, self.gate.clone());
            tokio::task::spawn_local(async move {
                if let Err(error) = listening.await {
                    tracing::error!(%error, "a listener ended");
                }
            });
        }
        let ticking = tokio::task::spawn_local(tick(core.clone()));
        attend(&core, &mut self.mailbox).await;
        ticking.abort();
        core.log.flush();
    }
}

/// Does what the main thread says, until the core has finished.
async fn attend(core: &Core, mailbox: &mut mpsc::Receiver<Message>) {
    let drain = loop {
        match mailbox.recv().await {
            Some(Message::Publish(snapshot)) => core.publish(snapshot),
            Some(Message::Drain(drain)) => break drain,
            None => break Duration::ZERO,
        }
    };
    core.drain.begin();
    core.clock.wake_all();
    if !finished_within(core, drain).await {
        core.drain.cut();
        core.clock.wake_all();
        finished_within(core, LAST_WORDS).await;
    }
}

async fn finished_within(core: &Core, time: Duration) -> bool {
    let end = Instant::now() + time;
    let mut look = tokio::time::interval(LOOK);
    while !core.drain.is_over() && Instant::now() < end {
        look.tick().await;
    }
    core.drain.is_over()
}

/// The core's heartbeat: moves the clock, hands log lines over, looks idle connections over.
async fn tick(core: Rc<Core>) {
    let mut beat = tokio::time::interval(TICK);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0u32;
    loop {
        beat.tick().await;
        core.clock.advance(Instant::now(), SystemTime::now());
        core.log.flush();
        count = count.wrapping_add(1);
        if count.is_multiple_of(SWEEP) {
            core.state.pools.sweep();
        }
    }
}
