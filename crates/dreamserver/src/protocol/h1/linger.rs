//! Closing so that the client still reads the answer: a close with unread bytes makes the kernel send a reset,
//! which throws away what the client has not read yet (RFC 9112 §9.6).

use super::incoming::Incoming;
use crate::limits::Timeouts;
use crate::stream::Stream;
use crate::time::Timer;
use std::future::poll_fn;
use std::net::Shutdown;
use std::task::Poll;

/// Ends our sending and discards what the client still sends, for a bounded time.
pub(super) async fn close(stream: &Stream, incoming: Option<Box<Incoming>>, timeouts: &Timeouts) {
    stream.shutdown(Shutdown::Write);
    let Some(incoming) = incoming else { return };
    discard(stream, &incoming.timer, timeouts).await;
    incoming.timer.clear();
}

/// Reads what the client still sends, and throws it away, until it ends or its time is over.
pub async fn discard(stream: &Stream, timer: &Timer, timeouts: &Timeouts) {
    let total = Timer::new(timer.clock());
    total.set(timeouts.linger_total);
    timer.set(timeouts.linger);
    poll_fn(|cx| {
        // Not outside: it would be a part of every connection, lingering or not.
        let mut scratch = [0; 4096];
        loop {
            match stream.poll_read(&mut scratch, cx) {
                Poll::Ready(Ok(count)) if count > 0 => timer.set(timeouts.linger),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
            if total.poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        let over = total.poll(cx).is_ready() | timer.poll(cx).is_ready();
        if over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Breaks the connection off, so that the client cannot take half an answer for a whole one.
pub(super) fn reset(stream: &Stream) {
    // With a linger time of zero the close that follows sends a reset; if that cannot be set, a plain close must do.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO));
}
