//! `Home`: tells a forked child of the application from its worker. Such a child has copies of the worker's connections
//! and of its poller. If it returned to the worker's code, it would live on as a second server and answer its parent's
//! clients.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The process that a worker was made in.
pub(crate) struct Home(usize);

impl Home {
    /// This process.
    ///
    /// # Errors
    /// The exception of `os.register_at_fork`.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        if !IS_TOLD.swap(true, Ordering::Relaxed) {
            let after = PyDict::new(py);
            after.set_item("after_in_child", wrap_pyfunction!(note_fork, py)?)?;
            py.import("os")?
                .call_method("register_at_fork", (), Some(&after))?;
        }
        Ok(Self(FORKS.load(Ordering::Relaxed)))
    }

    /// True in a child that was forked since.
    pub(crate) fn is_left(&self) -> bool {
        self.0 != FORKS.load(Ordering::Relaxed)
    }
}

/// Ends this process as Python would at the end of a program, with the exception that ended the call, if one did.
/// Nothing is sent on the connections.
pub(crate) fn leave(py: Python<'_>, error: Option<PyErr>) {
    let error = error.map(|error| error.into_value(py));
    let left = py
        .import("granian.forks")
        .and_then(|forks| forks.call_method1("leave", (error,)));
    if let Err(error) = left {
        error.write_unraisable(py, None);
    }
    std::process::exit(1);
}

#[pyfunction]
fn note_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Forks on the way from the first process to this one, since Python tells of them.
static FORKS: AtomicUsize = AtomicUsize::new(0);
static IS_TOLD: AtomicBool = AtomicBool::new(false);
