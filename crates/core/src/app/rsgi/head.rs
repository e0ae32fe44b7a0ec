//! The `status` and `headers` of RSGI's methods as heads: sequences of pairs of `str`.

use granian_proto::ResponseHead;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::app::fields;

/// The head of a response.
///
/// # Errors
/// `ValueError` for a status or a field that HTTP does not have, `TypeError` for another type.
pub(super) fn head(status: u16, headers: Option<&Bound<'_, PyAny>>) -> PyResult<ResponseHead> {
    let mut head = ResponseHead::new(status).map_err(fields::head_error)?;
    for_each_header(headers, |pair| fields::append_text(&mut head, pair))?;
    Ok(head)
}

/// Calls `append` with each pair of `headers`.
///
/// # Errors
/// `TypeError` for one string, which is a sequence too, and what `append` returns.
pub(super) fn for_each_header(
    headers: Option<&Bound<'_, PyAny>>,
    append: impl FnMut(&Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let Some(headers) = headers else {
        return Ok(());
    };
    if headers.is_instance_of::<PyString>() || headers.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(
            "headers must be a sequence of pairs of str",
        ));
    }
    fields::for_each_pair(headers, append)
}
