//! Builds everything and runs it: one thread a core for the requests, the main thread for everything else.

mod announcements;
mod beginning;
mod build;
mod core;
mod displace;
mod nofile;
mod open;
mod permit;
mod publisher;
mod secure;

pub use publisher::Publisher;

use self::beginning::{Beginning, Desk, NoDesk};
use self::build::Lasting;
use self::core::{Cores, Message};
use self::open::{Listening, Opened};
use self::permit::Permit;
use self::secure::Secure;
use crate::address::ListenEntry;
use crate::certificates::TermsError;
use crate::cli::Plan;
use crate::config::{Config, Errors};
use crate::control::{self, Ending};
use crate::detach;
use crate::limits::Limits;
use crate::listener::{Gate, Inherited};
use crate::log;
use crate::pid_file::PidFile;
use crate::serve::{Cause, Snapshot};
use crate::systemd::{self, Notice};
use crate::takeover::{self, Holdings, Taking};
use crate::tls::Terms;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Interval;

/// Serves until a signal ends it.
pub fn run(plan: Plan) -> ExitCode {
    let started = systemd::sockets()
        .map_err(StartError::Passed)
        .and_then(|inherited| Server::start(plan, inherited));
    match started {
        Ok(mut server) => {
            server.greet();
            server.run()
        }
        Err(error) => {
            eprintln!("dreamserver: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves on threads of its own until it is told to stop.
///
/// # Errors
/// Why the server cannot start.
pub fn start(plan: Plan) -> Result<Started, String> {
    let (tell, told) = std::sync::mpsc::channel();
    let serving = move || match Server::start(plan, Inherited::default()) {
        Ok(server) => {
            // Whoever waits for it is there until it has heard.
            let _ = tell.send(Ok((server.addresses(), server.wakes.ender.clone())));
            server.run();
        }
        Err(error) => drop(tell.send(Err(error.to_string()))),
    };
    let thread = thread::Builder::new().name("server".into()).spawn(serving);
    let thread = thread.map_err(|error| StartError::System(error).to_string())?;
    let told = told.recv();
    let (addresses, ender) = told.map_err(|_| "the server's thread has ended".to_owned())??;
    Ok(Started {
        addresses,
        ender,
        thread,
    })
}

/// A server on threads of its own.
pub struct Started {
    addresses: Vec<SocketAddr>,
    ender: mpsc::UnboundedSender<Ending>,
    thread: thread::JoinHandle<()>,
}

impl Started {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it, once it has finished what it has.
    pub fn stop(self) {
        // One that has ended already hears nothing, and a panic in it was told when it happened.
        let _ = self.ender.send(Ending::Shutdown);
        let _ = self.thread.join();
    }
}

/// Opens the log, and begins to write down the events of the server: there too, if it lets go of its terminal.
/// The gate of all listeners, where `most` connections can be open.
fn gate(limits: &Limits, most: usize) -> Arc<Gate> {
    let most = limits.connections.unwrap_or(most);
    Gate::new(most, limits.connections_per_address)
}

fn open_log(plan: &Plan) -> io::Result<log::Writer> {
    let log = log::Writer::start(&build::log(&plan.config))?;
    let events = match plan.detaches() {
        true => log::Events::Log(log.events()),
        false => log::Events::Stderr,
    };
    log::init_events(build::level(&plan.config), events)?;
    Ok(log)
}

/// Why the server cannot start.
#[derive(Debug)]
enum StartError {
    /// What was passed to this process is of no use to it.
    Passed(systemd::UnfitSocket),
    /// The events' level is wrong, or the log's target cannot be opened.
    Log(io::Error),
    /// The configuration asks for what cannot be built.
    Build(build::BuildError),
    /// What makes certificates cannot begin.
    Certificates(io::Error),
    /// The certificates cannot be used.
    Terms(TermsError),
    /// TLS is asked for, and there is no certificate for anybody.
    NoCertificates,
    /// An address cannot be listened on.
    Listen(open::ListenError),
    /// Announcements, which are all that it is for, cannot be taken.
    NoDesk(NoDesk),
    /// They cannot be taken any more, or not from where the running server has left off.
    Control(control::StartError),
    /// The running server has gone on.
    TakeOver(takeover::Error),
    /// The system gives no thread, signal or the like.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Passed(error) => error.fmt(f),
            StartError::Log(error) => write!(f, "the log cannot be opened: {error}"),
            StartError::Build(error) => error.fmt(f),
            StartError::Certificates(error) => write!(f, "no certificates can be ordered: {error}"),
            StartError::Terms(error) => error.fmt(f),
            StartError::NoCertificates => f.write_str(NO_CERTIFICATES),
            StartError::Listen(error) => error.fmt(f),
            StartError::NoDesk(error) => error.fmt(f),
            StartError::Control(error) => error.fmt(f),
            StartError::TakeOver(error) => write!(f, "the running server has gone on: {error}"),
            StartError::System(error) => write!(f, "the system refuses what is needed: {error}"),
        }
    }
}

/// The running server, as the main thread sees it.
struct Server {
    plan: Plan,
    lasting: Lasting,
    gate: Arc<Gate>,
    cores: Cores,
    core_count: usize,
    listeners: Vec<Listening>,
    secure: Secure,
    log: log::Writer,
    /// Where that is found, as those are told who ask.
    log_place: Arc<Mutex<log::Place>>,
    /// Old snapshots that a core may still use: they are freed here and not on a core.
    retired: Vec<Arc<Snapshot>>,
    current: Arc<Snapshot>,
    most_connections: usize,
    pid_file: Option<PidFile>,
    /// Where programs announce names, if they may.
    control: Option<control::Running>,
    /// The listening sockets once more.
    holdings: Holdings,
    runtime: Rc<Runtime>,
    wakes: Wakes,
}

/// What a server begins with of its configuration.
struct Basis {
    snapshot: Snapshot,
    lasting: Lasting,
}

/// The signals of the process, or none of them.
struct Signals(Option<Heard>);

struct Heard {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
}

impl Signals {
    fn new(are_heard: bool) -> io::Result<Signals> {
        Ok(Signals(are_heard.then(Heard::new).transpose()?))
    }

    /// The next signal.
    async fn next(&mut self) -> Event {
        match &mut self.0 {
            Some(heard) => heard.next().await,
            None => std::future::pending().await,
        }
    }
}

impl Heard {
    fn new() -> io::Result<Heard> {
        Ok(Heard {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.hang_up.recv() => Event::Reload,
            _ = self.reopen.recv() => Event::Reopen,
        }
    }
}

/// What the server waits for.
struct Wakes {
    signals: Signals,
    /// When to see whether certificates have changed.
    looking: Interval,
    /// Told when the server is to end.
    endings: mpsc::UnboundedReceiver<Ending>,
    /// Tells it so.
    ender: mpsc::UnboundedSender<Ending>,
}

impl Wakes {
    fn new(plan: &Plan, runtime: &Runtime) -> io::Result<Wakes> {
        let _inside = runtime.enter();
        let (ender, endings) = mpsc::unbounded_channel();
        Ok(Wakes {
            signals: Signals::new(plan.hears_signals)?,
            looking: tokio::time::interval(CERTIFICATES),
            endings,
            ender,
        })
    }

    /// What comes next.
    async fn next(&mut self) -> Event {
        tokio::select! {
            event = self.signals.next() => event,
            _ = self.looking.tick() => Event::Look,
            Some(ending) = self.endings.recv() => match ending {
                Ending::Shutdown => Event::Stop,
                Ending::TakenOver(pid) => Event::TakenOver(pid),
            },
        }
    }
}

enum Event {
    Stop,
    /// By this process, if that is known.
    TakenOver(Option<i32>),
    Reload,
    Reopen,
    /// Time to see whether certificates have changed.
    Look,
}

impl Server {
    fn start(mut plan: Plan, inherited: Inherited) -> Result<Server, StartError> {
        let log = open_log(&plan).map_err(StartError::Log)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        // What is wrong with the configuration is said before anybody is disturbed.
        let mut lasting = Lasting::new(&plan.config.limits);
        let snapshot = build::snapshot(&plan.config, &mut lasting).map_err(StartError::Build)?;
        let basis = Basis { snapshot, lasting };
        let mut beginning = Beginning::find(&mut plan, &runtime, inherited)?;
        if let Some(desk) = &beginning.desk {
            let folder = desk.folder.path().join("compressed");
            let most = plan.config.limits.compressed_disk;
            basis.lasting.kept.keep_in(folder, most);
        }
        let taking = beginning.taking.take();
        let runtime = Rc::new(runtime);
        let started = Server::start_from(plan, beginning, runtime.clone(), basis, log);
        match taking {
            None => started.map(|mut server| {
                server.hear();
                server
            }),
            Some(taking) => take_over(taking, started, &runtime),
        }
    }

    /// Serves, but for announcements: those wait until [`Server::hear`].
    fn start_from(
        mut plan: Plan,
        beginning: Beginning,
        runtime: Rc<Runtime>,
        basis: Basis,
        log: log::Writer,
    ) -> Result<Server, StartError> {
        let Beginning {
            mut inherited,
            desk,
            ..
        } = beginning;
        let count = core::count();
        let most_connections = nofile::most_connections(count);
        let current = Arc::new(basis.snapshot);
        let (publisher, announced) = Publisher::new(&basis.lasting.registry, count);
        let folder = desk.as_ref().map(|desk| desk.folder.path());
        let permit = Permit::new(&plan.config, publisher.latest());
        let (secure, terms) = open_secure(&plan, folder, permit)?;
        let opened = open::open_planned(&mut plan, count, terms.is_some(), &mut inherited);
        let opened = opened.map_err(StartError::Listen)?;
        inherited.close_rest();
        let gate = gate(&plan.config.limits, most_connections);
        let wakes = Wakes::new(&plan, &runtime).map_err(StartError::System)?;
        let cores = Cores::start(announced, &current, &terms.unwrap_or_default(), &gate, &log)
            .map_err(StartError::System)?;
        let holdings = Holdings::default();
        holdings.add(opened.holdings);
        let log_place = Arc::new(Mutex::new(build::log_place(&plan.config)));
        // Names are routed before the first request comes.
        let control = desk
            .map(|desk| {
                let ender = wakes.ender.clone();
                announcements::start(
                    &plan, desk, publisher, &holdings, &log_place, ender, &secure,
                )
            })
            .transpose()
            .map_err(StartError::Control)?;
        cores.listen(opened.by_core);
        Ok(Server {
            pid_file: None,
            plan,
            lasting: basis.lasting,
            gate,
            cores,
            core_count: count,
            listeners: opened.listeners,
            secure,
            log,
            log_place,
            retired: Vec::new(),
            current,
            most_connections,
            control,
            holdings,
            runtime,
            wakes,
        })
    }

    /// Takes announcements, and keeps them.
    fn hear(&mut self) {
        if let Err(error) = self.secure.begin(&self.plan.config) {
            tracing::error!("no certificates are ordered: {error}");
        }
        if let Some(control) = &self.control {
            control.hear();
        }
    }

    /// Where it listens.
    fn addresses(&self) -> Vec<SocketAddr> {
        let sockets = self
            .listeners
            .iter()
            .flat_map(|listening| &listening.sockets);
        sockets.copied().collect()
    }

    /// Says that this serves, what, and where: to whoever started it, and to the service manager.
    fn greet(&mut self) {
        let announcements = announcements::banner(self.control.as_ref());
        match &self.plan.overrides.log {
            Some(log) => {
                let farewell = format!(
                    "{} (process {}); logs in {}; stop it with `{}`\n{announcements}",
                    open::summary(&self.plan, &self.listeners),
                    std::process::id(),
                    log.path.display(),
                    announcements::stop_command(&self.plan, self.control.as_ref()),
                );
                if let Err(error) = detach::let_go(&farewell) {
                    tracing::warn!(%error, "whoever started this has not heard that it serves");
                }
            }
            None => eprint!(
                "{}{announcements}",
                open::banner(&self.plan, &self.listeners)
            ),
        }
        let connections = self.gate.most();
        tracing::info!(cores = self.core_count, connections, "started");
        self.pid_file = write_pid_file(&self.plan);
        self.tell_ready();
    }

    /// Tells the service manager that this serves, and what.
    fn tell_ready(&self) {
        let summary = open::summary(&self.plan, &self.listeners);
        systemd::notify(&Notice::Ready(&summary));
    }

    fn run(mut self) -> ExitCode {
        loop {
            match self.runtime.block_on(self.wakes.next()) {
                Event::Stop => return self.stop(),
                Event::TakenOver(pid) => return self.leave(pid),
                Event::Reload => self.reload(),
                Event::Reopen => self.log.reopen(),
                Event::Look => self.look(),
            }
        }
    }

    /// Ends, once the cores have finished what they have.
    fn stop(self) -> ExitCode {
        systemd::notify(&Notice::Stopping);
        let drain = self.announce_end();
        self.finish(Cause::Stop, drain)
    }

    /// Says that this ends; gives the time for that.
    fn announce_end(&self) -> Duration {
        let drain = self.current.timeouts.drain;
        tracing::info!(
            connections = self.gate.connections(),
            seconds = drain.as_secs(),
            "finishing; a second signal ends at once"
        );
        drain
    }

    /// Another process serves in place of this one, which ends once the cores have finished what they have.
    fn leave(self, pid: Option<i32>) -> ExitCode {
        if let Some(pid) = pid {
            systemd::notify(&Notice::Successor(pid));
        }
        let drain = self.current.timeouts.takeover_drain;
        tracing::info!(
            pid,
            connections = self.gate.connections(),
            seconds = drain.as_secs(),
            "another process has taken over; finishing what is under way"
        );
        self.finish(Cause::TakenOver, drain)
    }

    /// Lets the cores finish what they have; another signal ends the process at once.
    fn finish(mut self, cause: Cause, drain: Duration) -> ExitCode {
        self.secure.stop();
        self.cores.drain(cause, drain);
        self.holdings.keep(&[]);
        if let Some(control) = self.control.take() {
            control.stop();
        }
        let mut finished = self.finishes_unasked();
        if !finished && cause == Cause::TakenOver {
            // Nobody had told this process to end before.
            self.cores.drain(Cause::Stop, self.announce_end());
            finished = self.finishes_unasked();
        }
        drop(self.pid_file.take());
        if finished {
            self.cores.join();
            tracing::info!("stopped");
            self.log.finish();
            ExitCode::SUCCESS
        } else {
            tracing::warn!("stopped at once");
            self.log.finish();
            std::process::exit(1)
        }
    }

    /// Waits for the cores to finish; false if a signal says before that this is to end.
    fn finishes_unasked(&mut self) -> bool {
        let Server {
            runtime,
            wakes,
            cores,
            ..
        } = self;
        runtime.block_on(async {
            tokio::select! {
                () = cores.finished() => true,
                () = asked_to_stop(&mut wakes.signals) => false,
            }
        })
    }

    /// Reads the configuration again; a wrong one is refused as a whole.
    fn reload(&mut self) {
        systemd::notify(&Notice::Reloading);
        match self.read_again() {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(error) => {
                self.secure.leave_unused();
                self.lasting.trusts.leave_unused();
                const REFUSED: &str = "the new configuration is refused, the old one stays";
                if self.plan.detaches() {
                    tracing::error!(%error, "{REFUSED}");
                } else {
                    tracing::error!("{REFUSED}");
                    // Several lines for a person, as `dreamserver check` shows them.
                    eprintln!("{error}");
                }
            }
        }
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        self.tell_ready();
    }

    /// Takes certificates that have changed; what does not do is reported, and what was there stays.
    fn look(&mut self) {
        if self.secure.look() {
            self.renew_certificates();
        }
        if self.lasting.trusts.have_changed() {
            self.renew_trusts();
        }
    }

    /// The files that routes name for their endpoints.
    fn renew_trusts(&mut self) {
        match build::snapshot(&self.plan.config, &mut self.lasting) {
            Ok(fresh) => {
                self.publish(Arc::new(fresh));
                tracing::info!("certificates for endpoints were read again");
            }
            Err(error) => tracing::error!("what was in use for endpoints stays: {error}"),
        }
    }

    fn renew_certificates(&mut self) {
        let config = self.plan.config.clone();
        match self.prepare(&config) {
            Ok(prepared) => {
                self.secure_by(prepared);
                tracing::info!("certificates were read again");
                self.tell_ready();
            }
            Err(error) => tracing::error!("the certificates that were in use stay: {error}"),
        }
    }

    /// Reads the certificates, and opens what is new of the listeners.
    fn prepare(&mut self, config: &Config) -> Result<Prepared, ReloadError> {
        let terms = self.secure.terms(config).map_err(ReloadError::Terms)?;
        if terms.is_none() && open::chose_tls(config) {
            return Err(ReloadError::NoCertificates);
        }
        let wanted = open::entries(config, terms.is_some());
        let is_new = |entry: &&ListenEntry| !self.listeners.iter().any(|old| old.entry == **entry);
        let added: Vec<ListenEntry> = wanted.iter().filter(is_new).copied().collect();
        let opened = open::open(&added, self.core_count, &mut Inherited::default());
        Ok(Prepared {
            terms: terms.unwrap_or_default(),
            opened: opened.map_err(ReloadError::Listen)?,
            wanted,
        })
    }

    /// Has handshakes go by what was prepared, and listens there.
    fn secure_by(&mut self, prepared: Prepared) {
        self.cores.secure(&prepared.terms);
        self.listen(prepared.opened, &prepared.wanted);
    }

    /// Prepares everything that may fail, and only then changes anything.
    fn read_again(&mut self) -> Result<(), ReloadError> {
        let config = self.plan.reload().map_err(ReloadError::Config)?;
        let fresh = build::snapshot(&config, &mut self.lasting).map_err(ReloadError::Build)?;
        let prepared = self.prepare(&config)?;
        let log = match config.log != self.plan.config.log {
            true => Some(log::Writer::start(&build::log(&config)).map_err(ReloadError::Log)?),
            false => None,
        };
        let limits = &config.limits;
        let most = limits.connections.unwrap_or(self.most_connections);
        self.gate.configure(most, limits.connections_per_address);
        self.publish(Arc::new(fresh));
        self.secure_by(prepared);
        self.secure.settle(&config);
        self.lasting.trusts.settle(&config);
        if let Some(log) = log {
            self.cores.redirect_log(&log);
            std::mem::replace(&mut self.log, log).finish();
            *self
                .log_place
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = build::log_place(&config);
        }
        if config.control != self.plan.config.control {
            tracing::warn!("what is new in `control` holds from the next start on");
        }
        self.plan.config = config;
        Ok(())
    }

    fn publish(&mut self, fresh: Arc<Snapshot>) {
        self.cores.send(|| Message::Publish(fresh.clone()));
        self.retired
            .push(std::mem::replace(&mut self.current, fresh));
    }

    /// Listens on what was opened, and no longer on what is not wanted.
    fn listen(&mut self, opened: Opened, wanted: &[ListenEntry]) {
        self.cores.listen(opened.by_core);
        let (kept, gone): (Vec<_>, Vec<_>) = self
            .listeners
            .drain(..)
            .partition(|listening| wanted.contains(&listening.entry));
        let gone: Vec<SocketAddr> = gone.into_iter().flat_map(|gone| gone.sockets).collect();
        if !gone.is_empty() {
            self.cores.send(|| Message::Unlisten(gone.clone()));
        }
        self.listeners = kept;
        self.listeners.extend(opened.listeners);
        self.holdings.keep(wanted);
        self.holdings.add(opened.holdings);
    }
}

/// What a change of the configuration or of the certificates needs.
struct Prepared {
    terms: Arc<Terms>,
    opened: Opened,
    wanted: Vec<ListenEntry>,
}

const NO_CERTIFICATES: &str = "\
there is no certificate for HTTPS
give the sites theirs with `tls = { cert = …, key = … }`, or make a CA for development with `dreamserver trust`";

/// Why a configuration was not taken over.
enum ReloadError {
    Config(Errors),
    Build(build::BuildError),
    Terms(TermsError),
    NoCertificates,
    Listen(open::ListenError),
    Log(io::Error),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::Config(errors) => errors.fmt(f),
            ReloadError::Build(error) => error.fmt(f),
            ReloadError::Terms(error) => error.fmt(f),
            ReloadError::NoCertificates => f.write_str(NO_CERTIFICATES),
            ReloadError::Listen(error) => error.fmt(f),
            ReloadError::Log(error) => write!(f, "the log cannot be opened: {error}"),
        }
    }
}

/// What handshakes will go by, and what keeps that true; nothing if there are no certificates.
fn open_secure(
    plan: &Plan,
    folder: Option<&Path>,
    permit: Permit,
) -> Result<(Secure, Option<Arc<Terms>>), StartError> {
    let mut secure = Secure::new(plan, folder, permit).map_err(StartError::Certificates)?;
    let terms = secure.terms(&plan.config).map_err(StartError::Terms)?;
    match terms.is_none() && open::chose_tls(&plan.config) {
        true => Err(StartError::NoCertificates),
        false => Ok((secure, terms)),
    }
}

/// Agrees with the running server that this one serves from now on. If it does not start, the other one hears why it goes on.
fn take_over(
    mut taking: Taking,
    started: Result<Server, StartError>,
    runtime: &Runtime,
) -> Result<Server, StartError> {
    let mut server = match started {
        Ok(server) => server,
        Err(error) => {
            runtime.block_on(taking.fail(&error.to_string()));
            return Err(error);
        }
    };
    if let Err(error) = runtime.block_on(taking.ready()) {
        // It waits for our end of the channel; what was accepted here is served here.
        drop(taking);
        server.finish(Cause::TakenOver, DRAIN_OF_THE_REFUSED);
        return Err(StartError::TakeOver(error));
    }
    server.hear();
    tracing::info!(
        version = taking.program,
        mode = taking.mode,
        "took over from a running server"
    );
    Ok(server)
}

/// A server that could not take over has accepted connections for a moment, and may take so long to serve them.
const DRAIN_OF_THE_REFUSED: Duration = Duration::from_secs(30);

async fn asked_to_stop(signals: &mut Signals) {
    while !matches!(signals.next().await, Event::Stop) {}
}

/// A server whose number nobody can read still serves.
fn write_pid_file(plan: &Plan) -> Option<PidFile> {
    let path = plan.pid_file.as_deref()?;
    let written = PidFile::write(path);
    written
        .inspect_err(|error| {
            tracing::warn!(%error, path = %path.display(), "no pid file: `dreamserver reload` will not find this server");
        })
        .ok()
}

/// How often the main thread looks whether certificates have changed.
const CERTIFICATES: Duration = Duration::from_secs(2);

/// How often the main thread looks whether the cores have ended.
const LOOK: Duration = Duration::from_millis(20);
