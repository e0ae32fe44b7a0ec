//! The group of the proxies in front: `granian.config.proxies`.

use std::rc::Rc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use granian_net::proxies;
use granian_proto::proxy::{ForwardedField, Forwarding, Trusted};

/// `granian.config.proxies.ProxyOptions`.
#[derive(FromPyObject)]
pub(crate) struct Proxies {
    /// Addresses, networks, `unix` and `*`.
    forwarded_allow_ips: Vec<String>,
    /// Names of fields, in lower case.
    forwarded_headers: Vec<String>,
    proxy_protocol: bool,
}

impl Proxies {
    /// The proxies that a service is behind.
    ///
    /// # Errors
    /// `ValueError` for an address or a field that is none.
    pub(crate) fn load(&self) -> PyResult<Rc<proxies::Proxies>> {
        let trusted = Trusted::new(self.forwarded_allow_ips.iter().map(String::as_str))
            .map_err(|error| PyValueError::new_err(format!("forwarded_allow_ips: {error}")))?;
        let fields: Vec<_> = self
            .forwarded_headers
            .iter()
            .map(field)
            .collect::<PyResult<_>>()?;
        Ok(Rc::new(proxies::Proxies {
            forwarding: Forwarding::new(trusted, &fields),
            has_protocol: self.proxy_protocol,
        }))
    }
}

fn field(name: &String) -> PyResult<ForwardedField> {
    let mut all = ForwardedField::ALL.into_iter();
    all.find(|field| field.name() == name).ok_or_else(|| {
        PyValueError::new_err(format!(
            "forwarded_headers: {name:?} is no field of proxies"
        ))
    })
}
