//! The group of TLS: `granian.config.TlsOptions`.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use granian_net::tls::config::{Identity, TlsConfig, TlsError, TlsSettings, TlsVersions};

/// `granian.config.TlsOptions`.
#[derive(FromPyObject)]
pub(crate) struct Tls {
    certificates: Vec<(PathBuf, PathBuf, Option<String>)>,
    protocol_min: String,
    protocol_max: String,
    ciphers: Vec<String>,
    ca: Option<PathBuf>,
    crl: Vec<PathBuf>,
    client_verify: bool,
    ticket_seed: Option<Vec<u8>>,
    alpn: Vec<String>,
    handshake_timeout: Duration,
}

impl Tls {
    /// Reads and checks the files that the options name.
    ///
    /// # Errors
    /// `granian.errors.ConfigurationError` for the first option that is wrong.
    pub(crate) fn load(self, py: Python<'_>) -> PyResult<TlsConfig> {
        let options = TlsSettings {
            versions: self.versions()?,
            certificates: self
                .certificates
                .into_iter()
                .map(|(certificate, key, key_password)| Identity {
                    certificate,
                    key,
                    key_password,
                })
                .collect(),
            ciphers: self.ciphers,
            ca: self.ca,
            crl: self.crl,
            client_verify: self.client_verify,
            ticket_seed: self.ticket_seed,
            alpn: self.alpn.into_iter().map(String::into_bytes).collect(),
            handshake_timeout: self.handshake_timeout,
        };
        py.detach(|| TlsConfig::load(&options))
            .map_err(|error| configuration_error(py, &error))
    }

    fn versions(&self) -> PyResult<TlsVersions> {
        match (&*self.protocol_min, &*self.protocol_max) {
            ("tls1.2", "tls1.2") => Ok(TlsVersions::Only12),
            ("tls1.2", "tls1.3") => Ok(TlsVersions::Both),
            ("tls1.3", "tls1.3") => Ok(TlsVersions::Only13),
            (min, max) => Err(PyValueError::new_err(format!(
                "ssl_protocol_min {min:?} and ssl_protocol_max {max:?} leave no version"
            ))),
        }
    }
}

/// The exception for an option that is wrong.
pub(crate) fn configuration_error(py: Python<'_>, error: &TlsError) -> PyErr {
    let made = py
        .import("granian.errors")
        .and_then(|module| module.getattr("ConfigurationError"))
        .and_then(|class| class.call1((error.option, error.to_string())));
    made.map_or_else(|failure| failure, PyErr::from_value)
}
