//! Tickets: what lets a client that was here before skip most of the handshake (RFC 8446 §4.6.1).
//!
//! All cores seal with the same keys, which change often, and which outlive a restart; those before the newest still open what they
//! have sealed. A ticket is bound to the client policy that it was made under: a changed policy voids it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// A key seals for so long. Whoever steals it reads what was resumed with it, so it does not live long.
const SEALS: Duration = Duration::from_secs(8 * 3600);

/// And opens what it has sealed for so long behind that.
const OPENS: Duration = Duration::from_secs(24 * 3600);

const NAME: usize = 16;
const SECRET: usize = 32;
const MADE: usize = 8;

/// The keys, newest first. Never empty.
pub struct TicketKeys(RwLock<Vec<Arc<Key>>>);

struct Key {
    /// Says which key opens a ticket.
    name: [u8; NAME],
    secret: [u8; SECRET],
    cipher: RandomizedNonceKey,
    made: SystemTime,
}

/// What was kept is no list of keys.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidKeys;

impl fmt::Display for InvalidKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these are no ticket keys")
    }
}

impl std::error::Error for InvalidKeys {}

impl TicketKeys {
    /// One fresh key.
    pub fn new(now: SystemTime) -> TicketKeys {
        TicketKeys(RwLock::new(vec![Arc::new(Key::random(now))]))
    }

    /// The keys that [`TicketKeys::to_bytes`] wrote; those whose time is over are left out.
    ///
    /// # Errors
    /// [`InvalidKeys`] if it did not write this.
    pub fn from_bytes(bytes: &[u8], now: SystemTime) -> Result<TicketKeys, InvalidKeys> {
        let (keys, rest) = bytes.as_chunks::<{ NAME + SECRET + MADE }>();
        let keys: Option<Vec<_>> = keys
            .iter()
            .map(|key| Key::read(key).map(Arc::new))
            .collect();
        let keys = keys.filter(|_| rest.is_empty()).ok_or(InvalidKeys)?;
        let keys = TicketKeys(RwLock::new(keys));
        keys.rotate(now);
        Ok(keys)
    }

    /// The keys as bytes, which must be kept secret.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for key in self.all().iter() {
            let made = key.made.duration_since(SystemTime::UNIX_EPOCH);
            bytes.extend_from_slice(&key.name);
            bytes.extend_from_slice(&key.secret);
            bytes.extend_from_slice(&made.unwrap_or_default().as_secs().to_be_bytes());
        }
        bytes
    }

    /// Makes a new key when the newest has sealed for long enough, and forgets those that open nothing any more; tells whether
    /// anything has changed.
    pub fn rotate(&self, now: SystemTime) -> bool {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = keys.len();
        // A key of the future was made by a clock that was wrong.
        keys.retain(|key| age(key, now).is_some_and(|age| age < SEALS + OPENS));
        let newest = keys.first().and_then(|key| age(key, now));
        let fresh = newest.is_none_or(|age| age >= SEALS);
        if fresh {
            keys.insert(0, Arc::new(Key::random(now)));
        }
        fresh || keys.len() != before
    }

    fn all(&self) -> Vec<Arc<Key>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn newest(&self) -> Option<Arc<Key>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.first().cloned()
    }

    fn named(&self, name: &[u8]) -> Option<Arc<Key>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|key| key.name == name).cloned()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").finish_non_exhaustive()
    }
}

fn age(key: &Key, now: SystemTime) -> Option<Duration> {
    now.duration_since(key.made).ok()
}

impl Key {
    fn random(made: SystemTime) -> Key {
        let (mut name, mut secret) = ([0; NAME], [0; SECRET]);
        // The library's source of randomness does not fail once the process runs; if it did, nothing could be secret.
        rand::fill(&mut name)
            .and_then(|()| rand::fill(&mut secret))
            .unwrap_or_else(|_| std::process::abort());
        Key::new(name, secret, made)
    }

    fn new(name: [u8; NAME], secret: [u8; SECRET], made: SystemTime) -> Key {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &secret)
            .unwrap_or_else(|_| unreachable!("the secret has the size that the cipher takes"));
        Key {
            name,
            secret,
            cipher,
            made,
        }
    }

    fn read(bytes: &[u8; NAME + SECRET + MADE]) -> Option<Key> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (secret, made) = rest.split_first_chunk()?;
        let made = Duration::from_secs(u64::from_be_bytes(made.try_into().ok()?));
        Some(Key::new(
            *name,
            *secret,
            SystemTime::UNIX_EPOCH.checked_add(made)?,
        ))
    }
}

/// Seals and opens the tickets of one client policy.
#[derive(Debug)]
pub(super) struct Ticketer {
    keys: Arc<TicketKeys>,
    /// The digest of what the policy says.
    policy: Option<[u8; 32]>,
}

impl Ticketer {
    pub(super) fn new(keys: Arc<TicketKeys>, policy: Option<[u8; 32]>) -> Ticketer {
        Ticketer { keys, policy }
    }

    fn bound(&self) -> Aad<[u8; 32]> {
        Aad::from(self.policy.unwrap_or_default())
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        OPENS.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.newest()?;
        let mut sealed = plain.to_vec();
        let nonce = key
            .cipher
            .seal_in_place_append_tag(self.bound(), &mut sealed)
            .ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.keys.named(name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = sealed.to_vec();
        let len = key
            .cipher
            .open_in_place(nonce, self.bound(), &mut plain)
            .ok()?
            .len();
        plain.truncate(len);
        Some(plain)
    }
}

/// Opens any bytes as a ticket, and reads them as keys; for fuzzing.
///
/// # Panics
/// If what nobody has sealed opens, or what was sealed does not.
#[cfg(any(test, fuzzing))]
pub fn fuzz_ticket(input: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    // One key, whose secret nobody of those who fuzz can guess.
    let name = [b'n'; NAME];
    let mut secret = [0; SECRET];
    rand::fill(&mut secret).expect("a source of randomness");
    let key = Arc::new(Key::new(name, secret, now));
    let keys = Arc::new(TicketKeys(RwLock::new(vec![key])));
    let ticketer = Ticketer::new(keys, None);
    assert_eq!(ticketer.decrypt(input), None);
    let sealed = ticketer.encrypt(input).expect("a key seals");
    assert_eq!(ticketer.decrypt(&sealed).as_deref(), Some(input));
    if let Ok(read) = TicketKeys::from_bytes(input, now) {
        let again = TicketKeys::from_bytes(&read.to_bytes(), now).expect("its own bytes");
        assert_eq!(again.to_bytes(), read.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ticketer(keys: &Arc<TicketKeys>, policy: Option<u8>) -> Ticketer {
        Ticketer::new(keys.clone(), policy.map(|byte| [byte; 32]))
    }

    #[test]
    fn a_ticket_opens_under_its_own_policy_only() {
        let keys = Arc::new(TicketKeys::new(SystemTime::now()));
        let ticket = ticketer(&keys, Some(1)).encrypt(b"session").unwrap();
        assert_eq!(
            ticketer(&keys, Some(1)).decrypt(&ticket).unwrap(),
            b"session"
        );
        assert_eq!(ticketer(&keys, Some(2)).decrypt(&ticket), None);
        assert_eq!(ticketer(&keys, None).decrypt(&ticket), None);
    }

    #[test]
    fn keys_change_and_the_one_before_still_opens() {
        let start = SystemTime::now();
        let keys = Arc::new(TicketKeys::new(start));
        let ticketer = ticketer(&keys, None);
        let ticket = ticketer.encrypt(b"session").unwrap();
        assert!(!keys.rotate(start + 7 * HOUR));
        assert!(keys.rotate(start + 8 * HOUR));
        assert_ne!(
            ticketer.encrypt(b"session").unwrap()[..NAME],
            ticket[..NAME]
        );
        assert!(keys.rotate(start + 16 * HOUR));
        assert!(ticketer.decrypt(&ticket).is_some());
        keys.rotate(start + 32 * HOUR);
        assert_eq!(ticketer.decrypt(&ticket), None);
    }

    #[test]
    fn keys_outlive_a_restart() {
        let start = SystemTime::now();
        let keys = Arc::new(TicketKeys::new(start));
        let ticket = ticketer(&keys, None).encrypt(b"session").unwrap();
        let kept = keys.to_bytes();
        let again = Arc::new(TicketKeys::from_bytes(&kept, start + HOUR).unwrap());
        assert!(ticketer(&again, None).decrypt(&ticket).is_some());
        let late = Arc::new(TicketKeys::from_bytes(&kept, start + 50 * HOUR).unwrap());
        assert_eq!(ticketer(&late, None).decrypt(&ticket), None);
        assert!(ticketer(&late, None).encrypt(b"session").is_some());
        assert!(matches!(
            TicketKeys::from_bytes(&kept[1..], start),
            Err(InvalidKeys)
        ));
        assert!(TicketKeys::from_bytes(b"", start).is_ok());
    }

    #[test]
    fn the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/tls_ticket");
        for entry in std::fs::read_dir(corpus).unwrap() {
            fuzz_ticket(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn no_ticket_of_others_opens() {
        let keys = Arc::new(TicketKeys::new(SystemTime::now()));
        let ticketer = ticketer(&keys, None);
        let ticket = ticketer.encrypt(b"session").unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(ticketer.decrypt(&changed), None, "byte {place}");
            assert_eq!(ticketer.decrypt(&ticket[..place]), None);
        }
    }
}
