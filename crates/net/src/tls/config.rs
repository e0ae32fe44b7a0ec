//! `TlsConfig`: a worker's certificates, versions and rules about clients, made from `TlsSettings`
//! once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use super::certificate;
pub use super::error::TlsError;
use super::error::option;
use super::info::Teller;
use super::tickets::Tickets;

/// The options of TLS, as a worker gets them.
pub struct TlsSettings {
    /// The certificates. The first one is for clients that name no host, or a host without a
    /// certificate.
    pub certificates: Vec<Identity>,
    /// The versions of TLS.
    pub versions: TlsVersions,
    /// Names of cipher suites, in order of preference. If empty, all safe ones.
    pub ciphers: Vec<String>,
    /// The file of the authorities that clients' certificates are checked against.
    pub ca: Option<PathBuf>,
    /// Files of revoked certificates.
    pub crl: Vec<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub client_verify: bool,
    /// The secret from which all workers derive their ticket keys. Without it no session is
    /// resumed.
    pub ticket_seed: Option<Vec<u8>>,
    /// The protocols inside, by their ALPN names, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// Time for a handshake.
    pub handshake_timeout: Duration,
}

/// The files of a certificate chain and its key.
pub struct Identity {
    /// The file of the chain, PEM.
    pub certificate: PathBuf,
    /// The file of the private key, PEM.
    pub key: PathBuf,
    /// The password of an encrypted key.
    pub key_password: Option<String>,
}

/// A choice of versions of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVersions {
    /// TLS 1.2.
    Only12,
    /// TLS 1.3.
    Only13,
    /// TLS 1.2 and 1.3.
    Both,
}

/// See the module's documentation.
pub struct TlsConfig {
    entries: Vec<Entry>,
    handshake_timeout: Duration,
}

/// One certificate, with the configurations made of it.
pub(super) struct Entry {
    config: Arc<ServerConfig>,
    /// A configuration in which the client's order of cipher suites wins over this server's.
    deferring: Option<Arc<ServerConfig>>,
    key: Arc<CertifiedKey>,
    pub(super) teller: Teller,
    names: Vec<String>,
    path: PathBuf,
    versions: TlsVersions,
}

impl TlsConfig {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// The first option that is wrong.
    pub fn load(options: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(provider(&options.ciphers)?);
        let clients = clients(options, &provider)?;
        let tickets = options
            .ticket_seed
            .as_ref()
            .map(|seed| Arc::new(Tickets::new(seed, &clients.rules)));
        let entries = options
            .certificates
            .iter()
            .enumerate()
            .map(|(index, identity)| {
                let entry = Entry::load(identity, options, &provider, clients.verifier.as_ref());
                let mut entry = entry.map_err(|error| error.of_identity(index))?;
                if let Some(tickets) = &tickets {
                    entry.set_tickets(tickets);
                }
                Ok(entry)
            })
            .collect::<Result<Vec<_>, TlsError>>()?;
        if entries.is_empty() {
            return Err(TlsError::of(option::CERTIFICATE, "is missing".to_owned()));
        }
        let handshake_timeout = options.handshake_timeout;
        Ok(Self {
            entries,
            handshake_timeout,
        })
    }

    /// Refuses a certificate that has expired: a server must not start with it, but a worker that
    /// takes another one's place must not fail for it.
    ///
    /// # Errors
    /// The first option that names one.
    pub fn check_dates(&self) -> Result<(), TlsError> {
        for (index, entry) in self.entries.iter().enumerate() {
            if entry.key.cert.first().is_some_and(certificate::is_expired) {
                let error = TlsError::new(option::CERTIFICATE, &entry.path, "has expired");
                return Err(error.of_identity(index));
            }
        }
        Ok(())
    }

    /// Time for a client's handshake.
    pub fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// The certificate for a client: the first one for the host it names with a key that it can
    /// verify, else the first.
    pub(super) fn entry(&self, hello: &ClientHello<'_>) -> Option<&Entry> {
        let host = hello.server_name().map(str::to_ascii_lowercase);
        let is_known = |entry: &Entry| entry.suits(hello);
        let named = host.and_then(|host| {
            let mut named = self.entries.iter().filter(move |entry| entry.is_for(&host));
            named.find(|entry| is_known(entry))
        });
        named
            .or_else(|| self.entries.iter().find(|entry| is_known(entry)))
            .or(self.entries.first())
    }
}

impl Entry {
    fn load(
        identity: &Identity,
        options: &TlsSettings,
        provider: &Arc<CryptoProvider>,
        verifier: Option<&Arc<dyn ClientCertVerifier>>,
    ) -> Result<Self, TlsError> {
        let chain = certificate::chain(&identity.certificate)?;
        let key = certificate::key(&identity.key, identity.key_password.as_deref())?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            TlsError::new(option::KEY, &identity.key, "has a key of an unknown kind")
        })?;
        let Some(chain) = certificate::in_order(chain, |leaf| is_pair(leaf, &key)) else {
            let fault = format!("is not the key of {}", identity.certificate.display());
            return Err(TlsError::new(option::KEY, &identity.key, &fault));
        };
        let names = chain.first().map(certificate::names).unwrap_or_default();
        let pem = chain.first().map(certificate::pem).unwrap_or_default();
        let certified = Arc::new(CertifiedKey::new(chain, key));
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions(options.versions))
            .map_err(|error| TlsError::of(option::CIPHERS, error.to_string()))?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let resolver = rustls::sign::SingleCertAndKey::from(Arc::clone(&certified));
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols.clone_from(&options.alpn);
        config.send_tls13_tickets = TICKETS;
        let deferring = options.ciphers.is_empty().then(|| Arc::new(config.clone()));
        config.ignore_client_order = true;
        Ok(Self {
            config: Arc::new(config),
            deferring,
            names,
            path: identity.certificate.clone(),
            versions: options.versions,
            key: certified,
            teller: Teller::new(pem.into()),
        })
    }

    fn set_tickets(&mut self, tickets: &Arc<Tickets>) {
        let configs = [Some(&mut self.config), self.deferring.as_mut()];
        for config in configs.into_iter().flatten() {
            Arc::make_mut(config).ticketer = Arc::clone(tickets) as _;
        }
    }

    /// The configuration for this client. A client that prefers ChaCha20 has no AES in its
    /// hardware, so its order of suites wins.
    pub(crate) fn config(&self, hello: &ClientHello<'_>) -> &Arc<ServerConfig> {
        let known = |suite: &&CipherSuite| FAST_TLS13.iter().any(|known| known == *suite);
        match (&self.deferring, hello.cipher_suites().iter().find(known)) {
            (Some(deferring), Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256)) => deferring,
            _ => &self.config,
        }
    }

    /// Whether the client can verify signatures of the key, with a suite that both ends have.
    fn suits(&self, hello: &ClientHello<'_>) -> bool {
        let (key, offered) = (&self.key.key, hello.signature_schemes());
        let suites = &self.config.crypto_provider().cipher_suites;
        let mut common = suites
            .iter()
            .filter(|suite| hello.cipher_suites().contains(&suite.suite()));
        common.any(|suite| match suite {
            SupportedCipherSuite::Tls13(_) => {
                self.versions != TlsVersions::Only12 && key.choose_scheme(offered).is_some()
            }
            SupportedCipherSuite::Tls12(suite) => {
                let schemes = suite.resolve_sig_schemes(offered);
                self.versions != TlsVersions::Only13 && key.choose_scheme(&schemes).is_some()
            }
        })
    }

    fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            // > [...] a wildcard [...] matches only the left-most label — RFC 9525, 6.3
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => name == host,
        })
    }
}

/// Whether certificate and key match. A kind of key that cannot tell passes, and its first client
/// fails.
fn is_pair(leaf: &CertificateDer<'static>, key: &Arc<dyn SigningKey>) -> bool {
    let pair = CertifiedKey::new(vec![leaf.clone()], Arc::clone(key));
    let unknown = Error::InconsistentKeys(InconsistentKeys::Unknown);
    pair.keys_match()
        .map_or_else(|error| error == unknown, |()| true)
}

fn versions(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    match versions {
        TlsVersions::Only12 => ONLY_12,
        TlsVersions::Only13 => ONLY_13,
        TlsVersions::Both => rustls::ALL_VERSIONS,
    }
}

fn provider(ciphers: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = default_provider();
    if ciphers.is_empty() {
        provider.cipher_suites.sort_by_key(|suite| {
            let place = FAST_TLS13.iter().position(|fast| *fast == suite.suite());
            place.unwrap_or(FAST_TLS13.len())
        });
        return Ok(provider);
    }
    let suites = provider.cipher_suites;
    provider.cipher_suites = ciphers
        .iter()
        .map(|name| {
            let wanted = normal(name);
            let mut known = suites.iter();
            known
                .find(|suite| {
                    suite
                        .suite()
                        .as_str()
                        .is_some_and(|name| normal(name) == wanted)
                })
                .copied()
                .ok_or_else(|| {
                    TlsError::of(
                        option::CIPHERS,
                        format!("{name:?} is no known cipher suite"),
                    )
                })
        })
        .collect::<Result<_, _>>()?;
    Ok(provider)
}

/// The suites of TLS 1.3, the fastest one first. Processors have instructions for AES and SHA-256;
/// few have any for SHA-384, which AES-256 uses and which costs a tenth of a handshake's time.
const FAST_TLS13: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// `TLS13_AES_128_GCM_SHA256` here is `TLS_AES_128_GCM_SHA256` elsewhere.
fn normal(suite: &str) -> String {
    suite.to_ascii_uppercase().replacen("TLS13_", "TLS_", 1)
}

/// The check of clients' certificates.
#[derive(Default)]
struct Clients {
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// A digest of the verifier's inputs.
    rules: Vec<u8>,
}

fn clients(options: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Clients, TlsError> {
    let Some(path) = &options.ca else {
        if options.client_verify {
            let message = "needs ssl_ca, the authorities to verify against";
            return Err(TlsError::of(option::VERIFY, message.to_owned()));
        }
        if !options.crl.is_empty() {
            let message = "needs ssl_ca, whose certificates it revokes";
            return Err(TlsError::of(option::CRL, message.to_owned()));
        }
        return Ok(Clients::default());
    };
    let mut roots = RootCertStore::empty();
    let mut rules = vec![u8::from(options.client_verify)];
    for authority in certificate::authorities(path)? {
        rules.extend_from_slice(&authority);
        roots
            .add(authority)
            .map_err(|error| TlsError::new(option::CA, path, &error.to_string()))?;
    }
    let mut lists = Vec::new();
    for path in &options.crl {
        lists.extend(certificate::revocations(path)?);
    }
    for list in &lists {
        rules.extend_from_slice(list);
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(lists);
    if !options.client_verify {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder
        .build()
        .map_err(|error| TlsError::of(option::CRL, error.to_string()))?;
    Ok(Clients {
        verifier: Some(verifier),
        rules,
    })
}

/// Tickets of one session of TLS 1.3; each costs 1.7 µs. A client that opens several connections at
/// once, and uses each ticket once (RFC 8446, C.4), resumes one of them. Each connection brings a
/// new ticket.
const TICKETS: usize = 1;

static ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
static ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];
