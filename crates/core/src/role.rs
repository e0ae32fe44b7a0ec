//! `granian.binding.Role`, as the core's `Role`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use granian_net::placement::site::Role;

/// The role of that name.
///
/// # Errors
/// `ValueError` for any other name, or for `redirect` without a port.
pub(crate) fn role(name: &str, secured_port: Option<u16>) -> PyResult<Role> {
    match (name, secured_port) {
        ("app", _) => Ok(Role::App),
        ("redirect", Some(secured_port)) => Ok(Role::Redirect { secured_port }),
        ("redirect", None) => Err(PyValueError::new_err(
            "redirect: the secured port is missing",
        )),
        _ => Err(PyValueError::new_err(format!(
            "role: {name:?} is none of app, redirect"
        ))),
    }
}
