//! The giver's part of the conversation.

use super::Error;
use super::channel::Channel;
use super::message::{Giver, NEWEST, OLDEST, Purpose, Serves, Taker};
use crate::exchange::Scheme;
use rustix::process::{Pid, Signal, kill_process};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A process that is there answers at once.
const ANSWER: Duration = Duration::from_secs(5);
/// Within this time the taker has read the state and started its cores: a million names take two seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who asks to take over.
pub struct Asking {
    channel: Channel,
    pid: Option<Pid>,
    /// The version that was agreed on.
    version: u32,
}

/// What is handed over.
pub struct Offer<'a> {
    /// The lock of the state's folder.
    pub lock: BorrowedFd<'a>,
    /// All listening sockets.
    pub sockets: &'a [(Purpose, OwnedFd)],
    /// So many names are in the state.
    pub names: usize,
}

impl Asking {
    pub(super) fn new(channel: Channel, pid: Option<Pid>) -> Asking {
        Asking {
            channel,
            pid,
            version: OLDEST,
        }
    }

    /// The number of its process, where the system tells.
    pub fn pid(&self) -> Option<i32> {
        self.pid.map(Pid::as_raw_pid)
    }

    /// Makes acquaintance; ends when the taker wants to have everything. Nothing needs to stand still before.
    ///
    /// # Errors
    /// [`Error`] says why it will not come to that.
    pub async fn meet(&mut self, serves: Serves, mode: &str) -> Result<(), Error> {
        let hello = self.channel.hear(ANSWER).await?;
        let Taker::Hello {
            oldest,
            newest,
            serves: other,
            ..
        } = hello
        else {
            return Err(Error::Unexpected(hello.to_string()));
        };
        if newest < OLDEST || oldest > NEWEST {
            let reason = format!(
                "its take-over has the versions {oldest} to {newest}, ours {OLDEST} to {NEWEST}"
            );
            return self.refuse(reason).await;
        }
        if other == Serves::Core && serves == Serves::Sites {
            return self.refuse(SITES.into()).await;
        }
        self.version = newest.min(NEWEST);
        let hello = Giver::Hello {
            version: self.version,
            program: env!("CARGO_PKG_VERSION").into(),
            serves,
            mode: mode.into(),
        };
        self.channel.say(hello).await?;
        match self.channel.hear(ANSWER).await? {
            Taker::Give => Ok(()),
            said => Err(unwanted(said)),
        }
    }

    /// Says that nothing will be handed over, and why.
    async fn refuse(&mut self, reason: String) -> Result<(), Error> {
        self.channel.say(Giver::No(reason.clone())).await?;
        Err(Error::Refused(reason))
    }

    /// Hands everything over; the taker serves when this returns, and waits for a moment until this is dropped. Announcements
    /// must not be read meanwhile, nor the state be written.
    ///
    /// # Errors
    /// [`Error`] says why the taker does not serve. It is gone then, and the giver can go on.
    pub async fn give(&mut self, offer: &Offer<'_>) -> Result<(), Error> {
        let result = self.try_to_give(offer).await;
        if result.is_err() {
            self.end().await;
        }
        result
    }

    async fn try_to_give(&mut self, offer: &Offer<'_>) -> Result<(), Error> {
        let (channel, version) = (&mut self.channel, self.version);
        channel.hand(Giver::Lock, offer.lock).await?;
        for (purpose, socket) in offer.sockets {
            if version == WITHOUT_TLS && is_for_tls(purpose) {
                continue;
            }
            let line = Giver::Socket(purpose.clone());
            channel.hand(line, socket.as_fd()).await?;
        }
        channel.say(Giver::All(offer.names)).await?;
        match channel.hear(PATIENCE).await? {
            Taker::Ready => channel.say(Giver::Go).await?,
            said => return Err(unwanted(said)),
        }
        match channel.hear(ANSWER).await? {
            Taker::Running => Ok(()),
            said => Err(unwanted(said)),
        }
    }

    /// Makes sure that the taker has ended: two must not write the state.
    async fn end(&mut self) {
        if tokio::time::timeout(ANSWER, self.channel.closed())
            .await
            .is_ok()
        {
            return;
        }
        if let Some(pid) = self.pid {
            // It has the other end of the channel, so the number is still its own.
            let _ = kill_process(pid, Signal::KILL);
        }
        self.channel.closed().await;
    }
}

/// The version of the conversation that knows no sockets for TLS: such a taker serves without them, as it was made to.
const WITHOUT_TLS: u32 = 1;

fn is_for_tls(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::Clients(entry) if entry.scheme == Scheme::Https)
}

const SITES: &str = "a server with a configuration of its own runs there; `dreamserver run --take-over` takes its place";

fn unwanted(said: Taker) -> Error {
    match said {
        Taker::No(reason) => Error::Refused(reason),
        said => Error::Unexpected(said.to_string()),
    }
}
