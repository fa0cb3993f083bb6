//! What an authority asks to see before it certifies a name: answers that are there for seconds, and asked for a few times.
//!
//! The back office puts them here, and takes them away; the hallway looks only where a request or handshake says that it is one
//! of these. So the lock in it is none that traffic meets.

use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where http-01 looks for its answer, before the token (RFC 8555 §8.3).
pub const PREFIX: &str = "/.well-known/acme-challenge/";

/// The protocol that a handshake of tls-alpn-01 asks for (RFC 8737 §6.2).
pub const ALPN: &[u8] = b"acme-tls/1";

/// The answers that are held now; a clone holds the same ones.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    by_token: HashMap<String, Arc<str>>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// The body for this path, if it is one that somebody is waiting for; others are the site's own.
    pub fn answer(&self, path: &[u8]) -> Option<Arc<str>> {
        let token = path.strip_prefix(PREFIX.as_bytes())?;
        let token = str::from_utf8(token).ok()?;
        self.lock().by_token.get(token).cloned()
    }

    /// The certificate that a handshake with [`ALPN`] for this name shows, the name in lower case; without one, it fails.
    pub fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().by_name.get(name).cloned()
    }

    /// Answers with this text below [`PREFIX`], as long as what is given back is kept.
    pub fn hold_answer(&self, token: &str, answer: &str) -> Held {
        let answers = &mut self.lock().by_token;
        answers.insert(token.to_owned(), answer.into());
        self.held(What::Token(token.to_owned()))
    }

    /// Shows this certificate to handshakes with [`ALPN`] for this name, as long as what is given back is kept. The latest for
    /// a name counts.
    pub fn hold_certificate(&self, name: &str, certificate: Arc<CertifiedKey>) -> Held {
        let name = name.to_ascii_lowercase();
        self.lock()
            .by_name
            .insert(name.clone(), certificate.clone());
        self.held(What::Certificate(name, certificate))
    }

    fn held(&self, what: What) -> Held {
        let challenges = self.clone();
        Held { challenges, what }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        // A map is whole between two calls, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.lock();
        f.debug_struct("Challenges")
            .field("answers", &answers.by_token.len())
            .field("certificates", &answers.by_name.len())
            .finish()
    }
}

/// An answer that is held: gone when this is dropped.
#[must_use = "the answer is gone when this is dropped"]
#[derive(Debug)]
pub struct Held {
    challenges: Challenges,
    what: What,
}

#[derive(Debug)]
enum What {
    Token(String),
    Certificate(String, Arc<CertifiedKey>),
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut answers = self.challenges.lock();
        match &self.what {
            What::Token(token) => {
                answers.by_token.remove(token);
            }
            What::Certificate(name, ours) => {
                let is_ours = |held: &Arc<CertifiedKey>| Arc::ptr_eq(held, ours);
                if answers.by_name.get(name).is_some_and(is_ours) {
                    answers.by_name.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Credential;

    fn certificate() -> Arc<CertifiedKey> {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".into()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let credential = Credential::from_pem(made.cert.pem().as_bytes(), key.as_bytes());
        credential.unwrap().certified().clone()
    }

    #[test]
    fn an_answer_is_there_while_it_is_held() {
        let challenges = Challenges::default();
        let held = challenges.hold_answer("token", "token.thumb");
        let path = b"/.well-known/acme-challenge/token";
        assert_eq!(challenges.answer(path).as_deref(), Some("token.thumb"));
        for other in ["/.well-known/acme-challenge/", "/token", "token", ""] {
            assert_eq!(challenges.answer(other.as_bytes()), None, "{other}");
        }
        assert_eq!(challenges.answer(b"/.well-known/acme-challenge/\xff"), None);
        drop(held);
        assert_eq!(challenges.answer(path), None);
    }

    #[test]
    fn the_latest_certificate_of_a_name_counts() {
        let challenges = Challenges::default();
        let (one, two) = (certificate(), certificate());
        let first = challenges.hold_certificate("A.example", one);
        let second = challenges.hold_certificate("a.example", two.clone());
        drop(first);
        let shown = challenges.certificate("a.example").unwrap();
        assert!(Arc::ptr_eq(&shown, &two));
        drop(second);
        assert!(challenges.certificate("a.example").is_none());
    }
}
