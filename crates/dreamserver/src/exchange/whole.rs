//! Bodies that are read whole, for handlers that need all of it at once.

use super::{Body, BodyError, BodyHandle, Request};
use dream_http::{Name, ResponseHead};
use std::future::poll_fn;

impl Request {
    /// Reads the whole body, of at most `limit` bytes; takes it from the request. A client that waits to be told to send it
    /// (`Expect: 100-continue`) is told, if it is not too large.
    ///
    /// # Errors
    /// [`BodyError`] if it is larger or breaks off; [`error::body`](crate::error::body) is the answer to that.
    pub async fn read_body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let mut whole = Vec::new();
        self.read_pieces(limit as u64, |piece| whole.extend_from_slice(piece))
            .await?;
        Ok(whole)
    }

    /// Shows `each` piece of the body as it comes, of at most `limit` bytes in all, and keeps nothing of it; takes it from the
    /// request. A client that waits to be told to send it is told, as by [`Request::read_body`].
    ///
    /// # Errors
    /// As [`Request::read_body`].
    pub async fn read_pieces(
        &mut self,
        limit: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), BodyError> {
        if self.body.len().is_some_and(|len| len > limit) {
            return Err(BodyError::TooLarge);
        }
        match std::mem::take(&mut self.body) {
            Body::Empty | Body::File(_) | Body::Parts(_) | Body::Tunnel(_) => Ok(()),
            Body::Bytes(bytes) => {
                each(&bytes);
                Ok(())
            }
            Body::Stream(mut stream) => {
                self.invite();
                stream.set_limit(limit);
                read(&mut stream, limit, each).await
            }
        }
    }

    /// RFC 9110 §10.1.1: whoever reads a body says so to a client that waits.
    pub(crate) fn invite(&self) {
        let expected = self.head.fields.get(Name::Expect);
        let waits = expected.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        if let Some(interim) = self.interim.as_ref().filter(|_| waits) {
            let mut head = ResponseHead::default();
            head.begin(100);
            interim.send(&head);
        }
    }
}

async fn read(
    stream: &mut BodyHandle,
    limit: u64,
    mut each: impl FnMut(&[u8]),
) -> Result<(), BodyError> {
    let mut left = limit;
    loop {
        poll_fn(|cx| stream.poll_ready(cx)).await?;
        let data = stream.data();
        if data.is_empty() {
            return Ok(());
        }
        let taken = data.len();
        left = left.checked_sub(taken as u64).ok_or(BodyError::TooLarge)?;
        each(data);
        stream.consume(taken);
    }
}
