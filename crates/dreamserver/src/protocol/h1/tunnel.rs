//! After a 101: bytes both ways until both sides have ended, each end passed on by itself.

use crate::exchange::Tunnel;
use crate::serve::Core;
use crate::stream::Stream;
use crate::time::Timer;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

/// A message of a chat or a game fits many times over.
const BUFFER: usize = 16 * 1024;

/// What passed through a tunnel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub(super) to_client: u64,
    pub(super) to_endpoint: u64,
}

/// Passes bytes until both directions have ended, one broke, or none came for the idle time. `early`
/// is what the client sent behind its head.
pub(super) async fn run(core: &Core, client: &Stream, early: Vec<u8>, tunnel: Tunnel) -> Passed {
    let endpoint = tunnel.stream;
    let mut up = Direction::new(early);
    let mut down = Direction::new(tunnel.received);
    let timer = Timer::new(&core.clock);
    let mut moved = u64::MAX;
    poll_fn(|cx| {
        if core.drain.is_cut() {
            return Poll::Ready(());
        }
        let states = (
            up.poll(client, &endpoint, cx),
            down.poll(&endpoint, client, cx),
        );
        match states {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
            _ => {}
        }
        if std::mem::replace(&mut moved, up.moved + down.moved) != moved {
            timer.set(tunnel.idle);
        }
        timer.poll(cx)
    })
    .await;
    Passed {
        to_client: down.moved,
        to_endpoint: up.moved,
    }
}

struct Direction {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    moved: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; what is in the buffer still goes out.
    Ending,
    Ended,
}

impl Direction {
    fn new(early: Vec<u8>) -> Direction {
        let end = early.len();
        let mut buffer = early;
        buffer.resize(end.max(BUFFER), 0);
        Direction {
            buffer,
            start: 0,
            end,
            moved: 0,
            state: State::Open,
        }
    }

    /// Moves what can be moved. Ready when this direction has ended.
    fn poll(&mut self, from: &Stream, to: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.start < self.end {
                let piece = [IoSlice::new(&self.buffer[self.start..self.end])];
                let count = ready!(to.poll_write(&piece, false, cx))?;
                self.start += count;
                self.moved += count as u64;
            }
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    to.shutdown(Shutdown::Write);
                    self.state = State::Ended;
                }
                State::Open => {
                    (self.start, self.end) = (0, 0);
                    self.end = ready!(from.poll_read(&mut self.buffer, cx))?;
                    if self.end == 0 {
                        self.state = State::Ending;
                    }
                }
            }
        }
    }
}
