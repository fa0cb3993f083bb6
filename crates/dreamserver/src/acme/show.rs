//! What is shown to an authority.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use std::io;
use std::sync::Arc;

/// The certificate that tls-alpn-01 looks for: it names the name, and the digest of the key authorization (RFC 8737 §3).
pub(super) fn certificate(name: &str, digest: &[u8; 32]) -> io::Result<Arc<CertifiedKey>> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let key = any_supported_type(&key).map_err(io::Error::other)?;
    // Not a `Credential`: the library reads no certificate with an extension that it does not know and must (RFC 8737 §3).
    let chain = vec![certificate.der().clone()];
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// A text that nobody guesses: 128 bits, as in the tokens of authorities (RFC 8555 §11.3).
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    let random = default_provider().secure_random;
    let filled = random.fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
