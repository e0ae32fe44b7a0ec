//! `TlsError`: an option that a server must not start with, and the names of those options.

use std::path::Path;

use thiserror::Error;

/// A wrong option, and the fault in one line.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct TlsError {
    /// The option's name as a keyword.
    pub option: &'static str,
    message: String,
}

impl TlsError {
    pub(crate) fn new(option: &'static str, path: &Path, fault: &str) -> Self {
        let message = format!("{} {fault}", path.display());
        Self { option, message }
    }

    pub(super) fn of(option: &'static str, message: String) -> Self {
        Self { option, message }
    }

    /// The same error of the identity at `index`. `--ssl-sni` names all but the first.
    pub(super) fn of_identity(self, index: usize) -> Self {
        match index {
            0 => self,
            _ => Self {
                option: option::SNI,
                ..self
            },
        }
    }
}

/// The names of options in messages.
pub(super) mod option {
    pub(crate) const CERTIFICATE: &str = "ssl_cert";
    pub(crate) const KEY: &str = "ssl_key";
    pub(crate) const PASSWORD: &str = "ssl_key_password";
    pub(crate) const SNI: &str = "ssl_sni";
    pub(crate) const CA: &str = "ssl_ca";
    pub(crate) const CRL: &str = "ssl_crl";
    pub(crate) const VERIFY: &str = "ssl_client_verify";
    pub(crate) const CIPHERS: &str = "ssl_ciphers";
}
