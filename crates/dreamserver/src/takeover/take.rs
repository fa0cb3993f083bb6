//! The taker's part of the conversation.

use super::Error;
use super::channel::Channel;
use super::door::knock;
use super::message::{Giver, NEWEST, OLDEST, Purpose, Serves, Taker};
use crate::address::ListenEntry;
use crate::listener::Inherited;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// The giver lets announcements end that it has begun with, and the disk its turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// The giver accepts no more connections after this time.
const GOODBYE: Duration = Duration::from_secs(2);

/// A running server that hands over.
pub struct Taking {
    channel: Channel,
    /// In which mode it is.
    pub mode: String,
    /// The version of its program.
    pub program: String,
}

/// What was handed over.
pub struct Given {
    /// The lock of the state's folder.
    pub lock: OwnedFd,
    /// Where HTTP clients connect.
    pub http: Inherited,
    /// The entries of `listen` that these sockets are for.
    pub entries: Vec<ListenEntry>,
    /// Where announcements come in.
    pub control: Inherited,
    /// So many names are in the state.
    pub names: usize,
}

/// Asks whoever serves with the state in `folder` to hand over; nothing if nobody answers.
///
/// # Errors
/// [`Error`] says why it does not; it goes on.
pub async fn ask(folder: &Path, serves: Serves) -> Result<Option<Taking>, Error> {
    let Some(stream) = knock(folder)? else {
        return Ok(None);
    };
    let mut channel = Channel::new(stream)?;
    let hello = Taker::Hello {
        oldest: OLDEST,
        newest: NEWEST,
        program: env!("CARGO_PKG_VERSION").into(),
        serves,
    };
    channel.say(hello).await?;
    match channel.hear(PATIENCE).await? {
        Giver::Hello { program, mode, .. } => Ok(Some(Taking {
            channel,
            mode,
            program,
        })),
        said => Err(unwanted(said)),
    }
}

impl Taking {
    /// Takes everything. The giver stands still from here, until it goes on or ends.
    ///
    /// # Errors
    /// [`Error`] says what stands in the way.
    pub async fn take(&mut self) -> Result<Given, Error> {
        self.channel.say(Taker::Give).await?;
        let said = self.channel.hear(PATIENCE).await?;
        let Giver::Lock = said else {
            return Err(unwanted(said));
        };
        let mut given = Given {
            lock: self.channel.descriptor()?,
            http: Inherited::default(),
            entries: Vec::new(),
            control: Inherited::default(),
            names: 0,
        };
        loop {
            match self.channel.hear(PATIENCE).await? {
                Giver::Socket(purpose) => given.add(purpose, self.channel.descriptor()?)?,
                Giver::All(names) => {
                    given.names = names;
                    return Ok(given);
                }
                said => return Err(unwanted(said)),
            }
        }
    }

    /// Says that this process serves as well; when this returns, it is the only one, and the state is its own.
    ///
    /// # Errors
    /// [`Error`] says that the giver has gone on.
    pub async fn ready(&mut self) -> Result<(), Error> {
        match self.agree().await {
            // A giver that goes on waits for our end first: this one has ended itself, and what it had is here.
            Err(Error::Connection(error)) => {
                tracing::warn!(%error, "the server before ended while it handed over");
                Ok(())
            }
            agreed => agreed,
        }
    }

    async fn agree(&mut self) -> Result<(), Error> {
        self.channel.say(Taker::Ready).await?;
        match self.channel.hear(PATIENCE).await? {
            Giver::Go => self.channel.say(Taker::Running).await?,
            said => return Err(unwanted(said)),
        }
        // The state is ours now, whether the other one accepts connections for longer or not.
        let _ = timeout(GOODBYE, self.channel.closed()).await;
        Ok(())
    }

    /// Says that this process cannot go on, and why.
    pub async fn fail(self, reason: &str) {
        // The giver hears that we end in any case.
        let _ = self.channel.say(Taker::No(reason.to_owned())).await;
    }
}

impl Given {
    fn add(&mut self, purpose: Purpose, socket: OwnedFd) -> Result<(), Error> {
        let inherited = match purpose {
            Purpose::Clients(entry) => {
                if !self.entries.contains(&entry) {
                    self.entries.push(entry);
                }
                &mut self.http
            }
            Purpose::Control => &mut self.control,
        };
        let unfit = |unfit| Error::Unexpected(format!("a socket that {unfit}"));
        inherited.add(socket).map_err(unfit)
    }
}

fn unwanted(said: Giver) -> Error {
    match said {
        Giver::No(reason) => Error::Refused(reason),
        said => Error::Unexpected(said.to_string()),
    }
}
