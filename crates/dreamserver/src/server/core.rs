//! One thread a core, each with a runtime of its own and nothing shared on the request path.

use super::LOOK;
use super::publisher::{self, Subscription};
use crate::handler::{State, files};
use crate::listener::{self, Accepted, Bound, Dealer, Gate, Place, Sharing};
use crate::log;
use crate::serve::{Cause, Core, Snapshot};
use crate::time::{Clock, TICK};
use crate::tls::{self, Terms};
use crate::upstream::Pools;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, mpsc};

/// Messages that wait for a core. They are rare; a core that is this far behind is stuck.
const MAILBOX: usize = 16;

/// Connections that wait for the core they were dealt to; with more, the dealing core serves them itself.
const DEALT: usize = 1024;

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
    /// Have handshakes go by this from now on.
    Secure(Arc<Terms>),
    /// Listen on these too.
    Listen(Vec<Bound>),
    /// Listen on these no longer; their connections stay.
    Unlisten(Vec<SocketAddr>),
    /// Write access lines there from now on, and say when nothing more goes to the old place.
    Log(log::Sink, std_mpsc::Sender<()>),
    /// Finish.
    Drain(Farewell),
}

/// How a core is to finish.
pub(super) struct Farewell {
    pub(super) cause: Cause,
    /// What takes longer is broken off.
    pub(super) time: Duration,
    /// Dropped when the core accepts no more connections.
    pub(super) deaf: std_mpsc::Sender<()>,
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
    /// Starts a thread for each of these subscriptions.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        subscriptions: Vec<Subscription>,
        snapshot: &Arc<Snapshot>,
        terms: &Arc<Terms>,
        gate: &Arc<Gate>,
        log: &log::Writer,
    ) -> io::Result<Cores> {
        let mut cores = Cores {
            threads: Vec::new(),
            mailboxes: Vec::new(),
        };
        let count = subscriptions.len();
        let (dealers, dealt): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(DEALT)).unzip();
        for (number, (dealt, announced)) in dealt.into_iter().zip(subscriptions).enumerate() {
            let (sender, mailbox) = mpsc::channel(MAILBOX);
            let seat = Seat {
                mailbox,
                dealt,
                dealers: dealers.clone(),
                snapshot: snapshot.clone(),
                announced,
                gate: gate.clone(),
                terms: terms.clone(),
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

    /// Has handshakes go by these terms from now on.
    pub(super) fn secure(&self, terms: &Arc<Terms>) {
        self.send(|| Message::Secure(terms.clone()));
    }

    /// Has the cores finish within `time`; none of them accepts connections any more when this returns.
    pub(super) fn drain(&self, cause: Cause, time: Duration) {
        let (deaf, all_deaf) = std_mpsc::channel();
        self.send(|| {
            Message::Drain(Farewell {
                cause,
                time,
                deaf: deaf.clone(),
            })
        });
        drop(deaf);
        // Ends when the last core has said so, by dropping its end.
        while all_deaf.recv_timeout(LAST_WORDS).is_ok() {}
    }

    /// Has the cores listen on these sockets: the first list is the first core's.
    pub(super) fn listen(&self, sockets: Vec<Vec<Bound>>) {
        for (mailbox, sockets) in self.mailboxes.iter().zip(sockets) {
            let _ = mailbox.blocking_send(Message::Listen(sockets));
        }
    }

    /// Has the cores write access lines to `log`; returns when nothing more goes to the old one.
    pub(super) fn redirect_log(&self, log: &log::Writer) {
        let (done, all_done) = std_mpsc::channel();
        self.send(|| Message::Log(log.sink(), done.clone()));
        drop(done);
        // Ends when the last core has said so, by dropping its end.
        while all_done.recv_timeout(LAST_WORDS).is_ok() {}
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
    mailbox: mpsc::Receiver<Message>,
    dealt: mpsc::Receiver<Accepted>,
    /// Every core's end of `dealt`.
    dealers: Vec<mpsc::Sender<Accepted>>,
    snapshot: Arc<Snapshot>,
    announced: Subscription,
    terms: Arc<Terms>,
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
        let Subscription { news, meter } = self.announced;
        let challenges = self.terms.challenges().clone();
        let terms = Rc::new(RefCell::new(self.terms));
        let secure_side: tls::Current = terms.clone();
        let core = Core::new(clock, state, self.log, self.snapshot)
            .with_meter(meter)
            .with_challenges(challenges)
            .with_secure_side(Rc::new(move |core, host| {
                secure_side.borrow().secure_port(core, host)
            }));
        let core = Rc::new(core);
        let following = tokio::task::spawn_local(publisher::follow(core.clone(), news));
        let ticking = tokio::task::spawn_local(tick(core.clone()));
        let place = Place {
            core: core.clone(),
            terms,
            gate: self.gate,
        };
        let mut listeners = Listeners {
            place: place.clone(),
            dealer: Dealer::new(self.dealers),
            running: Vec::new(),
        };
        let undealt = Rc::new(Notify::new());
        tokio::task::spawn_local(listener::receive(place, self.dealt, undealt.clone()));
        if let Some(farewell) = attend(&core, &mut listeners, &mut self.mailbox).await {
            core.drain.begin(farewell.cause);
            core.clock.wake_all();
            listeners.end().await;
            drop(farewell.deaf);
            undealt.notify_one();
            finish(&core, farewell.time, &mut self.mailbox).await;
        }
        ticking.abort();
        following.abort();
        core.flush_log();
    }
}

/// The listeners of one core.
struct Listeners {
    place: Place,
    dealer: Dealer,
    running: Vec<Listening>,
}

/// A listener at work.
struct Listening {
    address: SocketAddr,
    stop: Rc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Listeners {
    fn add(&mut self, bound: Bound) {
        let (address, stop) = (bound.address, Rc::new(Notify::new()));
        let stopped = stop.clone();
        let place = self.place.clone();
        let dealer = match bound.sharing {
            Sharing::Kernel => None,
            Sharing::Dealt => Some(self.dealer.clone()),
        };
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = listener::run(place, bound, dealer, stopped).await {
                tracing::error!(%error, "a listener ended");
            }
        });
        self.running.push(Listening {
            address,
            stop,
            task,
        });
    }

    fn stop(&mut self, gone: &[SocketAddr]) {
        self.running.retain(|listening| {
            let ends = gone.contains(&listening.address);
            if ends {
                listening.stop.notify_one();
            }
            !ends
        });
    }

    /// Ends all of them.
    async fn end(self) {
        for listening in &self.running {
            listening.stop.notify_one();
        }
        for listening in self.running {
            // One that failed has ended too.
            let _ = listening.task.await;
        }
    }
}

/// Does what the main thread says, until that is to finish; then tells how. Nothing if the main thread is gone.
async fn attend(
    core: &Core,
    listeners: &mut Listeners,
    mailbox: &mut mpsc::Receiver<Message>,
) -> Option<Farewell> {
    loop {
        match mailbox.recv().await {
            Some(Message::Publish(snapshot)) => core.publish(snapshot),
            Some(Message::Secure(terms)) => drop(listeners.place.terms.replace(terms)),
            Some(Message::Listen(sockets)) => {
                sockets.into_iter().for_each(|bound| listeners.add(bound))
            }
            Some(Message::Unlisten(gone)) => listeners.stop(&gone),
            Some(Message::Log(sink, done)) => {
                core.redirect_log(sink);
                drop(done);
            }
            Some(Message::Drain(farewell)) => return Some(farewell),
            None => return None,
        }
    }
}

/// Lets the exchanges end that there are; breaks off those that take longer than `time`, or than the main thread says meanwhile.
async fn finish(core: &Core, time: Duration, mailbox: &mut mpsc::Receiver<Message>) {
    let finished = tokio::select! {
        finished = finished_within(core, time) => finished,
        Some(farewell) = next_farewell(mailbox) => {
            core.drain.begin(farewell.cause);
            core.clock.wake_all();
            drop(farewell.deaf);
            finished_within(core, farewell.time).await
        }
    };
    if !finished {
        core.drain.cut();
        core.clock.wake_all();
        finished_within(core, LAST_WORDS).await;
    }
}

/// Anything else that the main thread says now comes too late.
async fn next_farewell(mailbox: &mut mpsc::Receiver<Message>) -> Option<Farewell> {
    loop {
        if let Message::Drain(farewell) = mailbox.recv().await? {
            return Some(farewell);
        }
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
        core.flush_log();
        count = count.wrapping_add(1);
        if count.is_multiple_of(SWEEP) {
            core.state.pools.sweep();
            core.state.files.sweep(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Request;
    use crate::handler::{Handler, fixed::Respond};
    use crate::limits::{Limits, Timeouts};
    use crate::listener::bind;
    use crate::middleware::{Custom, Flow, Middleware};
    use crate::router::{HostPattern, Matcher, PathPattern, SiteRoutes, Table};
    use crate::serve::Route;
    use crate::server::Publisher;
    use crate::upstream::Registry;
    use std::collections::HashSet;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::sync::Mutex;
    use std::thread::ThreadId;

    /// Remembers which threads served.
    #[derive(Default)]
    struct Witness(Mutex<HashSet<ThreadId>>);

    impl Custom for Witness {
        fn on_request(&self, _: &mut Request) -> Flow {
            self.0.lock().unwrap().insert(thread::current().id());
            Flow::Continue
        }
    }

    fn witnessed(witness: &Arc<Witness>) -> Snapshot {
        let route = Route {
            strip: 0,
            chain: vec![Middleware::Custom(witness.clone())],
            handler: Handler::Respond(Respond::new(200, "ok".into(), "text/plain".into())),
        };
        let site = SiteRoutes {
            hosts: vec![HostPattern::Any],
            routes: vec![(Matcher::path(PathPattern::all()), Arc::new(route))],
        };
        Snapshot {
            table: Table::build(vec![site]).unwrap_or_else(|_| panic!("no conflict")),
            not_found: None,
            pages: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted: Vec::new(),
        }
    }

    fn ask(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn one_listening_core_deals_to_all() {
        let witness = Arc::new(Witness::default());
        let snapshot = Arc::new(witnessed(&witness));
        let off = log::Options {
            target: log::Target::Off,
            ..log::Options::default()
        };
        let log = log::Writer::start(&off).unwrap();
        let (_, announced) = Publisher::new(&Registry::default(), 3);
        let gate = Gate::new(100, 100);
        let mut cores = Cores::start(announced, &snapshot, &Arc::default(), &gate, &log).unwrap();
        let mut bound = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
        bound[0].sharing = Sharing::Dealt;
        let address = bound[0].address;
        cores.listen(vec![bound]);
        for _ in 0..3 {
            assert!(ask(address).ends_with("ok"));
        }
        cores.drain(Cause::Stop, Duration::from_secs(10));
        cores.join();
        assert_eq!(witness.0.lock().unwrap().len(), 3);
    }
}
