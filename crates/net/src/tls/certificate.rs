//! PEM files: certificate chains, private keys, authorities and revocation lists. They are read and
//! checked so that a server does not start with a certificate that its clients would refuse.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::error::{TlsError, option};

/// The certificates of a PEM file; at least one.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = certificates(path, option::CERTIFICATE)?;
    let fault = |fault| TlsError::new(option::CERTIFICATE, path, fault);
    if chain.is_empty() {
        return Err(fault("has no certificate"));
    }
    for certificate in &chain {
        Certificate::from_der(certificate).map_err(|_| fault("has a malformed certificate"))?;
    }
    Ok(chain)
}

/// The same certificates in order: the first one that `is_leaf`, then the certificate that
/// certifies the one before it, then all others. `None` without a leaf.
///
/// > The sender's certificate MUST come in the first CertificateEntry in the list. Each following
/// > certificate SHOULD directly certify the one immediately preceding it.
/// > — RFC 8446, 4.4.2 <https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2>
pub(super) fn in_order(
    mut certificates: Vec<CertificateDer<'static>>,
    is_leaf: impl Fn(&CertificateDer<'static>) -> bool,
) -> Option<Vec<CertificateDer<'static>>> {
    let mut chain = Vec::with_capacity(certificates.len());
    let mut next = certificates.iter().position(is_leaf);
    next?;
    while let Some(at) = next {
        let certificate = certificates.remove(at);
        let issuer = Certificate::from_der(&certificate)
            .ok()?
            .tbs_certificate
            .issuer;
        chain.push(certificate);
        let is_issuer = |other: &CertificateDer<'_>| {
            Certificate::from_der(other).is_ok_and(|other| other.tbs_certificate.subject == issuer)
        };
        next = certificates.iter().position(is_issuer);
    }
    chain.append(&mut certificates);
    Some(chain)
}

/// The certificates of the authorities that clients' certificates are checked against.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let authorities = certificates(path, option::CA)?;
    if authorities.is_empty() {
        return Err(TlsError::new(option::CA, path, "has no certificate"));
    }
    Ok(authorities)
}

/// The revocation lists of a PEM file.
pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let text = read(path, option::CRL)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(TlsError::new(option::CRL, path, "has no revocation list")),
        Err(_) => Err(TlsError::new(option::CRL, path, "is not PEM")),
    }
}

/// The first private key of a PEM file: PKCS#8, PKCS#1 or SEC1. A key with a password is PKCS#8.
pub(super) fn key(path: &Path, password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, option::KEY)?;
    if let Some(encrypted) = encrypted_section(&text) {
        let Some(password) = password else {
            let message = "is encrypted: ssl_key_password is missing";
            return Err(TlsError::new(option::KEY, path, message));
        };
        return decrypt(encrypted, password).ok_or_else(|| {
            TlsError::new(
                option::PASSWORD,
                path,
                "is a key that ssl_key_password does not open",
            )
        });
    }
    if memchr::memmem::find(&text, OLD_ENCRYPTION).is_some() {
        let message = "is encrypted in an old way: make it PKCS#8 (openssl pkcs8 -topk8)";
        return Err(TlsError::new(option::KEY, path, message));
    }
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| TlsError::new(option::KEY, path, "has no private key that can be read"))
}

fn encrypted_section(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let start = text.find(ENCRYPTED_BEGIN)?;
    let end = start + text.get(start..)?.find(ENCRYPTED_END)? + ENCRYPTED_END.len();
    text.get(start..end)
}

fn decrypt(section: &str, password: &str) -> Option<PrivateKeyDer<'static>> {
    let (_, document) = pkcs8::SecretDocument::from_pem(section).ok()?;
    let info = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).ok()?;
    let key = info.decrypt(password).ok()?;
    PrivateKeyDer::try_from(key.as_bytes().to_vec()).ok()
}

/// The host names that a certificate is for, in lower case; `*.` stands for one label.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let extensions = certificate.tbs_certificate.extensions.unwrap_or_default();
    let names = extensions
        .iter()
        .find(|extension| extension.extn_id == ID_CE_SUBJECT_ALT_NAME)
        .and_then(|extension| SubjectAltName::from_der(extension.extn_value.as_bytes()).ok());
    names.map_or_else(Vec::new, |names| {
        names
            .0
            .iter()
            .filter_map(|name| match name {
                GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
                _ => None,
            })
            .collect()
    })
}

/// The holder and the issuer of a certificate, in the form of RFC 4514.
pub struct Holder {
    /// The whole subject.
    pub subject: String,
    /// The last common name of the subject, not escaped.
    pub common_name: Option<String>,
    /// The issuer.
    pub issuer: String,
    /// The serial number, hexadecimal, without leading zeros.
    pub serial: String,
}

impl Holder {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
        let mut attributes = certificate.subject.0.iter().flat_map(|name| name.0.iter());
        let common_name = attributes.rfind(|each| each.oid == COMMON_NAME);
        let digits: String = certificate
            .serial_number
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        Some(Self {
            subject: certificate.subject.to_string(),
            // BMPString and TeletexString are not UTF-8; all other kinds of string are.
            common_name: common_name
                .and_then(|each| std::str::from_utf8(each.value.value()).ok())
                .map(str::to_owned),
            issuer: certificate.issuer.to_string(),
            serial: digits.trim_start_matches('0').to_owned(),
        })
    }
}

/// A certificate as PEM text.
pub(super) fn pem(certificate: &CertificateDer<'_>) -> String {
    encode_string("CERTIFICATE", LineEnding::LF, certificate).unwrap_or_default()
}

/// True if the certificate has expired.
pub(super) fn is_expired(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return false;
    };
    let until = certificate.tbs_certificate.validity.not_after;
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .is_ok_and(|now| until.to_unix_duration() < now)
}

fn certificates(
    path: &Path,
    option: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, option)?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::new(option, path, "is not PEM"))
}

fn read(path: &Path, option: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError::new(option, path, &format!("can't be read: {error}")))
}

/// The mark of an encrypted key in the head of a PEM section (RFC 1421, 4.6.1.1).
const OLD_ENCRYPTION: &[u8] = b"Proc-Type: 4,ENCRYPTED";
const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
