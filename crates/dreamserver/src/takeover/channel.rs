//! Lines over a unix socket, some with a descriptor.

use super::Error;
use crate::stream::{Watched, watch};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::timeout;

/// No line is longer: the longest has a name, which has at most 255 bytes, or a reason.
const LONGEST: usize = 4096;
/// So many descriptors come with one reading at most; each line brings one.
const DESCRIPTORS: usize = 64;

/// One end of it.
pub(super) struct Channel {
    socket: Watched,
    received: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Channel {
    pub(super) fn new(stream: UnixStream) -> io::Result<Channel> {
        stream.set_nonblocking(true)?;
        Ok(Channel {
            socket: watch(
                Rc::new(stream.into()),
                Interest::READABLE | Interest::WRITABLE,
            )?,
            received: Vec::new(),
            descriptors: VecDeque::new(),
        })
    }

    /// Says a line.
    pub(super) async fn say(&self, line: impl fmt::Display) -> Result<(), Error> {
        let line = format!("{line}\n");
        let mut sent = 0;
        while sent < line.len() {
            sent += self.send(&line.as_bytes()[sent..], None).await?;
        }
        Ok(())
    }

    /// Says a line that a descriptor belongs to.
    pub(super) async fn hand(
        &self,
        line: impl fmt::Display,
        descriptor: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let line = format!("{line}\n");
        // It goes with the first byte.
        let mut sent = self.send(line.as_bytes(), Some(descriptor)).await?;
        while sent < line.len() {
            sent += self.send(&line.as_bytes()[sent..], None).await?;
        }
        Ok(())
    }

    /// The next line, within `patience`.
    pub(super) async fn hear<L: FromStr>(&mut self, patience: Duration) -> Result<L, Error> {
        let line = timeout(patience, self.line())
            .await
            .map_err(|_| Error::Slow)??;
        line.parse().map_err(|_| Error::Unexpected(line))
    }

    /// The descriptor of the line that was heard last.
    pub(super) fn descriptor(&mut self) -> Result<OwnedFd, Error> {
        let missing = || io::Error::other("a descriptor is missing");
        Ok(self.descriptors.pop_front().ok_or_else(missing)?)
    }

    /// Waits until the other end is closed, whatever it may still say.
    pub(super) async fn closed(&mut self) {
        while self.receive().await.is_ok() {
            self.received.clear();
            self.descriptors.clear();
        }
    }

    async fn line(&mut self) -> Result<String, Error> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.received) {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.received.len() > LONGEST {
                let line = String::from_utf8_lossy(&self.received[..64]);
                return Err(Error::Unexpected(format!("{line}…")));
            }
            self.receive().await?;
        }
    }

    async fn send(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<usize> {
        loop {
            let mut guard = self.socket.writable().await?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors = descriptor.as_slice();
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            let sent = sendmsg(
                &self.socket,
                &[IoSlice::new(bytes)],
                &mut control,
                SendFlags::NOSIGNAL,
            );
            match sent {
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                sent => return Ok(sent?),
            }
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        loop {
            let mut guard = self.socket.readable().await?;
            let mut bytes = [0; LONGEST];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received = recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            );
            match received {
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Ok(received) if received.bytes == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                received => {
                    self.received.extend(&bytes[..received?.bytes]);
                    for message in control.drain() {
                        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                            self.descriptors.extend(descriptors);
                        }
                    }
                    return Ok(());
                }
            }
        }
    }
}
