//! The mechanisms that `granian.mechanisms` has on, as the core's `Mechanisms`.

use std::collections::HashSet;

use granian_net::limits::Mechanisms;
use pyo3::prelude::*;

/// The mechanisms that are on.
///
/// # Errors
/// `ConfigurationError` for a name that is none.
pub(crate) fn mechanisms(py: Python<'_>) -> PyResult<Mechanisms> {
    let module = py.import("granian.mechanisms")?;
    let disabled: HashSet<String> = module.call_method0("disabled")?.extract()?;
    let is_on = |name: &str| !disabled.contains(name);
    Ok(Mechanisms {
        adaptive_limit: is_on("adaptive-limit"),
        deferred_writes: is_on("deferred-writes"),
        early_writes: is_on("early-writes"),
    })
}
