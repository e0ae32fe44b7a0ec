//! The key schedule of TLS 1.3 (RFC 8446, 7.1) on RustCrypto's HMAC for the suites with SHA-256: a
//! handshake derives two dozen secrets, each from a few bytes, and what aws-lc does around each costs
//! more than hashing them does (`make bench`, rows `tls-handshake-…`, on a processor with SHA
//! extensions: 5 % of a connection for one request). The library is no FIPS module with this.

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::hash::HashAlgorithm;
use rustls::crypto::hmac::Tag;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};
use rustls::{SupportedCipherSuite, Tls13CipherSuite};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

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
                hash_provider: suite.common.hash_provider,
                confidentiality_limit: suite.common.confidentiality_limit,
            },
            hkdf_provider: &DirectHkdf,
            aead_alg: suite.aead_alg,
            quic: suite.quic,
        })
        .collect()
});

/// HKDF-SHA256 (RFC 5869) as rustls asks for it.
struct DirectHkdf;

impl Hkdf for DirectHkdf {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        self.extract_from_secret(salt, &[0; HASH_LEN])
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        // No salt is one of zeros (RFC 5869, 2.2), as is what HMAC makes of an empty one.
        let prk = Secret::new(salt.unwrap_or_default()).sign(&[], &[secret], &[]);
        Box::new(Secret::new(prk.as_ref()))
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        Box::new(Secret::new(okm.as_ref()))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> Tag {
        Secret::new(key.as_ref()).sign(&[], &[message], &[])
    }
}

/// A secret, hashed once for all that is derived from it.
struct Secret(Hmac<Sha256>);

impl Secret {
    fn new(secret: &[u8]) -> Self {
        // A block, zeros behind the key; one that is longer is hashed (RFC 2104, 2).
        let mut block = Zeroizing::new([0; BLOCK_LEN]);
        match block.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            None => block[..HASH_LEN].copy_from_slice(&Sha256::digest(secret)),
        }
        Self(Hmac::new((&*block).into()))
    }

    fn sign(&self, before: &[u8], parts: &[&[u8]], after: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(before);
        for part in parts {
            mac.update(part);
        }
        mac.update(after);
        Tag::new(mac.finalize().as_bytes())
    }
}

impl HkdfExpander for Secret {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        let mut last = Tag::new(&[]);
        for (index, part) in output.chunks_mut(HASH_LEN).enumerate() {
            let number = u8::try_from(index + 1).map_err(|_| OutputLengthError)?;
            last = self.sign(last.as_ref(), info, &[number]);
            part.copy_from_slice(&last.as_ref()[..part.len()]);
        }
        Ok(())
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        OkmBlock::new(self.sign(&[], info, &[1]).as_ref())
    }

    fn hash_len(&self) -> usize {
        HASH_LEN
    }
}

/// Bytes of what SHA-256 makes, and of what it takes at a time.
const HASH_LEN: usize = 32;
const BLOCK_LEN: usize = 64;

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
                    let most = 255 * ours.hash_len();
                    assert!(ours.expand_slice(&info, &mut vec![0; most]).is_ok());
                    assert!(ours.expand_slice(&info, &mut vec![0; most + 1]).is_err());
                    assert_eq!(ours.hash_len(), theirs.hash_len());
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
