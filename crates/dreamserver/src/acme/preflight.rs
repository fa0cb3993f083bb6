//! Before an order: does the name lead to this process? What the authority would find out, and count against us, is found out here.

use super::ask;
use super::failure::{Cause, Failure};
use super::folder::Way;
use super::resolve::Resolver;
use super::show;
use crate::challenges::{ALPN, Challenges, PREFIX};
use crate::config::AcmeOptions;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::parse_x509_certificate;

/// Tells which ways the authority could go to see that the name is ours, the one that went well before first.
///
/// # Errors
/// None of them leads here, and what to do about it.
pub(super) async fn check(
    name: &str,
    before: Option<Way>,
    options: &AcmeOptions,
    resolver: &Resolver,
    challenges: &Challenges,
) -> Result<Vec<Way>, Failure> {
    let addresses = addresses(name, resolver).await?;
    let mut ways = [Way::Http, Way::TlsAlpn];
    if before == Some(Way::TlsAlpn) {
        ways.reverse();
    }
    let mut misses = Vec::new();
    for way in ways {
        match try_way(way, name, &addresses, options, challenges).await {
            // The other one may work too, but one is enough.
            Ok(()) => return Ok(vec![way]),
            Err(miss) => misses.push((way, miss)),
        }
    }
    Err(explain(name, &addresses, &misses, options))
}

async fn addresses(name: &str, resolver: &Resolver) -> Result<Vec<IpAddr>, Failure> {
    let found = resolver.addresses(name).await.map_err(|error| {
        let text = format!("the DNS does not answer for {name}: {error}");
        Failure::new(
            Cause::Name,
            text,
            "see that this machine reaches its DNS server, or name one in `acme.resolver`",
        )
    })?;
    if found.is_empty() {
        let text = format!("{name} has no address in the DNS");
        let advice =
            format!("set an A or AAAA record of {name} to the public address of this machine");
        return Err(Failure::new(Cause::Name, text, advice));
    }
    Ok(found)
}

/// Why an address is not ours.
struct Miss {
    address: IpAddr,
    what: String,
}

/// An authority takes IPv6 where there is such an address, and IPv4 if nothing answers there. Of several addresses of a family it
/// takes any, so all of them must lead here.
async fn try_way(
    way: Way,
    name: &str,
    addresses: &[IpAddr],
    options: &AcmeOptions,
    challenges: &Challenges,
) -> Result<(), Miss> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6());
    let mut nobody = None;
    for family in [six, four] {
        let mut reached = false;
        for address in family.into_iter().take(MOST) {
            let probed = match way {
                Way::Http => probe_http(address, name, options.http_port, challenges).await,
                Way::TlsAlpn => probe_tls(address, name, options.tls_port, challenges).await,
            };
            match probed {
                Ok(()) => reached = true,
                Err(Probe::Nobody(what)) => nobody = Some(Miss { address, what }),
                Err(Probe::Other(what)) => return Err(Miss { address, what }),
            }
        }
        if reached {
            return Ok(());
        }
    }
    Err(nobody.unwrap_or(Miss {
        address: addresses[0],
        what: "was not asked".into(),
    }))
}

/// How an address failed.
enum Probe {
    /// Nobody is there.
    Nobody(String),
    /// Somebody is, and it is not this process.
    Other(String),
}

impl From<io::Error> for Probe {
    fn from(error: io::Error) -> Probe {
        Probe::Nobody(match error.kind() {
            io::ErrorKind::TimedOut => "does not answer".into(),
            io::ErrorKind::ConnectionRefused => "refuses the connection".into(),
            _ => format!("cannot be reached: {error}"),
        })
    }
}

async fn probe_http(
    address: IpAddr,
    name: &str,
    port: u16,
    challenges: &Challenges,
) -> Result<(), Probe> {
    let token = show::random()?;
    let _held = challenges.hold_answer(&token, &token);
    let path = format!("{PREFIX}{token}");
    let host = match port {
        80 => name.to_owned(),
        port => format!("{name}:{port}"),
    };
    let answer = ask::get(SocketAddr::new(address, port), &host, &path, token.len()).await?;
    match answer.status {
        200 if answer.body.starts_with(token.as_bytes()) => Ok(()),
        status => Err(Probe::Other(format!(
            "is answered by something else (status {status})"
        ))),
    }
}

async fn probe_tls(
    address: IpAddr,
    name: &str,
    port: u16,
    challenges: &Challenges,
) -> Result<(), Probe> {
    let failed = |error: &dyn std::fmt::Display| Probe::Other(format!("cannot be tried: {error}"));
    let certificate = show::certificate(name, &[0; 32]).map_err(|error| failed(&error))?;
    let leaf = certificate.cert[0].clone();
    let _held = challenges.hold_certificate(name, certificate);
    let server = ServerName::try_from(name.to_owned()).map_err(|error| failed(&error))?;
    let config = only(leaf).map_err(|error| failed(&error))?;
    let stream = ask::connect(SocketAddr::new(address, port)).await?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(server, stream);
    match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Probe::Other("is answered by something else".into())),
        Err(_) => Err(Probe::Nobody("does not answer".into())),
    }
}

/// A client that wants to see this certificate and no other, of a server that has TLS 1.3 as ours does.
fn only(leaf: CertificateDer<'static>) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = rustls::crypto::aws_lc_rs::default_provider().into();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Only { leaf, algorithms }))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Only {
    leaf: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *leaf == self.leaf {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 was not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // The library would read the certificate for the key, and it reads none with an extension that it does not know.
        let unreadable = |_| rustls::CertificateError::BadEncoding;
        let (_, leaf) = parse_x509_certificate(leaf).map_err(unreadable)?;
        let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn explain(
    name: &str,
    addresses: &[IpAddr],
    misses: &[(Way, Miss)],
    options: &AcmeOptions,
) -> Failure {
    let listed: Vec<String> = addresses.iter().take(MOST).map(IpAddr::to_string).collect();
    let mut text = format!(
        "{name} leads to {}, which is not this server:",
        listed.join(", ")
    );
    for (at, (way, Miss { address, what })) in misses.iter().enumerate() {
        let port = match way {
            Way::Http => options.http_port,
            Way::TlsAlpn => options.tls_port,
        };
        let comma = if at == 0 { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(text, "{comma} {} {what}", SocketAddr::new(*address, port));
    }
    let advice = format!(
        "set the DNS records of {name} to the public address of this machine, and let ports {} and {} reach it (firewall, router); \
         if it cannot reach itself from inside, set `acme.preflight = false`",
        options.http_port, options.tls_port
    );
    Failure::new(Cause::Name, text, advice)
}

/// Addresses of a family that are tried; a name with more is no single server's.
const MOST: usize = 4;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
