//! HTTP/1.1 without IO: bytes in, events out.
//!
//! This crate never sees a socket or a clock, so it can be fuzzed, tested and reused alone. It holds
//! what HTTP means ([`Method`], [`Name`], [`Fields`], [`RequestHead`], [`ResponseHead`], [`Target`])
//! and how HTTP/1.1 writes it ([`h1`]), for the server's role and for the client's.
//!
//! A message that can be read in two ways is refused ([`Reject`]), never repaired.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod coding;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
pub mod h1;
mod head;
mod method;
mod name;
mod reject;
mod status;
pub mod target;

pub use coding::{AcceptEncoding, Choice, Coding};
pub use fields::{Field, Fields, InvalidField};
pub use head::{RequestHead, ResponseHead, Version};
pub use method::Method;
pub use name::{Name, NameSet};
pub use reject::{Reason, Reject};
pub use status::reason_phrase;
pub use target::{Target, TargetForm};
