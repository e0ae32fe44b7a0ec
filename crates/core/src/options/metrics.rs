//! The page of a worker's numbers: `granian.config.MetricsOptions`, and the places on it for readers in Python.

use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use granian_net::metrics::layout::{self, Kind};
use granian_net::metrics::{Metrics, Page};

/// The attributes of `granian.config.MetricsOptions` that the core uses.
#[derive(FromPyObject)]
pub(crate) struct MetricsOptions {
    /// The descriptor of the page's memory, of `layout::BYTES` bytes. It may be closed behind.
    descriptor: RawFd,
    /// Requests that take so long are kept on the page.
    slow: Duration,
    /// Numbers by the routes that applications name.
    pub(crate) routes: bool,
}

impl MetricsOptions {
    /// The time from which on a request is slow.
    pub(crate) fn slow(&self) -> Duration {
        self.slow
    }

    /// The numbers, on the page.
    ///
    /// # Errors
    /// `OSError` if it cannot be mapped.
    pub(crate) fn open(&self) -> PyResult<Rc<Metrics>> {
        if self.descriptor < 0 {
            return Err(PyOSError::new_err("invalid descriptor"));
        }
        // SAFETY: the caller vouches for the descriptor for the length of this call; one that is not open makes the
        // mapping fail.
        let page = Page::map(unsafe { BorrowedFd::borrow_raw(self.descriptor) })?;
        Ok(Rc::new(Metrics::new(Arc::new(page), self.slow)))
    }
}

/// The places on a page: `granian.metrics.layout` makes objects of them. A dictionary of numbers, and `fields`: a
/// list of (name, first word, kind, [(label, values)], bounds).
#[pyfunction]
pub(crate) fn metrics_layout(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let fields: Vec<_> = layout::fields()
        .into_iter()
        .map(|field| {
            let (kind, bounds) = match field.kind {
                Kind::Counter => ("counter", Vec::new()),
                Kind::Gauge => ("gauge", Vec::new()),
                Kind::Histogram(bounds) => ("histogram", bounds.to_vec()),
            };
            let axes: Vec<_> = field
                .axes
                .iter()
                .map(|(label, values)| (*label, values.to_vec()))
                .collect();
            (field.name, field.at, kind, axes, bounds)
        })
        .collect();
    let found = PyDict::new(py);
    found.set_item("fields", fields)?;
    for (name, value) in [
        ("bytes", layout::BYTES),
        ("numbers", layout::at::ROWS),
        ("rows", layout::at::ROWS),
        ("row_count", layout::ROWS),
        ("row_words", layout::row::WORDS),
        ("row_facts", layout::row::FACTS),
        ("row_address", layout::row::ADDRESS),
        ("row_method", layout::row::METHOD),
        ("row_path", layout::row::PATH),
        ("rings", layout::at::RING),
        ("ring_count", layout::RING),
        ("ring_words", layout::ring::WORDS),
        ("ring_row", layout::ring::ROW),
        ("routes", layout::at::ROUTES),
        ("route_count", layout::ROUTES),
        ("route_words", layout::route::WORDS),
        ("route_name", layout::route::NAME),
        ("route_statuses", layout::route::STATUSES),
        ("route_duration", layout::route::DURATION),
    ] {
        found.set_item(name, value)?;
    }
    found.set_item("magic", layout::MAGIC)?;
    Ok(found)
}
