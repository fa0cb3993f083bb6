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
mod certs;
mod commit;
mod datagram;
mod entries;
mod hand_over;
mod health;
mod host;
mod import;
mod lease;
mod line;
mod mirror;
mod name;
mod owners;
mod page;
mod probe;
mod probes;
mod process;
mod switch;
mod table;
mod view;

use crate::certificates::Register;
use crate::cli::Mode;
use crate::log;
use crate::server::Publisher;
use crate::state::{self, Folder};
use crate::takeover::{Holdings, Serves};
use answer::Control;
use datagram::Watched;

pub use datagram::Ports;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use tokio::sync::mpsc;

/// How much less the control thread matters to the system than a core (nice(2)).
const NICENESS: i32 = 10;

/// What the control plane begins with.
pub struct Options {
    /// Where what was announced is kept.
    pub folder: Folder,
    /// What the server before had in mind, if this one takes over.
    pub before: Option<Before>,
    /// Where names are routed.
    pub publisher: Publisher,
    /// The listeners of this server: nobody may have their ports as a target, which would go in circles, and whoever takes
    /// over gets them.
    pub holdings: Holdings,
    /// Do names belong to users?
    pub owners: bool,
    /// How this server runs.
    pub mode: Mode,
    /// Where its log is found.
    pub log: Arc<Mutex<log::Place>>,
    /// May names reach other machines?
    pub hosts: bool,
    /// What the server is there for.
    pub serves: Serves,
    /// Told when the server is to end.
    pub endings: mpsc::UnboundedSender<Ending>,
    /// What is known of certificates.
    pub certificates: Arc<Register>,
    /// Told of each name that was announced, once it is routed.
    pub served: Served,
}

/// Told of a name.
pub type Served = Box<dyn Fn(&str) + Send>;

/// What is not in the state, and is known by the server that hands over.
pub struct Before {
    /// So many names are in the state.
    pub names: usize,
}

/// Why the server is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Somebody asked for it.
    Shutdown,
    /// Another process serves in its place: this one, if the system tells.
    TakenOver(Option<i32>),
}

/// Why there is no control plane.
#[derive(Debug)]
pub enum StartError {
    /// Another program has the port.
    Taken(SocketAddr),
    /// The port cannot be had for another reason.
    Listen(SocketAddr, io::Error),
    /// What was announced before cannot be read.
    State(state::OpenError),
    /// The server before knew more or fewer names than were found.
    Differs {
        /// So many it knew.
        known: usize,
        /// So many there are.
        found: usize,
    },
    /// The system gives no thread.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Taken(address) => {
                write!(
                    f,
                    "another program listens on {address}: is a dreamserver running already? `dreamserver stop` ends it, \
                     and --control names another port"
                )
            }
            StartError::Listen(address, error) => {
                write!(f, "{address} cannot be listened on: {error}")
            }
            StartError::State(error) => error.fmt(f),
            StartError::Differs { known, found } => write!(
                f,
                "{found} names were found, and the server before knew {known}"
            ),
            StartError::System(error) => write!(f, "the system refuses what is needed: {error}"),
        }
    }
}

/// The control plane, as the main thread sees it.
pub struct Running {
    /// Where announcements come in.
    pub addresses: Vec<SocketAddr>,
    orders: mpsc::UnboundedSender<Order>,
    thread: thread::JoinHandle<()>,
}

/// What the main thread says to it.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    Hear,
    Stop,
}

impl Running {
    /// Starts it at these ports. What was announced before is routed when this returns; announcements wait until
    /// [`Running::hear`].
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: Options, ports: Ports) -> Result<Running, StartError> {
        let addresses = ports.addresses.clone();
        let (orders, given) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let run = move || run(options, ports, given, &ready);
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(run)
            .map_err(StartError::System)?;
        match is_ready.recv() {
            Ok(Ok(())) => Ok(Running {
                addresses,
                orders,
                thread,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::System(io::Error::other("its thread ended"))),
        }
    }

    /// Has announcements be read and kept from now on.
    pub fn hear(&self) {
        self.order(Order::Hear);
    }

    /// The address of the live view, as a browser opens it.
    pub fn view(&self) -> String {
        view::address(&self.addresses)
    }

    /// Ends it; what was acknowledged is on the disk already.
    pub fn stop(self) {
        self.order(Order::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the control plane ended by a fault of its own");
        }
    }

    fn order(&self, order: Order) {
        // It may have ended by itself.
        let _ = self.orders.send(order);
    }
}

/// What the thread does.
fn run(
    options: Options,
    ports: Ports,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ready: &std::sync::mpsc::Sender<Result<(), StartError>>,
) {
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
        match begin(options, ports).await {
            Ok((control, store, ports)) => {
                // Until here nobody is served whose name was announced before.
                step_back();
                let _ = ready.send(Ok(()));
                if orders.recv().await == Some(Order::Hear) {
                    hand_over::serve(control, store, ports, orders).await;
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

/// Routes what was announced before.
async fn begin(
    options: Options,
    ports: Ports,
) -> Result<(Rc<Control>, state::Store, Watched), StartError> {
    let addresses = ports.addresses.clone();
    let ports = ports.watch().map_err(StartError::System)?;
    let (control, store) = Control::open(options, addresses)?;
    let published = control.table.borrow_mut().publish();
    published.await;
    Ok((control, store, ports))
}

/// Lets the cores go first.
fn step_back() {
    // On Linux a thread has a niceness of its own, and 0 is the calling one (setpriority(2)). Without it announcements take a
    // little more from requests, no more.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
