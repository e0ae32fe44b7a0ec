//! Rules about an application's WebSocket handshake and close, the same for ASGI and RSGI.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use granian_proto::ws::{code, fitting, is_sendable};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use super::calls::Calls;

/// Fields of the answer that are the handshake's to make.
pub(crate) fn is_own(name: &[u8]) -> bool {
    let own: [&[u8]; 3] = [
        b"sec-websocket-accept",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    ];
    own.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The code that an application closes with, whether or not it may stand in a Close frame.
///
/// # Errors
/// `TypeError` for what is no integer.
pub(crate) fn close_code(code: &Bound<'_, PyAny>) -> PyResult<i64> {
    let code = code
        .cast::<PyInt>()
        .map_err(|_| PyTypeError::new_err("a close code is an int"))?;
    // A number beyond 64 bits is no close code either.
    Ok(code.extract().unwrap_or(i64::MAX))
}

/// The code for the Close frame: `code`, or 1000 for one that may not stand in a frame. Frameworks close with 1006 or
/// with the status of a response, so that an exception would end a connection that was to end anyway.
pub(crate) fn sendable(py: Python<'_>, calls: &Calls, code: i64) -> u16 {
    let fits = u16::try_from(code).ok().filter(|code| is_sendable(*code));
    fits.unwrap_or_else(|| {
        calls.explain(
            py,
            &TOLD,
            &format!(
                "A websocket was closed with {code}, which is no close code: the client gets 1000"
            ),
        );
        code::NORMAL
    })
}

/// The status that refuses a handshake: `status`, or 403 for what is no status of a response, such as a close code.
pub(crate) fn refusal(status: i64) -> u16 {
    let fits = u16::try_from(status).ok();
    fits.filter(|status| (200..=999).contains(status))
        .unwrap_or(FORBIDDEN)
}

/// As much of a reason as fits into a Close frame.
pub(crate) fn close_reason(reason: &Bound<'_, PyString>) -> PyResult<Bytes> {
    Ok(Bytes::copy_from_slice(fitting(reason.to_str()?).as_bytes()))
}

/// Says once in a process that a field of the handshake's own, found among an accept's headers, is left out.
pub(crate) fn warn_of_own(calls: &Calls, name: &[u8]) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if WARNED.swap(true, Ordering::Relaxed) {
        return;
    }
    let name = String::from_utf8_lossy(name);
    let message = format!(
        "The header {name} of a websocket's accept is left out: the server makes it (a subprotocol is accept's `subprotocol`)"
    );
    Python::attach(|py| calls.warn(py, &message));
}

/// The status of a refused handshake.
pub(crate) const FORBIDDEN: u16 = 403;
/// This process has explained its close codes.
static TOLD: AtomicBool = AtomicBool::new(false);
