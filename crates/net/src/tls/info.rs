//! `TlsInfo`: the facts of a handshake that applications may see.

use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, ServerConnection};

use super::certificate::{self, Holder};
use crate::runtime::waker::lock;

/// The TLS session under a request, as an application may see it.
pub struct TlsInfo {
    /// The version as a number of the wire: 0x0304 is TLS 1.3.
    pub version: Option<u16>,
    /// The suite's number in IANA's registry.
    pub cipher_suite: Option<u16>,
    /// The suite's name in that registry.
    pub cipher_name: Option<&'static str>,
    server: Arc<str>,
    /// The client's chain, its own certificate first; empty if it showed none.
    clients: Vec<CertificateDer<'static>>,
    /// An object that an interface keeps here: for the life of the certificate where sessions share
    /// this value, else for that of the connection.
    pub memo: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl TlsInfo {
    /// The version as OpenSSL names it.
    pub fn protocol(&self) -> &'static str {
        match self.version {
            Some(0x0304) => "TLSv1.3",
            _ => "TLSv1.2",
        }
    }

    /// The server's certificate, PEM.
    pub fn server_certificate(&self) -> &str {
        &self.server
    }

    /// The client's chain, PEM each.
    pub fn client_chain(&self) -> Vec<String> {
        self.clients.iter().map(certificate::pem).collect()
    }

    /// The holder of the client's certificate.
    pub fn client(&self) -> Option<Holder> {
        self.clients.first().and_then(Holder::of)
    }
}

/// Makes the `TlsInfo` of sessions under one certificate of the server.
pub(super) struct Teller {
    /// The certificate, PEM.
    server: Arc<str>,
    /// One shared `TlsInfo` per version and cipher suite, for clients without a certificate. The
    /// lock is for two threads whose workers share a configuration; today each worker loads its
    /// own.
    known: Mutex<Vec<Arc<TlsInfo>>>,
}

impl Teller {
    /// `server` is the server's certificate, PEM.
    pub(crate) fn new(server: Arc<str>) -> Self {
        Self {
            server,
            known: Mutex::new(Vec::new()),
        }
    }

    /// The facts of `connection`, whose handshake is over.
    pub(crate) fn info(&self, connection: &ServerConnection) -> Arc<TlsInfo> {
        let clients = connection.peer_certificates().unwrap_or_default();
        if !clients.is_empty() {
            return Arc::new(self.make(connection, clients));
        }
        let mut known = lock(&self.known);
        let facts = facts_of(connection);
        if let Some(info) = known
            .iter()
            .find(|info| (info.version, info.cipher_suite) == facts)
        {
            return Arc::clone(info);
        }
        let info = Arc::new(self.make(connection, clients));
        known.push(Arc::clone(&info));
        info
    }

    fn make(&self, connection: &ServerConnection, clients: &[CertificateDer<'_>]) -> TlsInfo {
        let (version, cipher_suite) = facts_of(connection);
        let name = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str());
        TlsInfo {
            version,
            cipher_suite,
            cipher_name: name.map(|name| name.strip_prefix("TLS13_").map_or(name, tls13_name)),
            server: Arc::clone(&self.server),
            clients: clients
                .iter()
                .map(|each| each.clone().into_owned())
                .collect(),
            memo: OnceLock::new(),
        }
    }
}

/// The version and the cipher suite as on the wire.
fn facts_of(connection: &ServerConnection) -> (Option<u16>, Option<u16>) {
    let version = connection.protocol_version().map(|version| match version {
        ProtocolVersion::TLSv1_3 => 0x0304,
        _ => 0x0303,
    });
    let suite = connection.negotiated_cipher_suite();
    (version, suite.map(|suite| u16::from(suite.suite())))
}

/// IANA's name of a suite. rustls has `TLS13_` where IANA has `TLS_`.
fn tls13_name(rest: &str) -> &'static str {
    match rest {
        "AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        _ => "",
    }
}
