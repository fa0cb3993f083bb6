//! Once, what the core server before this one had remembered is taken over.

use super::entries::Entries;
use super::name;
use crate::state::{self, Change, Entry, Folder, Store};
use dream_control::Domain;
use std::io;

/// Takes over what has not been announced here since.
///
/// # Errors
/// What the system says; it is tried again at the next start.
pub(super) fn import(folder: &Folder, store: &mut Store, entries: &mut Entries) -> io::Result<()> {
    let Some(path) = state::old_targets() else {
        return Ok(());
    };
    let Some(imported) = state::import(folder, &path)? else {
        return Ok(());
    };
    for line in &imported.bad {
        tracing::warn!(path = %path.display(), "not taken over: {line}");
    }
    let mut taken = Vec::new();
    for (domain, port) in imported.targets {
        match Domain::parse(&domain).map(|domain| name::ascii(&domain)) {
            Ok(Ok(name)) if !entries.contains_key(&name) => {
                taken.push((name, Entry::on_port(port)))
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(domain = &*domain, "not taken over: this is no name")
            }
        }
    }
    let changes: Vec<Change<'_>> = taken
        .iter()
        .map(|(name, entry)| Change::Set(name, entry))
        .collect();
    store.commit(&changes)?;
    state::remember_import(folder)?;
    tracing::info!(path = %path.display(), names = taken.len(), "the old core server's targets were taken over");
    for (name, entry) in taken {
        entries.insert(&name, entry);
    }
    Ok(())
}
