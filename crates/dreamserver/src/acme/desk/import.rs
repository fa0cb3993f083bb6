//! Certificates that somebody has left in the folder are taken.

use super::super::entry::{Certificate, Known, Progress};
use super::super::folder::Kind;
use super::super::import::ImportError;
use super::super::renewal;
use super::Desk;
use crate::credential::Credential;
use std::io;
use std::sync::Arc;

impl Desk {
    /// Takes what was left for a name: it serves from now on, and is renewed like any other.
    pub(super) fn import(&mut self, name: &Arc<str>) -> Result<Credential, ImportError> {
        let now = self.shop.clock.now();
        let stored = self.shop.folder.take_import(name, now)?;
        let credential = stored.credential.clone();
        let entry = self.entry(name);
        entry.certificate = Certificate::Known(Known::of(&stored, now + renewal::ASK));
        if entry.progress == Progress::Queued {
            entry.progress = Progress::Idle;
        }
        if entry.trouble.take().is_some() {
            self.forget_trouble(name);
        }
        let until = httpdate::fmt_http_date(credential.not_after());
        let issuer = credential.issuer();
        tracing::info!(name = &**name, issuer, until, "a certificate was imported");
        self.cache.put(name, credential.clone());
        (self.announce)(name, &credential);
        self.entry(name).answer(&Ok(credential.clone()));
        self.schedule(name);
        Ok(credential)
    }

    /// Takes all that was left while nobody was here.
    pub(super) fn import_all(&mut self) -> io::Result<()> {
        for name in self.shop.folder.names(Kind::Imports)? {
            // What is wrong with one is said where it is set aside.
            let _ = self.import(&name.into());
        }
        Ok(())
    }
}
