//! Where certificates come from: files that the configuration names, and what is made for names that have none; and whose
//! certificates are believed.

mod endpoints;
mod files;
mod issuers;
pub mod local;
mod policy;
pub mod public;
mod register;
mod terms;
mod tickets;

pub use endpoints::{TrustError, Trusts, proven_name};
pub use files::{Files, PairError, load_pair};
pub use issuers::{IssuersError, load_issuers, system_issuers};
pub use policy::{PolicyError, load_policy, policy_id};
pub use register::{Kind, Named, NoOffice, Register, Row, SOON, Trouble};
pub use terms::{TermsError, build};
pub use tickets::KeptKeys;
