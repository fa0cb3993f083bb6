//! What is remembered of where a CA is installed: a CA that nobody trusts signs nothing.

use super::places::{Kind, stem};
use super::{AuthorityError, Places, files};
use std::fs;
use std::path::PathBuf;

/// Is the CA installed in any store, as far as we know? mkcert keeps no account of that, and installs what it makes.
pub(super) fn is_somewhere(places: &Places, kind: &Kind) -> bool {
    *kind == Kind::Mkcert || !stores(places, kind).is_empty()
}

/// The stores that a CA of ours is installed in, by their names.
pub(super) fn stores(places: &Places, kind: &Kind) -> Vec<String> {
    let text = file(places, kind).and_then(|path| fs::read_to_string(path).ok());
    let text = text.unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Remembers the stores that a CA of ours is installed in.
///
/// # Errors
/// The file cannot be written.
pub(super) fn remember(
    places: &Places,
    kind: &Kind,
    stores: &[String],
) -> Result<(), AuthorityError> {
    let path = file(places, kind).ok_or(AuthorityError::NoFolder)?;
    match stores {
        [] => files::remove(&path),
        stores => files::replace(&path, format!("{}\n", stores.join("\n")).as_bytes(), 0o644),
    }
}

fn file(places: &Places, kind: &Kind) -> Option<PathBuf> {
    Some(places.own.as_ref()?.join(format!("{}{ENDING}", stem(kind))))
}

/// How the file ends.
pub(super) const ENDING: &str = ".stores";
