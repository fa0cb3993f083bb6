//! What a program that uses the library has made itself, among plain data.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Something shared that is equal to itself only.
pub struct Own<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Own<T> {
    /// This one.
    pub fn new(own: Arc<T>) -> Own<T> {
        Own(own)
    }

    /// It, shared.
    pub fn share(&self) -> Arc<T> {
        self.0.clone()
    }
}

impl<T: ?Sized> Clone for Own<T> {
    fn clone(&self) -> Own<T> {
        Own(self.share())
    }
}

impl<T: ?Sized> fmt::Debug for Own<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl<T: ?Sized> PartialEq for Own<T> {
    fn eq(&self, other: &Own<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> Eq for Own<T> {}

impl<T: ?Sized> Hash for Own<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}
