//! The TLS session as applications see it: ASGI's `tls` extension
//! (<https://asgi.readthedocs.io/en/latest/specs/tls.html>), which RSGI's `scope.tls` shares, and
//! the variables of mod_ssl for WSGI.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use granian_net::exchange::app::{Peer, TlsInfo};

/// Adds the extension to others if the connection is secured.
pub(crate) fn announce(extensions: &Bound<'_, PyDict>, peer: &Peer) -> PyResult<()> {
    let Some(info) = &peer.tls else {
        return Ok(());
    };
    let py = extensions.py();
    extensions.set_item(intern!(py, "tls"), extension(py, info)?)
}

/// The extension's dict; every request gets its own.
pub(crate) fn extension<'py>(py: Python<'py>, info: &TlsInfo) -> PyResult<Bound<'py, PyDict>> {
    if let Some(Extension(made)) = memo(info) {
        return made.bind(py).copy();
    }
    let extension = PyDict::new(py);
    extension.set_item(intern!(py, "server_cert"), info.server_certificate())?;
    let chain = PyTuple::new(py, info.client_chain())?;
    extension.set_item(intern!(py, "client_cert_chain"), chain)?;
    let name = info.client().map(|client| client.subject);
    extension.set_item(intern!(py, "client_cert_name"), name)?;
    // The handshake refuses a client whose certificate is not accepted.
    extension.set_item(intern!(py, "client_cert_error"), py.None())?;
    extension.set_item(intern!(py, "tls_version"), info.version)?;
    extension.set_item(intern!(py, "cipher_suite"), info.cipher_suite)?;
    // A thread that was faster has kept the same value.
    let _ = info
        .memo
        .set(Box::new(Extension(extension.copy()?.unbind())));
    Ok(extension)
}

/// The variables of a WSGI environ.
pub(crate) fn set_environ(environ: &Bound<'_, PyDict>, info: &TlsInfo) -> PyResult<()> {
    let py = environ.py();
    if let Some(Variables(variables)) = memo(info) {
        return environ.update(variables.bind(py).as_mapping());
    }
    let variables = PyDict::new(py);
    let chain = info.client_chain();
    variables.set_item("SSL_PROTOCOL", info.protocol())?;
    variables.set_item("SSL_CIPHER", info.cipher_name)?;
    let verify = if chain.is_empty() { "NONE" } else { "SUCCESS" };
    variables.set_item("SSL_CLIENT_VERIFY", verify)?;
    if let Some(certificate) = chain.first() {
        variables.set_item("SSL_CLIENT_CERT", certificate)?;
    }
    if let Some(client) = info.client() {
        variables.set_item("SSL_CLIENT_S_DN", client.subject)?;
        if let Some(name) = client.common_name {
            variables.set_item("SSL_CLIENT_S_DN_CN", name)?;
        }
        variables.set_item("SSL_CLIENT_I_DN", client.issuer)?;
        variables.set_item("SSL_CLIENT_M_SERIAL", client.serial)?;
    }
    environ.update(variables.as_mapping())?;
    // A thread that was faster has kept the same value.
    let _ = info.memo.set(Box::new(Variables(variables.unbind())));
    Ok(())
}

/// The kept object; an interface finds only its own kind.
struct Extension(Py<PyDict>);
struct Variables(Py<PyDict>);

fn memo<T: 'static>(info: &TlsInfo) -> Option<&T> {
    info.memo.get()?.downcast_ref()
}
