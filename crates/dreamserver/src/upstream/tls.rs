//! The secure way to an endpoint: whom it may be, who we are to it, and the handshake (RFC 8446).
//!
//! The library does the protocol and judges certificates; here is what it is told, and what its refusals mean.

use super::Failure;
use crate::stream::Stream;
use crate::time::Timer;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    Resumption, UnbufferedClientConnection, VerifierBuilderError, WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

/// What we speak behind the handshake (RFC 7301).
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// Sessions that are kept to be resumed. Eight tickets of one server are all that the library keeps; more come with each connection.
const SESSIONS: usize = 16;

/// What a secure connection to an endpoint goes by. Sessions are kept with it, for all cores: whoever connects takes one
/// and the library holds its lock for that long, which is nothing beside a handshake.
#[derive(Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    id: TrustId,
}

/// Two that say the same have the same number, and no others: a digest of all that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrustId(pub [u8; 32]);

/// What a [`Trust`] is made of.
pub struct TrustOptions {
    /// Whose word on the endpoint's name is taken.
    pub issuers: Issuers,
    /// What we show an endpoint that asks who we are.
    pub own: Option<Arc<CertifiedKey>>,
    /// Whom the endpoint's certificate must name.
    pub name: ServerName<'static>,
    /// All of that as a number.
    pub id: TrustId,
}

/// Whose word on the name of an endpoint is taken.
#[derive(Clone, Debug)]
pub enum Issuers {
    /// Theirs.
    These(Arc<RootCertStore>),
    /// Anybody's: whoever answers is the endpoint.
    Anybody,
}

impl Trust {
    /// One with these options.
    ///
    /// # Errors
    /// What the library says of the issuers.
    pub fn new(options: TrustOptions) -> Result<Trust, VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match options.issuers {
            Issuers::These(roots) => {
                WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build()?
            }
            Issuers::Anybody => Arc::new(NoQuestions(provider.clone())),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|error| {
                unreachable!("the provider has all that TLS 1.2 and 1.3 need: {error}")
            })
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match options.own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Trust {
            config: Arc::new(config),
            name: options.name,
            id: options.id,
        })
    }

    /// All that it says as a number.
    pub fn id(&self) -> TrustId {
        self.id
    }

    /// The name that the endpoint has to prove.
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}

/// Makes a fresh connection to an endpoint a secure one, in the time that the timer has left.
///
/// # Errors
/// [`Failure::Handshake`] or [`Failure::HandshakeTimeout`].
pub(super) async fn shake_hands(
    stream: Stream,
    trust: &Trust,
    timer: &Timer,
) -> Result<Stream, Failure> {
    let connection = UnbufferedClientConnection::new(trust.config.clone(), trust.name.clone())
        .map_err(|error| Failure::Handshake(io::Error::other(error)))?;
    let stream = stream.secured_as_client(connection);
    poll_fn(|cx| match stream.poll_handshake(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(Failure::Handshake)),
        Poll::Pending => timer.poll(cx).map(|()| Err(Failure::HandshakeTimeout)),
    })
    .await?;
    Ok(stream)
}

/// Has the endpoint refused the handshake? In TLS 1.3 it hears last who we are, so its refusal may follow our request, which it
/// has not looked at (RFC 8446 §4.4.2.4).
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        of_library(error),
        Some(rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::HandshakeFailure
        ))
    )
}

/// Why there is no secure connection, for people.
pub(super) fn explain(error: &io::Error) -> String {
    match of_library(error) {
        Some(rustls::Error::InvalidCertificate(error)) => explain_certificate(error),
        Some(rustls::Error::AlertReceived(alert)) => explain_alert(*alert),
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS there".into(),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection within the handshake".into()
        }
        None => error.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is from an unknown issuer: name the issuer's with `ca`".into()
        }
        CertificateError::BadSignature => {
            "its certificate is not signed by whom it names: is that another issuer of the same name?"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "its certificate has the wrong name: it is not for {}, but for {}",
            expected.to_str(),
            names(presented)
        ),
        CertificateError::Other(other) if other.to_string().contains(SIGNS_OTHERS) => {
            "its certificate is one that signs others (CA:TRUE), which proves no name".into()
        }
        error => format!("its certificate is not valid: {error}"),
    }
}

/// What the library calls a certificate that is its own issuer's and a server's at once.
const SIGNS_OTHERS: &str = "CaUsedAsEndEntity";

/// The names of a certificate. The library gives each as `DnsName("app.example")` or `IpAddress(10.0.0.5)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest);
        inner.trim_matches(['(', ')', '"']).to_owned()
    };
    match presented {
        [] => "no name at all".into(),
        presented => presented.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it demands a certificate of this server: give it one with `cert` and `key`".into()
        }
        AlertDescription::NoApplicationProtocol => "it does not speak HTTP/1.1 there".into(),
        alert => format!("it refused the handshake ({alert:?})"),
    }
}

/// What the library said, if it did.
fn of_library(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Takes every certificate, and every proof of having its key, for what `insecure` promises: nobody is asked who they are.
#[derive(Debug)]
struct NoQuestions(Arc<CryptoProvider>);

impl ServerCertVerifier for NoQuestions {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
