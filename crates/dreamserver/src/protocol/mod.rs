//! From bytes to exchanges and back. Behind this room nothing can tell which protocol it was.

pub mod h1;
