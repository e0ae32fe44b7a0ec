//! `NamedRoutes`: the numbers of the routes that applications name in their scopes.

use std::sync::Arc;

use granian_net::metrics::{Page, Routes};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// See the module's documentation.
pub(crate) struct NamedRoutes {
    /// `granian.interfaces.routes.route_of`
    route_of: Py<PyAny>,
    routes: Routes,
}

impl NamedRoutes {
    /// Has the routes on `page`.
    ///
    /// # Errors
    /// The exception of the import.
    pub(crate) fn new(py: Python<'_>, page: &Arc<Page>) -> PyResult<Self> {
        let module = py.import("granian.interfaces.routes")?;
        Ok(Self {
            route_of: module.getattr("route_of")?.unbind(),
            routes: Routes::new(Arc::clone(page)),
        })
    }

    /// The number of the route that `scope` names, 0 for none.
    pub(crate) fn number(&self, scope: &Bound<'_, PyAny>) -> u16 {
        let named = self.route_of.bind(scope.py()).call1((scope,));
        let Ok(name) = named else { return 0 };
        let name = name.cast::<PyString>().ok();
        let name = name.and_then(|name| name.to_str().ok());
        name.map_or(0, |name| self.routes.number(name))
    }
}
