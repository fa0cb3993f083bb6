//! What signs certificates in development: a CA of this machine, which only the browsers of its user trust.
//!
//! Where [mkcert](https://github.com/FiloSottile/mkcert) keeps a CA, that one signs. Otherwise one of our own does, once its user has
//! made and installed it with `dreamserver trust`. Whoever steals the key of a CA can pass for every name that it may sign, before
//! everybody who trusts it; so ours may sign next to nothing. Its certificate says, in critical extensions (RFC 5280 §4.2.1), that it
//! is good for servers below `localhost`, `test`, `internal` and `home.arpa` and for loopback addresses only, and for no further CA. A
//! real domain gets a CA of its own, for that domain.
//!
//! ```text
//! authority/                  the folder, only for its owner
//!   ca.pem                    the certificate of our own CA, for whoever wants to trust it
//!   ca.key                    its key (PKCS#8, as PEM), mode 0600
//!   ca.stores                 the stores that it is installed in, one a line; without one it does not sign
//!   ca-for-example.com.pem    the same for a CA of one name
//!   ca-for-example.com.key
//!   ca-for-example.com.stores
//! ```
//!
//! A file is replaced whole, and the key before the certificate: what is half done is seen, and made anew.

mod ca;
mod certificate;
mod constraints;
mod current;
mod error;
mod files;
mod installed;
mod local_ca;
mod name;
pub mod own;
mod places;
pub mod stores;

#[cfg(test)]
pub(crate) mod tests;

pub use self::certificate::Certificate;
pub use self::constraints::Constraints;
pub use self::current::CurrentCa;
pub use self::error::AuthorityError;
pub use self::local_ca::LocalCa;
pub use self::name::Name;
pub use self::places::{Kind, Places};
