//! One authority: connections to it, our account there, and what it was asked lately.

use super::budget::Budget;
use super::client::Client;
use super::failure::{self, Cause, Failure};
use super::folder::{Folder, Kind};
use crate::config::{AcmeOptions, Authority};
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// An authority, and what we have with it.
pub(super) struct Session {
    pub(super) authority: Authority,
    client: Client,
    /// What the files are called that are about it.
    file: String,
    /// One at a time looks for the account or makes it; the others wait and have the same.
    account: Mutex<Found>,
    budget: RefCell<Budget>,
}

/// Our account, or why we have none.
#[derive(Default)]
enum Found {
    #[default]
    NotYet,
    Account(Account),
    /// So it was at that time.
    Failed(Instant, Failure),
}

/// Whoever looks for the account within this time after it was looked for in vain hears the same: an authority that does not
/// answer is not waited for by one name after the other.
const FRESH: Duration = Duration::from_secs(10);

impl Session {
    /// The authority, with what is remembered of it.
    pub(super) fn open(authority: &Authority, folder: &Folder) -> io::Result<Session> {
        let file = file_name(&authority.directory);
        let client = Client::new(authority).map_err(|error| match &authority.root {
            Some(path) => io::Error::other(format!("{}: {error}", path.display())),
            None => error,
        })?;
        let budget = folder.read_json(Kind::Budgets, &file).unwrap_or_default();
        Ok(Session {
            authority: authority.clone(),
            client,
            account: Mutex::default(),
            budget: RefCell::new(budget),
            file,
        })
    }

    /// Our account, which is made if there is none.
    pub(super) async fn account(
        &self,
        folder: &Folder,
        options: &AcmeOptions,
    ) -> Result<Account, Failure> {
        let mut found = self.account.lock().await;
        match &*found {
            Found::Account(account) => return Ok(account.clone()),
            Found::Failed(at, failure) if at.elapsed() < FRESH => return Err(failure.clone()),
            Found::NotYet | Found::Failed(..) => {}
        }
        let looked = self.look_for_account(folder, options).await;
        *found = match &looked {
            Ok(account) => Found::Account(account.clone()),
            // The next try may go well at once.
            Err(failure) if failure.cause == Cause::Nonce => Found::NotYet,
            Err(failure) => Found::Failed(Instant::now(), failure.clone()),
        };
        looked
    }

    async fn look_for_account(
        &self,
        folder: &Folder,
        options: &AcmeOptions,
    ) -> Result<Account, Failure> {
        let account = match folder.read_json::<AccountCredentials>(Kind::Accounts, &self.file) {
            Some(known) => self.builder().from_credentials(known).await,
            None => self.create(folder, options).await?,
        };
        account.map_err(|error| self.failure(error))
    }

    async fn create(
        &self,
        folder: &Folder,
        options: &AcmeOptions,
    ) -> Result<Result<Account, Error>, Failure> {
        if !options.terms {
            let advice = "read the authority's terms and set `acme.terms = true`";
            return Err(Failure::new(
                Cause::Own,
                "its terms of service are not agreed to",
                advice,
            ));
        }
        let contact: Vec<&str> = options.contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let eab = self.authority.eab.as_ref();
        let eab = eab.map(|eab| ExternalAccountKey::new(eab.id.clone(), &eab.key));
        let directory = self.authority.directory.clone();
        let created = self
            .builder()
            .create(&wanted, directory, eab.as_ref())
            .await;
        let (account, credentials) = match created {
            Ok(created) => created,
            Err(Error::Api(problem)) if eab.is_some() && is_of_account(&problem) => {
                let advice =
                    "see that `id` and `key` of `acme.eab` are those that the authority gave you";
                let told = failure::explain(&problem).text;
                return Err(Failure::new(Cause::Authority, told, advice));
            }
            Err(error) => return Ok(Err(error)),
        };
        folder
            .write_json(Kind::Accounts, &self.file, &credentials)
            .map_err(|error| unkept("the account", &error))?;
        tracing::info!(
            directory = self.authority.directory,
            "made an account with an authority"
        );
        Ok(Ok(account))
    }

    fn builder(&self) -> instant_acme::AccountBuilder {
        Account::builder_with_http(Box::new(self.client.clone()))
    }

    /// Has the account be looked for again, as its directory may have changed; makes a new one if the authority has lost it.
    pub(super) async fn forget_account(&self, folder: &Folder, lost: bool) {
        let mut found = self.account.lock().await;
        if matches!(*found, Found::Account(_)) {
            *found = Found::NotYet;
        }
        if lost && let Err(error) = folder.remove(Kind::Accounts, &self.file) {
            tracing::warn!(%error, "the file of a lost account cannot be removed");
        }
    }

    /// What an error of the protocol means.
    pub(super) fn failure(&self, error: Error) -> Failure {
        let pause = self.client.take_pause();
        match error {
            Error::Api(problem) => failure::explain(&problem).not_before(pause),
            Error::Timeout(_) => slow(),
            Error::Json(_) | Error::Str(_) | Error::Unsupported(_) => Failure::new(
                Cause::Unreachable,
                format!("the authority answers what makes no sense: {error}"),
                format!(
                    "look whether {} is the directory of an authority",
                    self.authority.directory
                ),
            )
            .not_before(pause),
            error => Failure::new(
                Cause::Unreachable,
                format!("the authority cannot be reached: {}", whole(&error)),
                format!("see that this machine reaches {}", self.authority.directory),
            ),
        }
    }

    /// What it was asked lately.
    pub(super) fn budget(&self) -> std::cell::Ref<'_, Budget> {
        self.budget.borrow()
    }

    /// Writes down what it was asked now.
    pub(super) fn count(&self, folder: &Folder, count: impl FnOnce(&mut Budget)) {
        count(&mut self.budget.borrow_mut());
        let budget = self.budget.borrow();
        if let Err(error) = folder.write_json(Kind::Budgets, &self.file, &*budget) {
            tracing::warn!(%error, "what authorities were asked cannot be kept");
        }
    }
}

/// The authority takes too long.
pub(super) fn slow() -> Failure {
    let text = "the authority takes too long";
    Failure::new(Cause::Unreachable, text, "it is tried again by itself")
}

/// Something cannot be written to the disk.
pub(super) fn unkept(what: &str, error: &io::Error) -> Failure {
    let text = format!("{what} cannot be kept: {error}");
    Failure::new(
        Cause::Own,
        text,
        "look at the disk of the state's folder: is it full?",
    )
}

/// An error with its causes: the last one says what people look for.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Its host, for people, and a number, as two directories may have one host.
fn file_name(directory: &str) -> String {
    let uri = directory.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    let host: String = host.chars().filter(is_plain).take(100).collect();
    format!(
        "{}-{:08x}.json",
        host.trim_start_matches('.'),
        crc32fast::hash(directory.as_bytes())
    )
}

/// Does the authority refuse the account itself (RFC 8555 §7.3.4)?
fn is_of_account(problem: &instant_acme::Problem) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.ends_with(":unauthorized") || kind.ends_with(":malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_the_directory() {
        let name = file_name("https://acme-v02.api.letsencrypt.org/directory");
        assert!(name.starts_with("acme-v02.api.letsencrypt.org-"), "{name}");
        assert_ne!(file_name("https://a/1"), file_name("https://a/2"));
        for odd in ["", "https://[::1]:14000/dir", "https://..//"] {
            let name = file_name(odd);
            assert!(
                !name.starts_with('.') && !name.contains(['/', ':']),
                "{name}"
            );
        }
    }
}
