//! What a handshake for one site goes by: its certificates, whom it asks for one of theirs, and its tickets.

use super::store::Store;
use super::subject;
use super::tickets::{TicketKeys, Ticketer};
use crate::challenges;
use crate::exchange::{ClientCertificate, PolicyId};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CommonState, ConfigBuilder, RootCertStore, ServerConfig, SignatureAlgorithm, WantsVerifier,
};
use std::sync::Arc;

/// What is served behind a handshake, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// Sites that share all of this share one of these.
#[derive(Debug)]
pub struct Site {
    config: Arc<ServerConfig>,
    /// Where certificates come from that are made when they are asked for.
    store: Option<Arc<Store>>,
    policy: Option<PolicyId>,
}

/// What a site is made of.
pub struct SiteOptions<'a> {
    /// Its certificates, or where they come from.
    pub certificates: Certificates,
    /// Whose certificates clients must show, if they must.
    pub clients: Option<&'a ClientPolicy>,
    /// What tickets are sealed with.
    pub keys: &'a Arc<TicketKeys>,
}

/// The certificates of a site.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// These; of those that the client understands, ECDSA goes first.
    Given(Vec<Arc<CertifiedKey>>),
    /// Those that are made when they are asked for.
    Store(Arc<Store>),
}

/// Which clients a site talks to.
#[derive(Clone, Debug)]
pub struct ClientPolicy {
    /// Those whose certificates these issuers have signed.
    pub roots: Arc<RootCertStore>,
    /// Whether a client may come without a certificate.
    pub optional: bool,
    /// Its name: whoever was let in by it may use what it guards.
    pub id: PolicyId,
    /// Tells apart what it says now and what it said before: tickets are bound to that.
    pub digest: [u8; 32],
}

impl Site {
    /// A site with these options.
    ///
    /// # Errors
    /// What the library says of the client policy.
    pub fn new(options: SiteOptions<'_>) -> Result<Site, rustls::server::VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let policy = options.clients.map(|clients| clients.id);
        let digest = options.clients.map(|clients| clients.digest);
        let store = match &options.certificates {
            Certificates::Store(store) => Some(store.clone()),
            Certificates::Given(_) => None,
        };
        let mut config = server_config(&provider, options.certificates, options.clients)?;
        config.ticketer = Arc::new(Ticketer::new(options.keys.clone(), digest));
        Ok(Site {
            config: Arc::new(config),
            store,
            policy,
        })
    }

    /// The same with this certificate: for a client that names no host.
    pub(super) fn config_with(&self, certificate: Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Certificates::Given(vec![certificate]));
        Arc::new(config)
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    pub(super) fn policy(&self) -> Option<PolicyId> {
        self.policy
    }

    pub(super) fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }
}

/// What the handshake of an authority goes by: it looks at the certificate, and ends (RFC 8737 §3).
pub(super) fn challenge_config(certificate: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let builder = builder(&provider).with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(Certificates::Given(vec![certificate])));
    config.alpn_protocols = vec![challenges::ALPN.to_vec()];
    Arc::new(config)
}

fn builder(provider: &Arc<CryptoProvider>) -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|error| {
            unreachable!("the provider has all that TLS 1.2 and 1.3 need: {error}")
        })
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    certificates: Certificates,
    clients: Option<&ClientPolicy>,
) -> Result<ServerConfig, rustls::server::VerifierBuilderError> {
    let builder = builder(provider);
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(policy) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(policy.roots.clone(), provider.clone());
            let verifier = match policy.optional {
                true => verifier.allow_unauthenticated(),
                false => verifier,
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates.ordered()));
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    // Tickets hold all that a resumed handshake needs: nothing is kept here for clients that may never come back.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

impl Certificates {
    /// ECDSA first: it costs us a fraction of what RSA does, and the client less to receive.
    fn ordered(self) -> Certificates {
        match self {
            Certificates::Given(mut keys) => {
                keys.sort_by_key(|key| key.key.algorithm() == SignatureAlgorithm::RSA);
                Certificates::Given(keys)
            }
            store => store,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self {
            Certificates::Given(keys) => {
                let offered = hello.signature_schemes();
                let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(offered).is_some();
                // If none fits, the library says so to the client, with the first one's kind.
                keys.iter().find(fits).or(keys.first()).cloned()
            }
            Certificates::Store(store) => store.find(hello.server_name()?),
        }
    }
}

/// Who the client has proved to be.
pub(super) fn client(agreed: &CommonState) -> Option<ClientCertificate> {
    let leaf: &CertificateDer<'_> = agreed.peer_certificates()?.first()?;
    let subject = subject::of(leaf)?.into();
    Some(ClientCertificate { subject })
}
