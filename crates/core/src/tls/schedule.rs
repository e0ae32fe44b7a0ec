//! The key schedule of TLS 1.3 (RFC 8446, 7.1) on RustCrypto's HMAC and SHA-256: a handshake derives
//! two dozen secrets, each from a few bytes, and what aws-lc does around each costs more than hashing
//! them does (`make bench`, rows `tls-handshake-…`: 5 % of a connection for one request).

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::hash::{self, HashAlgorithm};
use rustls::crypto::hmac::{self as tls_hmac, Tag};
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::{SupportedCipherSuite, Tls13CipherSuite};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// The same suite, with the key schedule of this module if its hash is SHA-256.
pub(super) fn with_direct_schedule(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let mut suites = SUITES.iter();
    suites
        .find(|direct| direct.common.suite == suite.suite())
        .map_or(suite, SupportedCipherSuite::Tls13)
}

static SUITES: LazyLock<Vec<Tls13CipherSuite>> = LazyLock::new(|| {
    rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES
        .iter()
        .filter_map(SupportedCipherSuite::tls13)
        .filter(|suite| suite.common.hash_provider.algorithm() == HashAlgorithm::SHA256)
        .map(|suite| Tls13CipherSuite {
            common: CipherSuiteCommon {
                suite: suite.common.suite,
                hash_provider: &DirectSha256,
                confidentiality_limit: suite.common.confidentiality_limit,
            },
            hkdf_provider: &HkdfUsingHmac(&DirectSha256),
            aead_alg: suite.aead_alg,
            quic: suite.quic,
        })
        .collect()
});

/// SHA-256 as rustls asks for it: by itself, and within HMAC.
struct DirectSha256;

impl hash::Hash for DirectSha256 {
    fn start(&self) -> Box<dyn hash::Context> {
        Box::new(Transcript(Sha256::new()))
    }

    fn hash(&self, data: &[u8]) -> hash::Output {
        hash::Output::new(&Sha256::digest(data))
    }

    fn output_len(&self) -> usize {
        Sha256::output_size()
    }

    fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }
}

/// The hash of all that both ends have said.
struct Transcript(Sha256);

impl hash::Context for Transcript {
    fn fork_finish(&self) -> hash::Output {
        hash::Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn hash::Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> hash::Output {
        hash::Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl tls_hmac::Hmac for DirectSha256 {
    fn with_key(&self, key: &[u8]) -> Box<dyn tls_hmac::Key> {
        // A block, zeros behind the key; one that is longer is hashed (RFC 2104, 2).
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => block[..Sha256::output_size()].copy_from_slice(&Sha256::digest(key)),
        }
        let mac = Hmac::new(&block);
        block.zeroize();
        Box::new(Key(mac))
    }

    fn hash_output_len(&self) -> usize {
        Sha256::output_size()
    }
}

/// A secret, hashed once for all that is derived from it.
struct Key(Hmac<Sha256>);

impl tls_hmac::Key for Key {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        for part in middle {
            mac.update(part);
        }
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        Sha256::output_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of the library's suite and this module's.
    fn suites() -> Vec<(&'static Tls13CipherSuite, &'static Tls13CipherSuite)> {
        let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
        let pair = |suite: &SupportedCipherSuite| {
            let direct = with_direct_schedule(*suite);
            Some((suite.tls13()?, direct.tls13()?))
        };
        all.iter().filter_map(pair).collect()
    }

    #[test]
    fn suites_of_sha256_are_replaced_and_others_stay() {
        for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
            let direct = with_direct_schedule(*suite);
            assert_eq!(direct.suite(), suite.suite());
            let is_ours = direct
                .tls13()
                .is_some_and(|direct| SUITES.iter().any(|ours| std::ptr::eq(ours, direct)));
            let name = suite.suite().as_str().unwrap();
            assert_eq!(
                is_ours,
                name.starts_with("TLS13_") && name.ends_with("_SHA256")
            );
        }
        assert_eq!(SUITES.len(), 2);
    }

    #[test]
    fn transcripts_are_the_library_s() {
        let data: Vec<u8> = (0..300).map(|index| index as u8).collect();
        for (theirs, ours) in suites() {
            let (theirs, ours) = (theirs.common.hash_provider, ours.common.hash_provider);
            assert_eq!(theirs.output_len(), ours.output_len());
            for split in 0..data.len() {
                let (first, second) = data.split_at(split);
                let mut context = ours.start();
                context.update(first);
                let mut fork = context.fork();
                let halfway = theirs.hash(first);
                assert_eq!(context.fork_finish().as_ref(), halfway.as_ref());
                fork.update(second);
                let whole = theirs.hash(&data);
                assert_eq!(fork.finish().as_ref(), whole.as_ref());
                assert_eq!(context.finish().as_ref(), halfway.as_ref());
            }
            assert_eq!(ours.hash(&data).as_ref(), theirs.hash(&data).as_ref());
        }
    }

    #[test]
    fn secrets_are_the_library_s() {
        let secret: Vec<u8> = (0..200).map(|index| index as u8 ^ 0x5a).collect();
        for (theirs, ours) in suites() {
            let (theirs, ours) = (theirs.hkdf_provider, ours.hkdf_provider);
            // Around the length of a block, too: longer salts are hashed first.
            for len in [0, 1, 31, 32, 33, 63, 64, 65, 128, 200] {
                let salt = (len > 0).then(|| &secret[..len]);
                let pairs = [
                    (
                        theirs.extract_from_zero_ikm(salt),
                        ours.extract_from_zero_ikm(salt),
                    ),
                    (
                        theirs.extract_from_secret(salt, &secret),
                        ours.extract_from_secret(salt, &secret),
                    ),
                ];
                for (theirs, ours) in pairs {
                    let info: [&[u8]; 3] = [b"tls13 ", &secret[..len], b"end"];
                    let mut keys = [vec![0; 100], vec![0; 100]];
                    theirs.expand_slice(&info, &mut keys[0]).unwrap();
                    ours.expand_slice(&info, &mut keys[1]).unwrap();
                    assert_eq!(keys[0], keys[1]);
                    let block = ours.expand_block(&info);
                    assert_eq!(block.as_ref(), theirs.expand_block(&info).as_ref());
                    assert!(
                        ours.expand_slice(&info, &mut vec![0; 255 * 64 + 1])
                            .is_err()
                    );
                }
            }
        }
    }

    #[test]
    fn signatures_are_the_library_s() {
        for (theirs, ours) in suites() {
            let (theirs, ours) = (theirs.hkdf_provider, ours.hkdf_provider);
            let key = theirs
                .extract_from_secret(None, b"secret")
                .expand_block(&[b"key"]);
            let tag = ours.hmac_sign(&key, b"message");
            assert_eq!(tag.as_ref(), theirs.hmac_sign(&key, b"message").as_ref());
            let next = ours.expander_for_okm(&key).expand_block(&[b"next"]);
            let same = theirs.expander_for_okm(&key).expand_block(&[b"next"]);
            assert_eq!(next.as_ref(), same.as_ref());
        }
    }
}
