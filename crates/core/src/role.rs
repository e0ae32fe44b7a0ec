//! `Role`: the service that a listening socket offers.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The service that the clients of a listener get: `granian.binding.Role`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The application, secured if the worker is.
    App,
    /// In plain: redirects to the secured port of the same host.
    Redirect { secured_port: u16 },
}

impl Role {
    pub(crate) fn new(role: &str, secured_port: Option<u16>) -> PyResult<Self> {
        match (role, secured_port) {
            ("app", _) => Ok(Self::App),
            ("redirect", Some(secured_port)) => Ok(Self::Redirect { secured_port }),
            ("redirect", None) => Err(PyValueError::new_err(
                "redirect: the secured port is missing",
            )),
            _ => Err(PyValueError::new_err(format!(
                "role: {role:?} is none of app, redirect"
            ))),
        }
    }
}
