//! One order with one authority (RFC 8555 §7.4), from its beginning or from where a process before left off.
//!
//! ```text
//! pending ──(the name is shown to be ours)──▶ ready ──(a key to certify)──▶ processing ──▶ valid: the certificate
//!    └──────────────▶ invalid ◀──────────────────┘
//! ```

use super::Shop;
use super::failure::{Cause, Failure};
use super::folder::{self, Kind, Way};
use super::session::{Session, unkept};
use super::show;
use crate::challenges::Held;
use crate::credential::Credential;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeStatus,
    ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use std::time::Duration;

/// What is wanted.
pub(super) struct Wish<'a> {
    pub(super) name: &'a str,
    /// How the authority may see that the name is ours, the best first.
    pub(super) ways: &'a [Way],
    /// The certificate that the new one comes after, if the same authority gave it.
    pub(super) replaces: Option<&'a CertificateDer<'static>>,
    /// There is one already, of whomever.
    pub(super) renews: bool,
}

/// What is given.
pub(super) struct Given {
    pub(super) credential: Credential,
    pub(super) directory: String,
    pub(super) way: Option<Way>,
}

/// Orders a certificate, and keeps it.
pub(super) async fn order(
    shop: &Shop,
    session: &Session,
    wish: &Wish<'_>,
) -> Result<Given, Failure> {
    let account = session.account(&shop.folder, &shop.options).await?;
    let mut paper = match pick_up(shop, session, &account, wish).await {
        Some(paper) => paper,
        None => begin(shop, session, &account, wish).await?,
    };
    let given = paper.carry_out().await.map_err(|failure| Failure {
        tried: wish.ways.first().copied(),
        ..failure
    });
    let is_over = match &given {
        Ok(_) => true,
        // What was refused stays so; what only broke off goes on with the next attempt.
        Err(failure) => failure.cause == Cause::Validation || paper.is_invalid(),
    };
    if is_over && let Err(error) = shop.folder.remove(Kind::Orders, wish.name) {
        tracing::warn!(%error, name = wish.name, "a finished order cannot be removed");
    }
    if given
        .as_ref()
        .is_err_and(|failure| failure.cause == Cause::Validation)
    {
        session.count(&shop.folder, |budget| {
            budget.failed(wish.name, shop.clock.now())
        });
    }
    given
}

/// An order that is under way.
struct Paper<'a> {
    shop: &'a Shop,
    session: &'a Session,
    wish: &'a Wish<'a>,
    order: Order,
    key: Option<String>,
}

/// The order that was not finished, if it is one with this authority and of use.
async fn pick_up<'a>(
    shop: &'a Shop,
    session: &'a Session,
    account: &Account,
    wish: &'a Wish<'a>,
) -> Option<Paper<'a>> {
    let kept = shop.folder.order(wish.name)?;
    if kept.directory != session.authority.directory {
        return None;
    }
    let mut order = account.order(kept.url).await.ok()?;
    let is_of_use = match order.state().status {
        OrderStatus::Pending | OrderStatus::Ready => true,
        // Without the key, its certificate is of no use.
        OrderStatus::Processing | OrderStatus::Valid => kept.key.is_some(),
        OrderStatus::Invalid => false,
    };
    is_of_use.then_some(Paper {
        shop,
        session,
        wish,
        order,
        key: kept.key,
    })
}

async fn begin<'a>(
    shop: &'a Shop,
    session: &'a Session,
    account: &Account,
    wish: &'a Wish<'a>,
) -> Result<Paper<'a>, Failure> {
    let now = shop.clock.now();
    if shop.options.budgets {
        let allowed = session.budget().allows(wish.name, wish.renews, now);
        allowed.map_err(|spent| {
            let advice = "nothing is to be done but to wait; for an authority of your own, set `acme.budgets = false`";
            Failure::new(Cause::Authority, spent.to_string(), advice).not_before(Some(spent.until))
        })?;
    }
    check_profile(session, account)?;
    session.count(&shop.folder, |budget| budget.ordered(now));
    let order = place(session, account, wish)
        .await
        .map_err(|error| session.failure(error))?;
    let paper = Paper {
        shop,
        session,
        wish,
        order,
        key: None,
    };
    paper.keep()?;
    Ok(paper)
}

/// The profiles that there are can be known before an order fails.
fn check_profile(session: &Session, account: &Account) -> Result<(), Failure> {
    let Some(wanted) = &session.authority.profile else {
        return Ok(());
    };
    let known: Vec<&str> = account.profiles().map(|profile| profile.name).collect();
    if known.is_empty() || known.contains(&wanted.as_str()) {
        return Ok(());
    }
    let text = format!("the authority has no profile `{wanted}`");
    let advice = format!("set `acme.profile` to one of {}", known.join(", "));
    Err(Failure::new(Cause::Authority, text, advice))
}

async fn place(session: &Session, account: &Account, wish: &Wish<'_>) -> Result<Order, Error> {
    let names = [Identifier::Dns(wish.name.to_owned())];
    let plain = || {
        let order = NewOrder::new(&names);
        match &session.authority.profile {
            Some(profile) => order.profile(profile),
            None => order,
        }
    };
    let replaced = wish
        .replaces
        .and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
    let Some(replaced) = replaced else {
        return account.new_order(&plain()).await;
    };
    match account.new_order(&plain().replaces(replaced)).await {
        // The authority does not know about that, or has another opinion (RFC 9773 §5): it is no reason to go without.
        Err(Error::Unsupported(_) | Error::Other(_)) => account.new_order(&plain()).await,
        Err(Error::Api(problem)) if !is(&problem, "rateLimited") => {
            account.new_order(&plain()).await
        }
        placed => placed,
    }
}

fn is(problem: &Problem, kind: &str) -> bool {
    problem
        .r#type
        .as_deref()
        .is_some_and(|found| found.ends_with(kind))
}

impl Paper<'_> {
    async fn carry_out(&mut self) -> Result<Given, Failure> {
        let mut way = None;
        if self.order.state().status == OrderStatus::Pending {
            let (shown, _held) = self.show().await?;
            way = shown;
            let polled = self.order.poll_ready(&self.patience()).await;
            let status = polled.map_err(|error| self.session.failure(error))?;
            if status == OrderStatus::Invalid {
                return Err(self.why().await);
            }
        }
        let key = self.key()?;
        if self.order.state().status == OrderStatus::Ready {
            let request = request(self.wish.name, &key)?;
            let finalized = self.order.finalize_csr(&request).await;
            finalized.map_err(|error| self.session.failure(error))?;
        }
        let chain = self.order.poll_certificate(&self.patience()).await;
        let chain = chain.map_err(|error| self.session.failure(error))?;
        self.take(&chain, &key, way)
    }

    /// Shows that the name is ours, as long as what is given back is kept.
    async fn show(&mut self) -> Result<(Option<Way>, Vec<Held>), Failure> {
        let (mut shown, mut held) = (None, Vec::new());
        let mut authorizations = self.order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.session.failure(error))?;
            match authorization.status {
                // It was shown not long ago.
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => {
                    let text = format!("an authorization of the order is {status:?}");
                    return Err(Failure::new(
                        Cause::Validation,
                        text,
                        "it is tried again by itself",
                    ));
                }
            }
            let offered = |way: &&Way| {
                authorization
                    .challenges
                    .iter()
                    .any(|challenge| challenge.r#type == way.kind())
            };
            let way = self.wish.ways.iter().find(offered).copied();
            let Some(way) = way else {
                let text = "the authority offers no challenge that could work here";
                return Err(Failure::new(
                    Cause::Authority,
                    text,
                    "let ports 80 and 443 reach this machine",
                ));
            };
            let Some(mut challenge) = authorization.challenge(way.kind()) else {
                continue;
            };
            held.push(hold(self.shop, self.wish.name, way, &challenge)?);
            if challenge.status == ChallengeStatus::Pending {
                let ready = challenge.set_ready().await;
                ready.map_err(|error| self.session.failure(error))?;
            }
            shown = Some(way);
        }
        Ok((shown, held))
    }

    /// What the authority did not like.
    async fn why(&mut self) -> Failure {
        let mut authorizations = self.order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err() {
                continue;
            }
            let error = authorization
                .challenges
                .iter()
                .find_map(|challenge| challenge.error.clone());
            if let Some(problem) = error {
                // It may say what it says elsewhere for reasons of its own; here it has looked at us.
                let failure = super::failure::explain(&problem);
                return Failure {
                    cause: Cause::Validation,
                    ..failure
                };
            }
        }
        let text = "the authority refuses the order without a reason";
        Failure::new(Cause::Validation, text, "it is tried again by itself")
    }

    /// The key to certify: it is on the disk before the authority sees it, so that no certificate is without its key.
    fn key(&mut self) -> Result<String, Failure> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        let key = KeyPair::generate()
            .map_err(|error| broken(&error))?
            .serialize_pem();
        self.key = Some(key.clone());
        self.keep()?;
        Ok(key)
    }

    /// Writes down how far it is.
    fn keep(&self) -> Result<(), Failure> {
        let order = folder::Order {
            directory: self.session.authority.directory.clone(),
            url: self.order.url().to_owned(),
            key: self.key.clone(),
        };
        let kept = self
            .shop
            .folder
            .write_json(Kind::Orders, self.wish.name, &order);
        kept.map_err(|error| unkept("the order", &error))
    }

    /// Looks at what was given, and keeps it.
    fn take(&self, chain: &str, key: &str, way: Option<Way>) -> Result<Given, Failure> {
        let name = self.wish.name;
        let odd =
            |text: String| Failure::new(Cause::Authority, text, "it is tried again by itself");
        let credential = Credential::from_pem(chain.as_bytes(), key.as_bytes())
            .map_err(|error| odd(format!("the authority gave what is of no use: {error}")))?;
        if !credential.names().iter().any(|found| found == name) {
            return Err(odd(
                "the authority gave a certificate for another name".into()
            ));
        }
        let now = self.shop.clock.now();
        if credential.not_after() <= now {
            let advice = "look at the clock of this machine";
            let text = "the authority gave a certificate that has ended already";
            return Err(Failure::new(Cause::Own, text, advice));
        }
        let directory = self.session.authority.directory.clone();
        let kept = self
            .shop
            .folder
            .keep_certificate(name, chain, key, &directory, way);
        kept.map_err(|error| unkept("the certificate", &error))?;
        self.session.count(&self.shop.folder, |budget| {
            budget.given(name, self.wish.renews, now)
        });
        Ok(Given {
            credential,
            directory,
            way,
        })
    }

    fn is_invalid(&mut self) -> bool {
        self.order.state().status == OrderStatus::Invalid
    }

    /// Half a second between looks at first, since most orders take two or three; then fewer and fewer.
    fn patience(&self) -> RetryPolicy {
        RetryPolicy::new()
            .initial_delay(Duration::from_millis(250))
            .backoff(1.5)
            .timeout(self.shop.options.timeout)
    }
}

/// Holds what the authority will look for.
fn hold(
    shop: &Shop,
    name: &str,
    way: Way,
    challenge: &ChallengeHandle<'_>,
) -> Result<Held, Failure> {
    let authorization = challenge.key_authorization();
    match way {
        Way::Http => Ok(shop
            .challenges
            .hold_answer(&challenge.token, authorization.as_str())),
        Way::TlsAlpn => {
            let digest = authorization.digest();
            let digest = digest.as_ref().try_into().map_err(|error| broken(&error))?;
            let certificate = show::certificate(name, digest).map_err(|error| broken(&error))?;
            Ok(shop.challenges.hold_certificate(name, certificate))
        }
    }
}

/// What asks for a certificate for this key (RFC 2986). The name is where browsers look for it, and nowhere else.
fn request(name: &str, key: &str) -> Result<Vec<u8>, Failure> {
    let key = KeyPair::from_pem(key).map_err(|error| broken(&error))?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| broken(&error))?;
    params.distinguished_name = DistinguishedName::new();
    let request = params
        .serialize_request(&key)
        .map_err(|error| broken(&error))?;
    Ok(request.der().to_vec())
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    let text = format!("this server cannot make what is needed: {error}");
    Failure::new(Cause::Own, text, "please report this")
}

impl Way {
    fn kind(self) -> ChallengeType {
        match self {
            Way::Http => ChallengeType::Http01,
            Way::TlsAlpn => ChallengeType::TlsAlpn01,
        }
    }
}
