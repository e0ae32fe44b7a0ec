//! `scope.headers`: a read-only multi-mapping over the request's fields.

use std::sync::Arc;

use granian_proto::RequestHead;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyString, PyTuple};

use crate::app::fields::latin1;

/// Names are lower-case, look-ups are not case-sensitive, values are latin-1 text.
#[pyclass(
    frozen,
    mapping,
    freelist = 64,
    module = "granian._granian",
    name = "RSGIHeaders"
)]
pub(crate) struct Headers {
    head: Arc<RequestHead>,
}

impl Headers {
    pub(crate) fn new(head: Arc<RequestHead>) -> Self {
        Self { head }
    }

    fn find(&self, key: &str) -> Option<&[u8]> {
        self.head.field(key.to_ascii_lowercase().as_bytes())
    }

    /// Every name once, in the order of first appearance.
    fn names(&self) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> = Vec::new();
        for (name, _) in self.head.fields() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Every field, those of one name together.
    fn grouped(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.names()
            .into_iter()
            .flat_map(|name| self.head.fields().filter(move |(other, _)| *other == name))
    }
}

#[pymethods]
impl Headers {
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(
            py,
            self.names()
                .into_iter()
                .map(|name| latin1(py, name))
                .collect::<Vec<_>>(),
        )
    }

    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(
            py,
            self.grouped()
                .map(|(_, value)| latin1(py, value))
                .collect::<Vec<_>>(),
        )
    }

    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let items = self
            .grouped()
            .map(|(name, value)| PyTuple::new(py, [latin1(py, name), latin1(py, value)]))
            .collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, items)
    }

    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        self.find(key)
            .map(|value| latin1(py, value).into_any())
            .or(default)
    }

    fn get_all<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyList>> {
        let key = key.to_ascii_lowercase();
        let values = self
            .head
            .fields()
            .filter(|(name, _)| *name == key.as_bytes());
        PyList::new(
            py,
            values
                .map(|(_, value)| latin1(py, value))
                .collect::<Vec<_>>(),
        )
    }

    fn __contains__(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyString>> {
        match self.find(key) {
            Some(value) => Ok(latin1(py, value)),
            None => Err(PyKeyError::new_err(key.to_owned())),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py)?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.names().len()
    }
}
