//! What may wait for a disk, also when it is dropped.

use std::io;
use tokio::runtime::Handle;

use super::super::root::blocking;

/// A value that a core holds and that is worked on, and dropped, beside the core. Invariant: it is there until it is taken out.
pub(super) struct Elsewhere<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Elsewhere<T> {
    pub(super) fn new(value: T) -> Elsewhere<T> {
        Elsewhere(Some(value))
    }

    /// Works on the value and gives it back, or drops it where it was worked on: also when nobody waits for it any more.
    pub(super) async fn with<R, E>(
        self,
        work: impl FnOnce(&mut T) -> Result<R, E> + Send + 'static,
    ) -> Result<(Elsewhere<T>, R), E>
    where
        R: Send + 'static,
        E: From<io::Error> + Send + 'static,
    {
        self.finish(move |mut value| {
            let result = work(&mut value)?;
            Ok((Elsewhere::new(value), result))
        })
        .await
    }

    /// Works on the value for the last time.
    pub(super) async fn finish<R, E>(
        mut self,
        work: impl FnOnce(T) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<io::Error> + Send + 'static,
    {
        match self.0.take() {
            Some(value) => blocking(move || Ok(work(value))).await?,
            None => Err(io::Error::other("it was taken out already").into()),
        }
    }
}

impl<T: Send + 'static> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            // Where the runtime is ending the value is dropped at once instead.
            drop(runtime.spawn_blocking(move || drop(value)));
        }
    }
}
