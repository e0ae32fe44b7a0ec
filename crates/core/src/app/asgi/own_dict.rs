//! `OwnDict`: a dict that every scope has for itself, though hardly any application writes into it.

use std::cell::RefCell;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Gives copies of a template. The copy of the last scope is given once more if nobody has it any longer and it is
/// what it was; an object that an application puts into it lives until then. To make and free `extensions`, its four
/// dicts and `asgi` anew for each request costs `asgi-hello` of `make bench` 1,700 of 37,300 instructions (callgrind).
pub(super) struct OwnDict {
    template: Py<PyDict>,
    depth: Depth,
    last: RefCell<Option<Py<PyDict>>>,
}

/// The values that a copy has for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// None: they are the template's.
    Shallow,
    /// Those that are empty dicts.
    EmptyDicts,
}

impl OwnDict {
    pub(super) fn new(template: Bound<'_, PyDict>, depth: Depth) -> Self {
        Self {
            template: template.unbind(),
            depth,
            last: RefCell::new(None),
        }
    }

    /// A dict with the items that the template has now, in their order, which nobody else has.
    pub(super) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let template = self.template.bind(py);
        if let Some(last) = &*self.last.borrow() {
            let last = last.bind(py);
            if is_let_go(last.as_ptr()) && self.is_unchanged(template, last) {
                return Ok(last.clone());
            }
        }
        let own = template.copy()?;
        if self.depth == Depth::EmptyDicts {
            for (key, value) in template {
                if is_empty_dict(value.as_ptr()) {
                    own.set_item(key, PyDict::new(py))?;
                }
            }
        }
        // Without the interpreter's lock, counts of references say less.
        if cfg!(not(Py_GIL_DISABLED)) {
            // Outside the borrow: values that are freed with the former one may run Python code.
            drop(self.last.replace(Some(own.clone().unbind())));
        }
        Ok(own)
    }

    /// Whether `last` has the template's own keys and values, in their order. Runs no Python code.
    fn is_unchanged(&self, template: &Bound<'_, PyDict>, last: &Bound<'_, PyDict>) -> bool {
        if template.len() != last.len() {
            return false;
        }
        let (mut here, mut there) = (0, 0);
        while let Some((key, value)) = next(template, &mut here) {
            let Some((last_key, last_value)) = next(last, &mut there) else {
                return false;
            };
            let is_same = match self.depth {
                Depth::EmptyDicts if is_empty_dict(value) => {
                    is_empty_dict(last_value) && is_let_go(last_value)
                }
                Depth::EmptyDicts | Depth::Shallow => last_value == value,
            };
            if key != last_key || !is_same {
                return false;
            }
        }
        true
    }
}

/// True if the one who asks has the only reference to `object`, which has to be alive.
fn is_let_go(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the object is alive, as the caller says, and the interpreter is attached.
    unsafe { ffi::Py_REFCNT(object) == 1 }
}

/// `object` has to be alive.
fn is_empty_dict(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the object is alive, as the caller says, and the interpreter is attached.
    unsafe { ffi::PyDict_CheckExact(object) != 0 && ffi::PyDict_Size(object) == 0 }
}

/// The item of `dict` behind `position`, which goes on by one. The pointers are borrowed from the dict.
fn next(
    dict: &Bound<'_, PyDict>,
    position: &mut ffi::Py_ssize_t,
) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the dict is alive, and nobody changes it between two calls: no Python code runs.
    let found = unsafe { ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) };
    (found != 0).then_some((key, value))
}
