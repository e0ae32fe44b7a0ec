//! What an application may say in a WebSocket handshake and its close, the same for ASGI and RSGI.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use granian_proto::ws::{fitting, is_sendable};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

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

/// A code that may stand in a Close frame.
///
/// # Errors
/// `ValueError` for others, `TypeError` for what is no integer.
pub(crate) fn close_code(code: &Bound<'_, PyAny>) -> PyResult<u16> {
    let number: i64 = code
        .extract()
        .map_err(|_| PyTypeError::new_err("a close code is an int"))?;
    u16::try_from(number)
        .ok()
        .filter(|code| is_sendable(*code))
        .ok_or_else(|| PyValueError::new_err(format!("invalid close code {number}")))
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
