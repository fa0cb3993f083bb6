//! Certificates of public authorities: handshakes ask the store, and the store the office that orders them.

use crate::acme::{Clock, Office, Opening, Permit, Refusal};
use crate::challenges::Challenges;
use crate::config::AcmeOptions;
use crate::tls::{Store, Wanted};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

/// What the office begins with here.
pub struct Beginning {
    /// What the configuration says.
    pub options: AcmeOptions,
    /// Where everything is kept.
    pub folder: PathBuf,
    /// Where authorities will look.
    pub challenges: Challenges,
    /// Which names are served.
    pub permit: Permit,
}

/// Opens the office, and has it answer what the store is asked for.
///
/// # Errors
/// The office cannot be opened, or the system gives no thread.
pub fn start(
    beginning: Beginning,
    store: &Arc<Store>,
    asked: mpsc::Receiver<Wanted>,
) -> io::Result<Office> {
    let renewed = Arc::downgrade(store);
    let office = Office::start(Opening {
        options: beginning.options,
        folder: beginning.folder,
        challenges: beginning.challenges,
        permit: beginning.permit,
        announce: Box::new(move |name, credential| {
            if let Some(store) = renewed.upgrade() {
                store.put(name, credential.certified().clone());
            }
        }),
        clock: Clock::system(),
    })?;
    let runtime = Builder::new_current_thread().build()?;
    let (office_too, store) = (office.clone(), Arc::downgrade(store));
    let thread = thread::Builder::new().name("certificates".into());
    thread
        .spawn(move || LocalSet::new().block_on(&runtime, answer_all(office_too, store, asked)))?;
    Ok(office)
}

/// Ends with the store.
async fn answer_all(office: Office, store: Weak<Store>, mut asked: mpsc::Receiver<Wanted>) {
    while let Some(wanted) = asked.recv().await {
        spawn_local(answer(office.clone(), store.clone(), wanted));
    }
}

/// Whoever waits is told by the end of `done` if there is nothing.
async fn answer(office: Office, store: Weak<Store>, wanted: Wanted) {
    let Wanted { name, done } = wanted;
    match office.want(&name).await {
        Ok(credential) => {
            if let Some(store) = store.upgrade() {
                store.put(&name, credential.certified().clone());
            }
            // The client may be gone.
            let _ = done.send(());
        }
        // What failed was reported when it did.
        Err(refusal @ (Refusal::Busy | Refusal::Slow)) => {
            tracing::warn!("a handshake for {name} gets no certificate: {refusal}");
        }
        Err(refusal) => tracing::debug!("a handshake for {name} gets no certificate: {refusal}"),
    }
}
