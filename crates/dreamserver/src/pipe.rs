//! Pipes through which the kernel moves large bodies from one socket to another, so that they are never copied into our
//! memory and out again (`splice`, Linux only).

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};

/// So many pipes of a thread are open at most, with two descriptors each. Who gets none copies.
const MOST: usize = 64;

/// Bytes that a pipe holds at most, which is what the system allows everybody. Smaller ones cost more system calls and wake
/// whoever is at the other end more often; measured at 10 MiB, 256 KiB cost an eighth more.
#[cfg(target_os = "linux")]
const CAPACITY: usize = 1024 * 1024;

/// A pipe that holds less is not used.
#[cfg(target_os = "linux")]
const WORTHWHILE: usize = 64 * 1024;

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// A pipe, and how much is in it. Dropped while it is empty, it is kept for the next body.
#[derive(Debug)]
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// An empty pipe, if there may be another one and the system gives it.
    pub fn take() -> Option<Pipe> {
        if let Some(pipe) = EMPTY.with_borrow_mut(Vec::pop) {
            return Some(pipe);
        }
        if OPEN.get() == MOST {
            return None;
        }
        let (read, write) = open()?;
        OPEN.set(OPEN.get() + 1);
        let ends = Some(Ends { read, write });
        Some(Pipe { ends, held: 0 })
    }

    /// Bytes that are in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves up to `most` bytes from a socket into the pipe, which is empty; 0 is the socket's end.
    ///
    /// # Errors
    /// What the socket says; `EAGAIN` if nothing is there.
    pub fn fill(&mut self, socket: BorrowedFd<'_>, most: u64) -> rustix::io::Result<usize> {
        let ends = self.ends.as_ref().ok_or(Errno::BADF)?;
        self.held = splice_in(socket, &ends.write, most)?;
        Ok(self.held)
    }

    /// Moves what fits from the pipe into a socket; `more` says that more will follow at once.
    ///
    /// # Errors
    /// What the socket says; `EAGAIN` if nothing fits.
    pub fn drain(&mut self, socket: BorrowedFd<'_>, more: bool) -> rustix::io::Result<usize> {
        let ends = self.ends.as_ref().ok_or(Errno::BADF)?;
        let count = splice_out(&ends.read, socket, self.held, more)?;
        self.held -= count;
        Ok(count)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.ends.is_none() {
            return;
        }
        if self.held > 0 {
            OPEN.set(OPEN.get() - 1);
            return;
        }
        // A thread that ends keeps nothing; then the ends are closed here.
        let _ = EMPTY.try_with(|empty| {
            let ends = self.ends.take();
            empty.borrow_mut().push(Pipe { ends, held: 0 });
        });
    }
}

#[cfg(target_os = "linux")]
fn open() -> Option<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
    let ends = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    // Who has many pipes open already may get smaller ones, down to where copying is better.
    let _ = fcntl_setpipe_size(&ends.1, CAPACITY);
    let capacity = fcntl_getpipe_size(&ends.1).ok()?;
    (capacity >= WORTHWHILE).then_some(ends)
}

#[cfg(target_os = "linux")]
fn splice_in(socket: BorrowedFd<'_>, pipe: &OwnedFd, most: u64) -> rustix::io::Result<usize> {
    use rustix::pipe::{SpliceFlags, splice};
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    let most = usize::try_from(most).map_or(CAPACITY, |most| most.min(CAPACITY));
    splice(socket, None, pipe, None, most, flags)
}

#[cfg(target_os = "linux")]
fn splice_out(
    pipe: &OwnedFd,
    socket: BorrowedFd<'_>,
    count: usize,
    more: bool,
) -> rustix::io::Result<usize> {
    use rustix::pipe::{SpliceFlags, splice};
    let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    flags.set(SpliceFlags::MORE, more);
    splice(pipe, None, socket, None, count, flags)
}

#[cfg(not(target_os = "linux"))]
fn open() -> Option<(OwnedFd, OwnedFd)> {
    None
}

#[cfg(not(target_os = "linux"))]
fn splice_in(_: BorrowedFd<'_>, _: &OwnedFd, _: u64) -> rustix::io::Result<usize> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
fn splice_out(_: &OwnedFd, _: BorrowedFd<'_>, _: usize, _: bool) -> rustix::io::Result<usize> {
    Err(Errno::NOSYS)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_pass_and_an_empty_pipe_is_used_again() {
        let (mut from, ours) = UnixStream::pair().unwrap();
        let (sink, mut to) = UnixStream::pair().unwrap();
        from.write_all(b"hello").unwrap();
        let mut pipe = Pipe::take().unwrap();
        assert_eq!(pipe.fill(ours.as_fd(), 3), Ok(3));
        assert_eq!(pipe.drain(sink.as_fd(), false), Ok(3));
        assert_eq!(pipe.fill(ours.as_fd(), 100), Ok(2));
        assert_eq!(pipe.drain(sink.as_fd(), false), Ok(2));
        let mut got = [0; 5];
        to.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        drop(pipe);
        assert_eq!(EMPTY.with_borrow(Vec::len), 1);
        drop(Pipe::take());
        assert_eq!(OPEN.get(), 1);
    }

    #[test]
    fn a_pipe_with_something_in_it_is_never_used_again() {
        let (mut from, ours) = UnixStream::pair().unwrap();
        from.write_all(b"secret").unwrap();
        let mut pipe = Pipe::take().unwrap();
        assert_eq!(pipe.fill(ours.as_fd(), 6), Ok(6));
        drop(pipe);
        assert_eq!((EMPTY.with_borrow(Vec::len), OPEN.get()), (0, 0));
    }

    #[test]
    fn there_are_never_too_many() {
        let pipes: Vec<Pipe> = std::iter::from_fn(Pipe::take).collect();
        assert_eq!(pipes.len(), MOST);
    }
}
