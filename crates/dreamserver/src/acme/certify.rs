//! One attempt to get a certificate: is it wanted, does the name lead here, and which authority gives it?

use super::ask;
use super::failure::{Cause, Failure};
use super::folder::{Stored, Way};
use super::name::{self, Permission, Wildcard};
use super::order::{Given, Wish, order};
use super::preflight;
use super::session::{Session, slow};
use super::{Shop, renewal};
use instant_acme::{Account, CertificateIdentifier};
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// The attempt. `before` is the certificate that there is, which the new one will take the place of.
///
/// # Errors
/// The first of what kept the authorities from it.
pub(super) async fn certify(
    shop: &Shop,
    name: &str,
    before: Option<&Stored>,
) -> Result<Given, Failure> {
    let ways = ways(shop, name, before.and_then(|before| before.way)).await?;
    let mut failed: Option<Failure> = None;
    for session in &shop.sessions {
        let same = before
            .filter(|before| before.directory.as_deref() == Some(&session.authority.directory));
        let leaf = same.and_then(|before| before.credential.certified().cert.first());
        let wish = Wish {
            name,
            ways: &ways,
            replaces: leaf,
            renews: before.is_some(),
        };
        match one(shop, session, &wish).await {
            Ok(given) => return Ok(given),
            Err(failure) => {
                let go_on = failure.is_of_authority();
                failed = Some(failed.map_or(failure.clone(), |first| both(first, failure)));
                if !go_on {
                    break;
                }
            }
        }
    }
    let none = || {
        Failure::new(
            Cause::Own,
            "there is no authority to ask",
            "set `acme.directory`",
        )
    };
    Err(failed.unwrap_or_else(none))
}

/// May the name have a certificate, now that the wildcard that holds for it was asked?
pub(super) async fn is_permitted(permission: Permission, name: &str) -> bool {
    match permission {
        Permission::Exact => true,
        Permission::No => false,
        Permission::Wildcard(wildcard) => is_known(&wildcard, name).await,
    }
}

/// Does whoever serves the wildcard know of the name?
async fn is_known(wildcard: &Wildcard, name: &str) -> bool {
    let Some(check) = wildcard
        .check
        .as_ref()
        .filter(|_| !name::is_too_wide(&wildcard.pattern))
    else {
        return false;
    };
    for address in &check.addresses {
        if let Ok(answer) = ask::get(*address, name, &check.path, 0).await {
            return (200..300).contains(&answer.status);
        }
    }
    false
}

/// Which ways could work, the best first.
async fn ways(shop: &Shop, name: &str, before: Option<Way>) -> Result<Vec<Way>, Failure> {
    if shop.options.preflight {
        return preflight::check(
            name,
            before,
            &shop.options,
            &shop.resolver,
            &shop.challenges,
        )
        .await;
    }
    // Nobody knows; an attempt that fails is followed by one the other way.
    let mut ways = vec![Way::Http, Way::TlsAlpn];
    if before.or(shop
        .folder
        .trouble(name)
        .and_then(|trouble| trouble.next_way()))
        == Some(Way::TlsAlpn)
    {
        ways.reverse();
    }
    Ok(ways)
}

/// One authority. What is no refusal — a nonce that is too old, an account that it has lost — is asked again.
async fn one(shop: &Shop, session: &Session, wish: &Wish<'_>) -> Result<Given, Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        let ordered = timeout(shop.options.timeout, order(shop, session, wish)).await;
        let given = ordered.unwrap_or_else(|_| Err(slow()));
        match given.as_ref().map_err(|failure| failure.cause) {
            Err(Cause::Nonce) if tries < TRIES => {}
            Err(Cause::Account) if tries < TRIES => {
                session.forget_account(&shop.folder, true).await;
            }
            Err(Cause::Unreachable) => {
                session.forget_account(&shop.folder, false).await;
                return given;
            }
            _ => return given,
        }
    }
}

/// An authority that refuses nonce after nonce has a fault of its own.
const TRIES: usize = 4;

/// Both authorities failed: the first is the one to look at.
fn both(first: Failure, second: Failure) -> Failure {
    let not_before = match (first.not_before, second.not_before) {
        (Some(one), Some(other)) => Some(one.min(other)),
        // One of the two may be asked as soon as usual.
        _ => None,
    };
    Failure {
        text: format!("{}; and the fallback: {}", first.text, second.text),
        not_before,
        ..first
    }
}

/// When the authority wants the certificate to be renewed (RFC 9773 §4.2), and when it is to be asked again.
pub(super) struct Advice {
    pub(super) span: Option<(SystemTime, SystemTime)>,
    pub(super) again: Duration,
}

/// Asks the authority that gave a certificate; where it has no opinion, nothing.
pub(super) async fn advice(shop: &Shop, directory: &str, leaf: &CertificateDer<'_>) -> Advice {
    let none = Advice {
        span: None,
        again: renewal::ASK,
    };
    let mut sessions = shop.sessions.iter();
    let Some(session) = sessions.find(|session| session.authority.directory == directory) else {
        return none;
    };
    let Ok(account) = session.account(&shop.folder, &shop.options).await else {
        return none;
    };
    ask_account(&account, leaf).await.unwrap_or(none)
}

async fn ask_account(account: &Account, leaf: &CertificateDer<'_>) -> Option<Advice> {
    let certificate = CertificateIdentifier::try_from(leaf).ok()?;
    let (said, again) = account.renewal_info(&certificate).await.ok()?;
    let time = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    let window = said.suggested_window;
    let (start, end) = (
        time(window.start.unix_timestamp()),
        time(window.end.unix_timestamp()),
    );
    if let Some(page) = said.explanation_url {
        tracing::info!(
            page,
            "an authority explains when it wants a certificate to be renewed"
        );
    }
    // A window that ends before it begins says nothing (RFC 9773 §4.2).
    Some(Advice {
        span: (start < end).then_some((start, end)),
        again: renewal::ask_again(again),
    })
}
