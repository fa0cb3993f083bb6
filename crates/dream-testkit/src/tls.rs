//! What a client goes by in its handshakes: a library of which the server's tests choose the settings.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};

use crate::authority::{Authority, Issued};

/// What a client goes by: whom it asks for, whom it trusts, what it knows.
#[derive(Clone, Debug)]
pub struct Security {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Security {
    /// Asks for `name`, trusts `authority`, and knows all that the library does. Each handshake is a full one.
    pub fn new(authority: &Authority, name: &str) -> Security {
        Security::with(default_provider(), rustls::ALL_VERSIONS, authority, name)
    }

    /// The same with these versions of TLS only.
    pub fn versions(
        versions: &[&'static SupportedProtocolVersion],
        authority: &Authority,
        name: &str,
    ) -> Security {
        Security::with(default_provider(), versions, authority, name)
    }

    /// The same with what this provider can do.
    pub fn with(
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        authority: &Authority,
        name: &str,
    ) -> Security {
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the provider has these versions")
            .with_root_certificates(roots(authority))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Security {
            config: Arc::new(config),
            name: server_name(name),
        }
    }

    /// Asks for `name`, and trusts whom these roots say, as PEM.
    #[track_caller]
    pub fn trusting(roots: &str, name: &str) -> Security {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            store
                .add(root.expect("PEM of certificates"))
                .expect("the certificate of a CA");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has these versions")
            .with_root_certificates(store)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Security {
            config: Arc::new(config),
            name: server_name(name),
        }
    }

    /// The same, showing this certificate where it is asked for one.
    #[must_use]
    pub fn showing(&self, issued: &Issued) -> Security {
        let shown = SingleCertAndKey::from(issued.certified());
        self.change(|config| config.client_auth_cert_resolver = Arc::new(shown))
    }

    /// The same with other settings.
    #[must_use]
    pub fn change(&self, change: impl FnOnce(&mut ClientConfig)) -> Security {
        let mut config = ClientConfig::clone(&self.config);
        change(&mut config);
        Security {
            config: Arc::new(config),
            name: self.name.clone(),
        }
    }

    /// The same, asking for another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Security {
        Security {
            config: self.config.clone(),
            name: server_name(name),
        }
    }

    /// The same, coming back with the tickets that it got.
    #[must_use]
    pub fn resuming(&self) -> Security {
        self.change(|config| config.resumption = Resumption::in_memory_sessions(64))
    }

    /// The same, saying no name.
    #[must_use]
    pub fn nameless(&self) -> Security {
        self.change(|config| config.enable_sni = false)
    }

    /// The same, offering these protocols.
    #[must_use]
    pub fn offering(&self, protocols: &[&str]) -> Security {
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        let protocols = protocols.collect();
        self.change(|config| config.alpn_protocols = protocols)
    }

    /// A handshake that has not begun, for tests that carry the bytes themselves.
    pub fn begin(&self) -> ClientConnection {
        ClientConnection::new(self.config.clone(), self.name.clone())
            .expect("the settings fit each other")
    }
}

/// What the server complained of, if it did.
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Sends all of `bytes`.
pub(crate) fn write_all(
    tls: &mut ClientConnection,
    stream: &mut TcpStream,
    bytes: &[u8],
) -> io::Result<()> {
    rustls::Stream::new(tls, stream).write_all(bytes)
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.certificate())
        .expect("a CA that we made");
    roots
}

fn server_name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).expect("a name or an address")
}
