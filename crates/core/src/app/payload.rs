//! Bytes and text of the application as payload to send: small ones are copied, large ones kept by
//! reference. Received ones as an object of the application's.

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use granian_net::exchange::Pieces;

/// The bytes of a bytes-like object. Anything but `bytes` is copied, since it may change.
///
/// # Errors
/// `TypeError` for anything else.
pub(crate) fn bytes_of(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        let slice = bytes.as_bytes();
        return Ok(if slice.len() <= COPY_LIMIT {
            Bytes::copy_from_slice(slice)
        } else {
            Bytes::from_owner(PyBackedBytes::from(bytes.clone()))
        });
    }
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("body must be bytes-like, not str"));
    }
    copied(object).map(Bytes::from)
}

/// The received bytes as one object.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn object_of<'py>(py: Python<'py>, data: &Pieces) -> PyResult<Bound<'py, PyBytes>> {
    match data.as_one() {
        Some(piece) => Ok(PyBytes::new(py, piece)),
        None => PyBytes::new_with_writer(py, data.len(), |writer| {
            data.iter().try_for_each(|piece| writer.write_bytes(piece))
        }),
    }
}

/// A copy of the bytes of an object with a buffer, whatever its items are.
///
/// # Errors
/// `TypeError` for anything else.
pub(crate) fn copied(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(buffer) = PyBuffer::<u8>::get(object) {
        return buffer.to_vec(object.py());
    }
    let view = PyMemoryView::from(object)?;
    view.call_method0(intern!(object.py(), "tobytes"))?
        .extract()
}

/// Text as UTF-8.
///
/// # Errors
/// `UnicodeEncodeError` for lone surrogates.
pub(crate) fn text_of(text: &Bound<'_, PyString>) -> PyResult<Bytes> {
    let slice = text.to_str()?;
    if slice.len() <= COPY_LIMIT {
        return Ok(Bytes::copy_from_slice(slice.as_bytes()));
    }
    Ok(Bytes::from_owner(PyBackedStr::try_from(text.clone())?))
}

/// Bytes up to which a copy costs less than to keep the object.
const COPY_LIMIT: usize = 4 * 1024;
