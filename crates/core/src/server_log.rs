//! Lines of the server's own log (`granian.log`).

use pyo3::prelude::*;

/// Says `message` at a level, which is the name of a logger's method.
pub(crate) fn say(py: Python<'_>, level: &str, message: &str) {
    let said = py.import("granian.log").and_then(|log| {
        // A path, or what a peer has sent, may be part of it.
        let escaped = log.getattr("escaped")?.call1((message,))?;
        log.getattr("logger")?.call_method1(level, ("%s", escaped))
    });
    if let Err(error) = said {
        error.write_unraisable(py, None);
    }
}
