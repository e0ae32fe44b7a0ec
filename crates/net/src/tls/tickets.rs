//! `Tickets`: sessions sealed into tickets, so that any worker can resume a session of another one.
//! All workers derive the same keys from one seed and the time, without a message between them.

use std::fmt;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use crate::runtime::waker::lock;

/// See the module's documentation.
pub(super) struct Tickets {
    seed: hmac::Key,
    /// The rules that the client of a ticket was verified by. Under other rules, such as a longer
    /// revocation list, the ticket is void.
    verified: Digest,
    random: SystemRandom,
    /// The keys of the present and the past epoch. The lock is for handshakes on two threads that
    /// share a configuration; it is held while a key is copied or made.
    keys: Mutex<Vec<(u64, Key)>>,
}

#[derive(Clone)]
struct Key(std::sync::Arc<LessSafeKey>);

impl Tickets {
    /// `verified` is a digest of the rules about clients' certificates.
    pub(super) fn new(seed: &[u8], verified: &[u8]) -> Self {
        Self {
            seed: hmac::Key::new(hmac::HMAC_SHA256, seed),
            verified: digest(&SHA256, verified),
            random: SystemRandom::new(),
            keys: Mutex::new(Vec::new()),
        }
    }

    fn key(&self, epoch: u64) -> Option<Key> {
        let mut keys = lock(&self.keys);
        if let Some((_, key)) = keys.iter().find(|(other, _)| *other == epoch) {
            return Some(key.clone());
        }
        let mut context = hmac::Context::with_key(&self.seed);
        context.update(b"granian session tickets");
        context.update(&epoch.to_be_bytes());
        context.update(self.verified.as_ref());
        let secret = UnboundKey::new(&AES_256_GCM_SIV, context.sign().as_ref()).ok()?;
        let key = Key(std::sync::Arc::new(LessSafeKey::new(secret)));
        keys.retain(|(other, _)| other + 2 >= epoch);
        keys.push((epoch, key.clone()));
        Some(key)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        EPOCH as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let epoch = epoch()?;
        let key = self.key(epoch)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let head = [&epoch.to_be_bytes()[..], &nonce].concat();
        let mut sealed = plain.to_vec();
        key.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&head),
                &mut sealed,
            )
            .ok()?;
        Some([head, sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (head, sealed) = ticket.split_at_checked(EPOCH_LEN + NONCE_LEN)?;
        let (name, nonce) = head.split_at(EPOCH_LEN);
        let made = u64::from_be_bytes(name.try_into().ok()?);
        // The key before it is kept for as long as its last tickets live.
        let now = epoch()?;
        if made != now && made + 1 != now {
            return None;
        }
        let key = self.key(made)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = key
            .0
            .open_in_place(nonce, Aad::from(head), &mut sealed)
            .ok()?;
        Some(plain.to_vec())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tickets")
    }
}

fn epoch() -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.as_secs() / EPOCH)
}

/// Seconds after which the key changes; a ticket lives as long.
const EPOCH: u64 = 6 * 60 * 60;
const EPOCH_LEN: usize = size_of::<u64>();
