//! Where certificates come from: files that the configuration names, and what is made for names that have none.

mod files;
pub mod local;
mod policy;
pub mod public;
mod terms;
mod tickets;

pub use files::{Files, PairError, load_pair};
pub use policy::{PolicyError, load_policy, policy_id};
pub use terms::{TermsError, build};
pub use tickets::KeptKeys;
