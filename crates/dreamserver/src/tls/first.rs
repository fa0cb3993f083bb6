//! The client's first message while it comes: bytes in, the message out. It sees no socket and no clock, so that it can be fuzzed
//! alone.

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use std::io;

/// The type of a record that carries handshake messages (RFC 8446 §5.1): with that every TLS connection begins.
const HANDSHAKE: u8 = 22;

/// What has come so far.
#[derive(Default)]
pub(super) struct First {
    acceptor: Acceptor,
    received: Vec<u8>,
}

/// What came cannot become a first message.
#[derive(Debug)]
pub(super) enum Fault {
    /// A client that speaks HTTP without TLS.
    Http,
    /// It breaks a rule; and what to answer.
    Broken(rustls::Error, Vec<u8>),
    /// The library takes no more.
    Io(io::Error),
}

impl First {
    /// Takes the next bytes, which are not none; the message, once it is whole.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> Result<Option<Accepted>, Fault> {
        let strange = |byte: &u8| *byte != HANDSHAKE && byte.is_ascii_alphabetic();
        if self.received.is_empty() && piece.first().is_some_and(strange) {
            return Err(Fault::Http);
        }
        self.received.extend_from_slice(piece);
        while !piece.is_empty() {
            self.acceptor.read_tls(&mut piece).map_err(Fault::Io)?;
            match self.acceptor.accept() {
                Ok(Some(accepted)) => return Ok(Some(accepted)),
                Ok(None) => {}
                Err((error, alert)) => return Err(Fault::Broken(error, encoded(alert))),
            }
        }
        Ok(None)
    }

    /// All that came, which is the message and perhaps what follows it.
    pub(super) fn received(self) -> Vec<u8> {
        self.received
    }
}

/// What is sent to a client that breaks a rule.
fn encoded(mut alert: AcceptedAlert) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Memory takes what is written to it.
    let _ = alert.write_all(&mut bytes);
    bytes
}

/// Takes any bytes in two pieces, the first as long as the first two bytes say, and goes on with the handshake if they begin one;
/// for fuzzing.
///
/// # Panics
/// If where they are cut makes a difference, or a handshake that has begun leaves the client without a word.
#[cfg(any(test, fuzzing))]
pub fn fuzz_first(input: &[u8]) {
    let Some((cut, bytes)) = input.split_first_chunk() else {
        return;
    };
    let (one, two) = bytes.split_at(usize::from(u16::from_be_bytes(*cut)).min(bytes.len()));
    let whole = fuzzed(&[bytes]);
    let cut = fuzzed(&[one, two]);
    match (&whole, &cut) {
        (Ok(Some(whole)), Ok(Some(cut))) => {
            let (whole, cut) = (whole.client_hello(), cut.client_hello());
            assert_eq!(whole.server_name(), cut.server_name());
            let offers = |hello: rustls::server::ClientHello<'_>| {
                let offers = hello.alpn().into_iter().flatten();
                offers.map(<[u8]>::to_vec).collect::<Vec<_>>()
            };
            assert_eq!(offers(whole), offers(cut));
        }
        (Ok(None), Ok(None)) | (Err(Fault::Http), Err(Fault::Http)) => {}
        // Not both have an answer: to a client's own alert there is none.
        (Err(Fault::Broken(_, one)), Err(Fault::Broken(_, other))) => assert_eq!(one, other),
        (Err(Fault::Io(_)), Err(Fault::Io(_))) => {}
        (whole, cut) => panic!("{} and {}", told(whole), told(cut)),
    }
    if let Ok(Some(_)) = whole {
        go_on(bytes);
    }
}

#[cfg(any(test, fuzzing))]
fn fuzzed(pieces: &[&[u8]]) -> Result<Option<Accepted>, Fault> {
    let mut first = First::default();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        if let Some(accepted) = first.take(piece)? {
            return Ok(Some(accepted));
        }
    }
    Ok(None)
}

#[cfg(any(test, fuzzing))]
fn told(outcome: &Result<Option<Accepted>, Fault>) -> String {
    match outcome {
        Ok(accepted) => format!("a message: {}", accepted.is_some()),
        Err(fault) => format!("{fault:?}"),
    }
}

/// The server's side of the handshake, which gets the same bytes once more instead of what the client would say.
#[cfg(any(test, fuzzing))]
fn go_on(bytes: &[u8]) {
    use aws_lc_rs::{rand::SystemRandom, signature};
    use rustls::crypto::aws_lc_rs::{default_provider, sign::any_ecdsa_type};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::UnbufferedServerConnection;
    use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
    use std::sync::{Arc, LazyLock};
    static CONFIG: LazyLock<Arc<rustls::ServerConfig>> = LazyLock::new(|| {
        let kind = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = signature::EcdsaKeyPair::generate_pkcs8(kind, &SystemRandom::new());
        let key = PrivatePkcs8KeyDer::from(key.expect("a key").as_ref().to_vec());
        let key = any_ecdsa_type(&PrivateKeyDer::from(key)).expect("a key of that kind");
        // Nobody here reads it.
        let chain = vec![CertificateDer::from(vec![0x30, 0])];
        let certified = rustls::sign::CertifiedKey::new(chain, key);
        let builder = rustls::ServerConfig::builder_with_provider(default_provider().into());
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        Arc::new(
            builder
                .with_safe_default_protocol_versions()
                .expect("the provider has them")
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(resolver)),
        )
    });
    let mut connection = UnbufferedServerConnection::new(CONFIG.clone()).expect("a connection");
    let mut received = [bytes, bytes].concat();
    let (mut said, mut fault) = (0, None);
    // Behind a fault comes an alert, and nothing else must be asked for.
    while fault.is_none() || connection.wants_write() {
        let UnbufferedStatus { discard, state } = connection.process_tls_records(&mut received);
        match state {
            Ok(ConnectionState::EncodeTlsData(mut message)) => {
                said += message.encode(&mut vec![0; 1 << 17]).expect("room");
            }
            Ok(ConnectionState::TransmitTlsData(transmitted)) => transmitted.done(),
            Ok(ConnectionState::ReadTraffic(_)) => panic!("nobody has a key for data"),
            Ok(_) => break,
            Err(error) => fault = Some(error),
        }
        received.drain(..discard);
    }
    // The library has no alert for a client that takes no signature of our key.
    assert!(said > 0 || matches!(fault, Some(rustls::Error::General(_))));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What browsers and others send, cut at every byte.
    #[test]
    fn the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/tls_hello");
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            fuzz_first(&input);
            let bytes = &input[2..];
            let is_one = fuzzed(&[bytes]).is_ok_and(|found| found.is_some());
            let file = path.file_name().unwrap().as_encoded_bytes();
            assert_eq!(is_one, file.starts_with(b"ok-"), "{}", path.display());
            for cut in 0..bytes.len() {
                let cut = fuzzed(&[&bytes[..cut], &bytes[cut..]]);
                assert_eq!(cut.is_ok_and(|found| found.is_some()), is_one);
            }
        }
    }
}
