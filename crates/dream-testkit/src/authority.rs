//! A throw-away CA: nobody trusts it but the test that made it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SanType,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::folder::Folder;

/// A CA with its key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and those above it, but for the root.
    chain: Chain,
    root: Chain,
}

/// Certificates, each signed by the one behind it.
#[derive(Clone, Debug, Default)]
struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    pem: String,
}

/// The kind of a leaf's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// On the curve P-256.
    Ecdsa,
    /// With 2048 bits.
    Rsa,
}

/// A leaf, the chain behind it, and its key.
#[derive(Debug)]
pub struct Issued {
    chain: Chain,
    key: KeyPair,
}

impl Authority {
    /// A root of its own.
    pub fn new(name: &str) -> Authority {
        let key = key(KeyKind::Ecdsa);
        let params = ca(name);
        let root = params.self_signed(&key).expect("a CA signs itself");
        Authority {
            issuer: Issuer::new(params, key),
            chain: Chain::default(),
            root: Chain::default().after(&root),
        }
    }

    /// A CA below this one: what it issues comes with a chain.
    pub fn below(&self, name: &str) -> Authority {
        let key = key(KeyKind::Ecdsa);
        let params = ca(name);
        let made = params.signed_by(&key, &self.issuer).expect("a CA signs");
        Authority {
            issuer: Issuer::new(params, key),
            chain: self.chain.after(&made),
            root: self.root.clone(),
        }
    }

    /// The root.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.root.certificates[0].clone()
    }

    /// The root as PEM.
    pub fn pem(&self) -> &str {
        &self.root.pem
    }

    /// A server's leaf for these names and addresses.
    pub fn issue(&self, kind: KeyKind, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, kind)
    }

    /// The same, valid from and until these times only.
    pub fn issue_between(&self, names: &[&str], from: SystemTime, until: SystemTime) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (from.into(), until.into());
        self.sign(params, KeyKind::Ecdsa)
    }

    /// A client's leaf with this subject, the least specific part first.
    pub fn issue_client(&self, subject: &[(DnType, &str)]) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        // A leaf without a subject must have a name elsewhere (RFC 5280 §4.1.2.6).
        let mail = "client@example.com".try_into().expect("plain text");
        params.subject_alt_names = vec![SanType::Rfc822Name(mail)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, KeyKind::Ecdsa)
    }

    fn sign(&self, mut params: CertificateParams, kind: KeyKind) -> Issued {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = key(kind);
        let leaf = params.signed_by(&key, &self.issuer).expect("a CA signs");
        Issued {
            chain: self.chain.after(&leaf),
            key,
        }
    }
}

impl Issued {
    /// The leaf.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain.certificates[0]
    }

    /// The chain as PEM, the leaf first.
    pub fn chain_pem(&self) -> &str {
        &self.chain.pem
    }

    /// The key as PEM: PKCS#8.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The key as OpenSSL wrote it before: PKCS#1 for RSA, SEC1 for ECDSA.
    pub fn traditional_key_pem(&self) -> String {
        let folder = Folder::new("key");
        let file = folder.write("key.pem", self.key_pem());
        let output = Command::new("openssl")
            .args(["pkey", "-traditional", "-in"])
            .arg(file)
            .output()
            .expect("openssl runs");
        String::from_utf8(output.stdout).expect("PEM is text")
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        let write = |ending: &str, content: &str| {
            fs::write(folder.join(format!("{name}.{ending}")), content)
                .expect("the folder can be written");
        };
        write("pem", self.chain_pem());
        write("key", &self.key_pem());
    }

    /// Both as the library takes them.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let chain = self.chain.certificates.clone();
        let certified = CertifiedKey::from_der(chain, key.into(), &default_provider());
        Arc::new(certified.expect("the key is the leaf's"))
    }
}

impl Chain {
    fn after(&self, leaf: &Certificate) -> Chain {
        Chain {
            certificates: [&[leaf.der().clone()], self.certificates.as_slice()].concat(),
            pem: leaf.pem() + &self.pem,
        }
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn key(kind: KeyKind) -> KeyPair {
    let algorithm = match kind {
        KeyKind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
        KeyKind::Rsa => &PKCS_RSA_SHA256,
    };
    KeyPair::generate_for(algorithm).expect("the library makes keys")
}
