//! The control plane: programs on this machine announce names (`add example.com 5665`), and the cores serve them.
//!
//! It has a thread of its own, with less claim on the processor than the cores have. An announcement is parsed, made durable
//! together with the others that wait, routed, and only then answered. Nothing here is waited for by a request.

#![allow(
    clippy::disallowed_methods,
    reason = "this thread serves no requests, so that the runtime's own time-outs cost none of them anything"
)]

mod answer;
mod budget;
mod commit;
mod datagram;
mod host;
mod import;
mod lease;
mod line;
mod mirror;
mod name;
mod page;
mod probe;
mod switch;
mod table;

use crate::listener::Inherited;
use crate::server::Publisher;
use crate::state;
use answer::Control;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// How much less the control thread matters to the system than a core (nice(2)).
const NICENESS: i32 = 10;

/// What the control plane begins with.
pub struct Options {
    /// Where announcements come in, over UDP and TCP: loopback addresses.
    pub addresses: Vec<SocketAddr>,
    /// Where what was announced is kept.
    pub folder: PathBuf,
    /// Where names are routed.
    pub publisher: Publisher,
    /// The ports that this server listens on: nobody may have them as a target, which would go in circles.
    pub own_ports: Arc<Mutex<Vec<u16>>>,
    /// May names reach other machines?
    pub hosts: bool,
    /// Told when somebody asks the server to end.
    pub shutdown: mpsc::UnboundedSender<()>,
}

/// Why there is no control plane.
#[derive(Debug)]
pub enum StartError {
    /// Another program has the port.
    Taken(SocketAddr),
    /// The port cannot be had for another reason.
    Listen(SocketAddr, io::Error),
    /// What is announced cannot be kept there.
    Folder(state::FolderError),
    /// Nobody knows where to keep what is announced.
    NoFolder(state::NoFolder),
    /// What was announced before cannot be read.
    State(state::OpenError),
    /// The system gives no thread.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Taken(address) => {
                write!(
                    f,
                    "another program listens on {address}: is a dreamserver running already?"
                )
            }
            StartError::Listen(address, error) => {
                write!(f, "{address} cannot be listened on: {error}")
            }
            StartError::Folder(error) => error.fmt(f),
            StartError::NoFolder(error) => error.fmt(f),
            StartError::State(error) => error.fmt(f),
            StartError::System(error) => write!(f, "the system refuses what is needed: {error}"),
        }
    }
}

/// The control plane, as the main thread sees it.
pub struct Running {
    /// Where announcements come in.
    pub addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    /// Starts it, on sockets that are there already or else on new ones. What was announced before is routed when this
    /// returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: Options, inherited: &mut Inherited) -> Result<Running, StartError> {
        let ports = datagram::Ports::open(&options.addresses, inherited)?;
        let addresses = ports.addresses.clone();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let run = move || run(options, ports, stopped, &ready);
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(run)
            .map_err(StartError::System)?;
        match is_ready.recv() {
            Ok(Ok(())) => Ok(Running {
                addresses,
                stop,
                thread,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::System(io::Error::other("its thread ended"))),
        }
    }

    /// Ends it; what was acknowledged is on the disk already.
    pub fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the control plane ended by a fault of its own");
        }
    }
}

/// What the thread does.
fn run(
    options: Options,
    ports: datagram::Ports,
    stopped: oneshot::Receiver<()>,
    ready: &std::sync::mpsc::Sender<Result<(), StartError>>,
) {
    step_back();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(StartError::System(error)));
            return;
        }
    };
    runtime.block_on(async {
        match Control::open(options) {
            Ok((control, store)) => {
                let published = control.table.borrow_mut().publish();
                published.await;
                let _ = ready.send(Ok(()));
                serve(control, store, ports, stopped).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

async fn serve(
    control: Rc<Control>,
    store: state::Store,
    ports: datagram::Ports,
    stopped: oneshot::Receiver<()>,
) {
    let (sockets, listeners) = match ports.watch() {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(%error, "announcements cannot be received");
            return;
        }
    };
    for socket in sockets {
        tokio::task::spawn_local(datagram::receive(control.clone(), Rc::new(socket)));
    }
    for listener in listeners {
        tokio::task::spawn_local(line::accept(control.clone(), listener));
    }
    tokio::task::spawn_local(lease::expire(control.clone()));
    // Ends when it was told to, and the commit that is under way has ended.
    commit::run(control, store, stopped).await;
}

/// Lets the cores go first.
fn step_back() {
    // On Linux a thread has a niceness of its own, and 0 is the calling one (setpriority(2)). Without it announcements take a
    // little more from requests, no more.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
