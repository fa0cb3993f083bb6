//! HTTPS to an authority: bounded in time and size, and with an ear for how long it wants to be left alone.

use crate::config::Authority;
use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// Connections to one authority.
#[derive(Clone)]
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    pause: Arc<Mutex<Option<SystemTime>>>,
}

impl Client {
    /// A client that trusts the roots of the authority's configuration, or the system's.
    pub(super) fn new(authority: &Authority) -> io::Result<Client> {
        let roots = match &authority.root {
            Some(path) => roots_of(path)?,
            None => roots_of_system()?,
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .build(https);
        let pause = Arc::default();
        Ok(Client { pool, pause })
    }

    /// When the authority wants to be asked again, if its last refusal said that.
    pub(super) fn take_pause(&self) -> Option<SystemTime> {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        pause.take()
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        // RFC 8555 §6.1 wants to know both, the program and its library.
        let library = request
            .headers()
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok());
        let agent = format!(
            "dreamserver/{} {}",
            env!("CARGO_PKG_VERSION"),
            library.unwrap_or_default()
        );
        if let Ok(agent) = HeaderValue::from_str(&agent) {
            request.headers_mut().insert(USER_AGENT, agent);
        }
        let (answer, pause) = (self.pool.request(request), self.pause.clone());
        Box::pin(async move {
            let whole = async {
                let (parts, body) = answer.await.map_err(other)?.into_parts();
                let body = Limited::new(body, LONGEST)
                    .collect()
                    .await
                    .map_err(Error::Other)?;
                if matches!(
                    parts.status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                ) {
                    *pause.lock().unwrap_or_else(PoisonError::into_inner) =
                        retry_after(&parts.headers);
                }
                Ok(BytesResponse {
                    parts,
                    body: Box::new(body.to_bytes()),
                })
            };
            timeout(ANSWER, whole).await.map_err(other)?
        })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

/// A number of seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &http::HeaderMap) -> Option<SystemTime> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}

fn roots_of(path: &Path) -> io::Result<RootCertStore> {
    let pem = std::fs::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
    }
    match roots.is_empty() {
        true => Err(io::Error::other("there is no certificate in it")),
        false => Ok(roots),
    }
}

fn roots_of_system() -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Some systems have a few that nobody can read; the others do.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(io::Error::other(
            "the system has no root certificates: install its package ca-certificates",
        )),
        false => Ok(roots),
    }
}

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: authorities under load are slow, and time enough for a second try must be left.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection is kept for the next question.
const IDLE: Duration = Duration::from_secs(20);
/// The longest answer that is read: a chain of certificates has some kilobytes.
const LONGEST: usize = 1 << 20;
