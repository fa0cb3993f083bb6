//! The keys of tickets in the folder of the state: clients that were here before a restart resume all the same.

use crate::tls::TicketKeys;
use crate::whole_file;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The file in the folder of the state.
const NAME: &str = "ticket-keys";

/// The keys, and where they are kept.
pub struct KeptKeys {
    keys: Arc<TicketKeys>,
    /// Nothing where there is no folder: then they end with the process.
    file: Option<PathBuf>,
}

impl KeptKeys {
    /// The keys in this folder, or fresh ones.
    pub fn open(folder: Option<&Path>, now: SystemTime) -> KeptKeys {
        let file = folder.map(|folder| folder.join(NAME));
        let kept = file.as_ref().and_then(|file| read(file, now));
        let keys = kept.unwrap_or_else(|| TicketKeys::new(now));
        let kept = KeptKeys {
            keys: Arc::new(keys),
            file,
        };
        kept.keep();
        kept
    }

    /// The keys.
    pub fn keys(&self) -> &Arc<TicketKeys> {
        &self.keys
    }

    /// Changes the keys if it is time.
    pub fn rotate(&self, now: SystemTime) {
        if self.keys.rotate(now) {
            self.keep();
        }
    }

    /// What cannot be kept costs clients a whole handshake after a restart, and nothing else.
    fn keep(&self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = whole_file::replace(file, &self.keys.to_bytes(), 0o600) {
            tracing::warn!(%error, file = %file.display(), "the keys of tickets are not kept over a restart");
        }
    }
}

fn read(file: &Path, now: SystemTime) -> Option<TicketKeys> {
    let bytes = fs::read(file).ok()?;
    TicketKeys::from_bytes(&bytes, now)
        .inspect_err(
            |error| tracing::warn!(file = %file.display(), "{error}; there are new ones now"),
        )
        .ok()
}
