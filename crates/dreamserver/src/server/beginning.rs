//! Before a server starts: is one running whose place it takes, and what comes from there?

use super::{StartError, announcements, displace, open};
use crate::cli::Plan;
use crate::control::{self, Before, Ports};
use crate::listener::{Inherited, busy_by};
use crate::state::{self, Folder, FolderError};
use crate::takeover::{self, Given, Serves, Taking};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What a server begins with.
#[derive(Default)]
pub(super) struct Beginning {
    /// Sockets that listen already.
    pub(super) inherited: Inherited,
    /// The running server that hands over.
    pub(super) taking: Option<Taking>,
    /// For announcements; nothing if there will be none.
    pub(super) desk: Option<Desk>,
}

/// What announcements need.
pub(super) struct Desk {
    pub(super) folder: Folder,
    pub(super) ports: Ports,
    pub(super) before: Option<Before>,
}

/// Why announcements cannot be taken.
#[derive(Debug)]
pub(super) enum NoDesk {
    /// They cannot be kept there.
    Folder(FolderError),
    /// Nobody knows where to keep them.
    NoFolder(state::NoFolder),
    /// Their port cannot be had, or the like.
    Control(control::StartError),
    /// The running server does not hand over, and goes on.
    TakeOver(takeover::Error),
    /// The running server does not answer; its process and name, if the system tells.
    Hangs(Option<(u32, String)>),
}

impl fmt::Display for NoDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoDesk::Folder(error) => error.fmt(f),
            NoDesk::NoFolder(error) => error.fmt(f),
            NoDesk::Control(error) => error.fmt(f),
            NoDesk::TakeOver(error) => {
                write!(
                    f,
                    "the running server does not hand over and goes on: {error}"
                )
            }
            NoDesk::Hangs(process) => {
                f.write_str("the running server does not answer")?;
                if let Some((pid, name)) = process {
                    write!(f, ": {name}, process {pid}")?;
                }
                f.write_str("\nif it hangs, end it with `kill -9` and start again: what was acknowledged is kept")
            }
        }
    }
}

impl NoDesk {
    /// The same, with who it is about.
    fn at(self, addresses: &[SocketAddr]) -> NoDesk {
        match self {
            NoDesk::TakeOver(takeover::Error::Slow) => {
                NoDesk::Hangs(addresses.first().and_then(|at| busy_by(at.port())))
            }
            error => error,
        }
    }
}

/// A server that ends or has just begun holds the folder for a moment without a door.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

impl Beginning {
    /// Looks for a running server, and has it hand over if the plan wants that. From then on it stands still, until it hears
    /// from [`Beginning::taking`] or that is dropped.
    ///
    /// # Errors
    /// Why there can be no announcements, if they are all that the server is for.
    pub(super) fn find(
        plan: &mut Plan,
        runtime: &Runtime,
        inherited: Inherited,
    ) -> Result<Beginning, StartError> {
        let mut beginning = Beginning {
            inherited,
            ..Beginning::default()
        };
        match beginning.desk(plan, runtime) {
            Ok(()) => {}
            Err(error) if plan.takes_over() => return Err(StartError::NoDesk(error)),
            Err(error) => {
                tracing::warn!("this server goes on without announcements: {error}");
            }
        }
        plan.listen_instead(open::passed(&beginning.inherited));
        Ok(beginning)
    }

    fn desk(&mut self, plan: &mut Plan, runtime: &Runtime) -> Result<(), NoDesk> {
        let Some(control) = plan.control() else {
            return Ok(());
        };
        let addresses = announcements::addresses(control);
        let path = state::folder(plan.overrides.state.as_deref()).map_err(NoDesk::NoFolder)?;
        let (folder, given) = match plan.takes_over() {
            true => runtime
                .block_on(self.folder(&path, plan.serves()))
                .map_err(|error| error.at(&addresses))?,
            false => (Folder::open(&path).map_err(NoDesk::Folder)?, None),
        };
        let (ports, before) = match given {
            Some(mut given) => {
                plan.listen_instead(given.entries);
                self.inherited.add_all(given.http);
                let ports = Ports::open(&addresses, &mut given.control);
                given.control.close_rest();
                let before = Before { names: given.names };
                (ports.map_err(NoDesk::Control)?, Some(before))
            }
            None => (self.ports(plan, &addresses)?, None),
        };
        self.desk = Some(Desk {
            folder,
            ports,
            before,
        });
        Ok(())
    }

    /// The folder of the state, and what the running server gives with it, if one has it.
    async fn folder(
        &mut self,
        path: &Path,
        serves: Serves,
    ) -> Result<(Folder, Option<Given>), NoDesk> {
        let end = Instant::now() + PATIENCE;
        loop {
            let in_use = match Folder::open(path) {
                Ok(folder) => return Ok((folder, None)),
                Err(error @ FolderError::InUse(_)) => error,
                Err(error) => return Err(NoDesk::Folder(error)),
            };
            if let Some(given) = self.ask(path, serves).await.map_err(NoDesk::TakeOver)? {
                let lock = given.lock.try_clone();
                let lock = lock.map_err(|error| FolderError::System(path.to_owned(), error));
                let folder = lock.and_then(|lock| Folder::adopt(path, lock));
                return Ok((folder.map_err(NoDesk::Folder)?, Some(given)));
            }
            if Instant::now() > end {
                return Err(NoDesk::Folder(in_use));
            }
            // This process does not serve yet.
            std::thread::sleep(LOOK);
        }
    }

    /// Asks the running server for everything; nothing if it has just ended.
    async fn ask(&mut self, path: &Path, serves: Serves) -> Result<Option<Given>, takeover::Error> {
        match self.try_to_ask(path, serves).await {
            Err(takeover::Error::Connection(_)) => Ok(None),
            asked => asked,
        }
    }

    async fn try_to_ask(
        &mut self,
        path: &Path,
        serves: Serves,
    ) -> Result<Option<Given>, takeover::Error> {
        let Some(mut taking) = takeover::ask(path, serves).await? else {
            return Ok(None);
        };
        let given = taking.take().await?;
        self.taking = Some(taking);
        Ok(Some(given))
    }

    /// The port for announcements; a program that is no dreamserver is asked to leave it.
    fn ports(&mut self, plan: &Plan, addresses: &[SocketAddr]) -> Result<Ports, NoDesk> {
        let of_system = addresses.iter().any(|address| address.port() == 0);
        // A port that the system is to choose is none that somebody has passed.
        let mut none = Inherited::default();
        let passed = if of_system {
            &mut none
        } else {
            &mut self.inherited
        };
        match Ports::open(addresses, passed) {
            Err(control::StartError::Taken(address)) if plan.is_core() => {
                displace::displace(address, &open::entries(&plan.config, true))
                    .map_err(NoDesk::Control)?;
                Ports::open(addresses, passed).map_err(NoDesk::Control)
            }
            ports => ports.map_err(NoDesk::Control),
        }
    }
}
