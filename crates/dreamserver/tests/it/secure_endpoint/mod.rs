//! Endpoints that are spoken to over TLS: whom they may be, what they are told, and what happens when a connection to them
//! cannot be made or trusted.

mod bodies;
mod names;
mod peers;
mod pool;
mod trust;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dream_testkit::{Connection, Folder, Origin, Server, respond};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};

use crate::start::binary;

/// A CA that nobody trusts but the test that made it.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
pub(crate) struct Leaf {
    cert: String,
    key: String,
}

impl Ca {
    /// With a name of its own.
    fn new() -> Ca {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Ca::named(&format!("ca {}", COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    fn named(name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Ca { issuer, pem }
    }

    fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| {})
    }

    fn leaf_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        Leaf { cert, key }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        Arc::new(roots)
    }
}

impl Leaf {
    /// What a server goes by that has this certificate and asks for none.
    fn config(&self) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_no_client_auth();
        Arc::new(builder.with_single_cert(self.chain(), self.key()).unwrap())
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes());
        chain.map(Result::unwrap).collect()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.cert).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}

/// An endpoint that answers each request with `ok`.
fn answering(config: Arc<ServerConfig>) -> Origin {
    Origin::start_secure(config, |connection| {
        while connection.read_request().is_some() {
            if !connection.write(respond(200, "text/plain", b"ok")) {
                return;
            }
        }
    })
}

/// An endpoint of `localhost` that `handler` speaks for, and a server before it that trusts its CA.
fn before(handler: impl Fn(&mut Connection) + Send + Sync + 'static) -> (Origin, Proxy) {
    let ca = Ca::new();
    let origin = Origin::start_secure(ca.leaf(&["localhost"]).config(), handler);
    let proxy = Proxy::trusting(&ca, &[&origin]);
    (origin, proxy)
}

/// The server before secure endpoints, and the folder of its configuration.
pub(crate) struct Proxy {
    pub(crate) server: Server,
    pub(crate) folder: Folder,
}

impl Proxy {
    /// Before these endpoints, of `localhost`, whose certificates are signed by `ca`.
    #[track_caller]
    fn trusting(ca: &Ca, origins: &[&Origin]) -> Proxy {
        let folder = Folder::new("secure");
        folder.write("ca.pem", &ca.pem);
        Proxy::start(folder, &site(origins, "ca = \"ca.pem\""))
    }

    #[track_caller]
    fn start(folder: Folder, config: &str) -> Proxy {
        folder.write("dreamserver.toml", config);
        let arguments = ["--config", "dreamserver.toml", "--listen", "127.0.0.1:0"];
        let server = Server::start_in(&binary(), folder.path(), &arguments);
        Proxy { server, folder }
    }
}

/// A site before these endpoints with this `proxy_tls`.
fn site(origins: &[&Origin], tls: &str) -> String {
    let urls: Vec<String> = origins
        .iter()
        .map(|origin| format!("{:?}", url(origin)))
        .collect();
    format!(
        "[sites.\"*\"]\nproxy = [{}]\nproxy_tls = {{ {tls} }}\n",
        urls.join(", ")
    )
}

fn url(origin: &Origin) -> String {
    format!("https://localhost:{}", origin.address().port())
}
