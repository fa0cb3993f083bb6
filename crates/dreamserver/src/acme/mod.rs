//! Certificates for public names, by themselves: ordered by ACME (RFC 8555) for names that are served here, kept on the disk and
//! renewed in time.
//!
//! The office has a thread of its own. It is told of names that came, and asked for certificates; whoever asks for one that is
//! not there yet waits for the same order as all others. What fails is remembered, told with the next step, and tried again by itself.

#![allow(
    clippy::disallowed_methods,
    reason = "this thread serves no requests, so that the runtime's own time-outs cost none of them anything"
)]

mod ask;
mod budget;
mod cache;
mod certify;
mod client;
mod clock;
mod desk;
mod entry;
mod failure;
mod folder;
mod import;
mod name;
mod order;
mod preflight;
mod renewal;
mod resolve;
mod session;
mod show;

pub use clock::Clock;
pub use import::{ImportError, leave};
pub use name::{Check, Permission, Unfit, Wildcard};

use crate::challenges::Challenges;
use crate::config::AcmeOptions;
use crate::credential::Credential;
use desk::Desk;
use resolve::Resolver;
use session::Session;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;
use tokio::sync::{mpsc, oneshot};

/// Says which names are served here, in lower case. It is asked on whatever thread wants a certificate, and must not wait.
pub type Permit = Arc<dyn Fn(&str) -> Permission + Send + Sync>;

/// Told of each certificate that is new or renewed, on the office's thread.
pub type Announce = Box<dyn Fn(&str, &Credential) + Send>;

/// What the office begins with.
pub struct Opening {
    /// What the configuration says.
    pub options: AcmeOptions,
    /// Where everything is kept: `acme` in the folder of the state. One office at a time has it.
    pub folder: PathBuf,
    /// Where authorities will look.
    pub challenges: Challenges,
    /// Which names are served.
    pub permit: Permit,
    /// Who is told of new certificates.
    pub announce: Announce,
    /// How late it is.
    pub clock: Clock,
}

/// Where certificates are asked for. A clone is the same office.
#[derive(Clone)]
pub struct Office(Arc<Inner>);

struct Inner {
    permit: Permit,
    wants: mpsc::Sender<Want>,
    orders: mpsc::UnboundedSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Somebody who waits for a certificate.
struct Want {
    name: String,
    permission: Permission,
    reply: oneshot::Sender<Result<Credential, Refusal>>,
}

/// What the office is told.
enum Order {
    Added(String),
    Renew(String, oneshot::Sender<Result<Credential, Refusal>>),
    List(oneshot::Sender<Vec<Row>>),
    Find(Which, usize, oneshot::Sender<Listed>),
    Pressing(usize, oneshot::Sender<Vec<Row>>),
    Import(String, oneshot::Sender<Result<Credential, ImportError>>),
    Stop,
}

/// What everything that is done for a certificate has in common.
struct Shop {
    options: AcmeOptions,
    folder: folder::Folder,
    challenges: Challenges,
    permit: Permit,
    clock: Clock,
    resolver: Resolver,
    /// The authorities, the first choice first.
    sessions: Vec<Session>,
}

/// Why there is no certificate for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No authority certifies such a name.
    Unfit(Unfit),
    /// Nothing is served by that name.
    NotServed,
    /// No certificates are ordered.
    Disabled,
    /// Too many wait already.
    Busy,
    /// The order takes longer than a handshake waits, and goes on.
    Slow,
    /// The order failed.
    Failed {
        /// What happened.
        error: String,
        /// The next step of whoever looks after the server.
        advice: String,
        /// When it is tried again.
        next: SystemTime,
    },
    /// The office is closed.
    Closed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unfit(unfit) => unfit.fmt(f),
            Refusal::NotServed => f.write_str("nothing is served by this name"),
            Refusal::Disabled => {
                f.write_str("no certificates are ordered (`acme.enabled = false`)")
            }
            Refusal::Busy => f.write_str("too many wait for certificates already"),
            Refusal::Slow => {
                f.write_str("the certificate is ordered, and takes longer than a handshake waits")
            }
            Refusal::Failed { error, advice, .. } => write!(f, "{error}; {advice}"),
            Refusal::Closed => f.write_str("this server orders no certificates any more"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What is known of the certificate of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name.
    pub name: String,
    /// Who issued the certificate, if there is one and it was looked at since the start.
    pub issuer: Option<String>,
    /// When it ends.
    pub not_after: Option<SystemTime>,
    /// When it is to be renewed.
    pub renewal: Option<SystemTime>,
    /// An order is under way.
    pub is_ordered: bool,
    /// What failed last, if nothing went well since.
    pub trouble: Option<RowTrouble>,
}

/// Which names are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those behind this one, in the order of the names; all of them behind the empty one.
    After(String),
    /// Those that have this in them.
    Matching(String),
    /// This one.
    Only(String),
}

/// Some of the names.
#[derive(Debug, Default)]
pub struct Listed {
    /// How many there are, whatever was asked for.
    pub total: usize,
    /// Those, in their order.
    pub rows: Vec<Row>,
}

/// What failed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowTrouble {
    /// What happened.
    pub error: String,
    /// The next step of whoever looks after the server.
    pub advice: String,
    /// How many attempts failed in a row.
    pub failures: u32,
    /// When it is tried again.
    pub next: SystemTime,
}

/// So many who wait are let in between two looks of the office.
const WANTS: usize = 1024;

impl Office {
    /// Opens the office. Orders that were not finished go on.
    ///
    /// # Errors
    /// Its folder cannot be used, or what it needs to trust an authority cannot be read.
    pub fn start(opening: Opening) -> io::Result<Office> {
        let (wants, wanted) = mpsc::channel(WANTS);
        let (orders, ordered) = mpsc::unbounded_channel();
        let permit = opening.permit.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let run = move || run(opening, wanted, ordered, &ready);
        let thread = thread::Builder::new().name("acme".into()).spawn(run)?;
        is_ready
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("its thread ended")))?;
        Ok(Office(Arc::new(Inner {
            permit,
            wants,
            orders,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// The certificate of a name: at once if it is kept, else when the order for it ends; within the time that handshakes wait.
    ///
    /// # Errors
    /// Why there is none. A name that may not have one takes neither memory nor time of the office.
    pub async fn want(&self, name: &str) -> Result<Credential, Refusal> {
        let name = name::tidy(name);
        name::check(&name).map_err(Refusal::Unfit)?;
        let permission = (self.0.permit)(&name);
        if permission == Permission::No {
            return Err(Refusal::NotServed);
        }
        let (reply, answer) = oneshot::channel();
        let want = Want {
            name,
            permission,
            reply,
        };
        self.0.wants.try_send(want).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Busy,
            mpsc::error::TrySendError::Closed(_) => Refusal::Closed,
        })?;
        answer.await.unwrap_or(Err(Refusal::Closed))
    }

    /// A name is served from now on: its certificate is ordered if there is none. Names that can have none are passed over.
    pub fn added(&self, name: &str) {
        let name = name::tidy(name);
        if name::check(&name).is_ok() {
            self.order(Order::Added(name));
        }
    }

    /// Orders a new certificate now, whatever there is, and whatever failed before.
    ///
    /// # Errors
    /// Why there is no new one.
    pub async fn renew(&self, name: &str) -> Result<Credential, Refusal> {
        let name = name::tidy(name);
        name::check(&name).map_err(Refusal::Unfit)?;
        if (self.0.permit)(&name) == Permission::No {
            return Err(Refusal::NotServed);
        }
        let (reply, answer) = oneshot::channel();
        self.order(Order::Renew(name, reply));
        answer.await.unwrap_or(Err(Refusal::Closed))
    }

    /// All names with a certificate, an order or a failure, in their order.
    pub async fn list(&self) -> Vec<Row> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::List(reply));
        answer.await.unwrap_or_default()
    }

    /// Some of the names with a certificate, an order or a failure: no more than so many.
    pub async fn find(&self, wanted: Which, most: usize) -> Listed {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Find(wanted, most, reply));
        answer.await.unwrap_or_default()
    }

    /// Names that are served and that somebody should look at, because an attempt has failed, or a certificate ends within 14 days
    /// and should have been renewed: no more than so many.
    pub async fn pressing(&self, most: usize) -> Vec<Row> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Pressing(most, reply));
        answer.await.unwrap_or_default()
    }

    /// Takes what was left for a name by [`leave`].
    ///
    /// # Errors
    /// Why it is of no use.
    pub async fn import(&self, name: &str) -> Result<Credential, ImportError> {
        let name = name::tidy(name);
        name::check(&name).map_err(ImportError::Unfit)?;
        let (reply, answer) = oneshot::channel();
        self.order(Order::Import(name, reply));
        answer.await.unwrap_or(Err(ImportError::Closed))
    }

    /// Closes it. An order that is under way is gone on with by whoever opens the folder next.
    pub fn stop(&self) {
        self.order(Order::Stop);
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the office for certificates ended by a fault of its own");
        }
    }

    fn order(&self, order: Order) {
        // A closed office answers nobody, and who waits hears that.
        let _ = self.0.orders.send(order);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread ends by itself; nobody has to wait for it.
        let _ = self.orders.send(Order::Stop);
    }
}

/// What the thread does.
fn run(
    opening: Opening,
    wanted: mpsc::Receiver<Want>,
    ordered: mpsc::UnboundedReceiver<Order>,
    ready: &std::sync::mpsc::Sender<io::Result<()>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        match Desk::open(opening) {
            Ok(desk) => {
                let _ = ready.send(Ok(()));
                desk.serve(wanted, ordered).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

impl Shop {
    fn open(opening: Opening) -> io::Result<(Shop, Announce)> {
        let folder = folder::Folder::open(&opening.folder)?;
        let options = opening.options;
        let authorities = [Some(&options.authority), options.fallback.as_ref()];
        let sessions = authorities.into_iter().flatten();
        let shop = Shop {
            sessions: sessions
                .map(|authority| Session::open(authority, &folder))
                .collect::<io::Result<_>>()?,
            resolver: Resolver::new(options.resolver)?,
            challenges: opening.challenges,
            permit: opening.permit,
            clock: opening.clock,
            options,
            folder,
        };
        Ok((shop, opening.announce))
    }
}
