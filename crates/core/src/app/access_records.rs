//! `AccessRecords`: records of answers on their way to Python's handlers, which a thread of Python's takes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use granian_proto::{RequestHead, Version, percent};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use super::fields;
use granian_net::exchange::app::Address;
use granian_net::exchange::record::{KeptRecord, Record};
use granian_net::log::Context;
use granian_net::runtime::waker::lock;

/// See the module's documentation.
pub(crate) struct AccessRecords {
    state: Mutex<State>,
    has_records: Condvar,
    context: Context,
}

#[derive(Default)]
struct State {
    records: VecDeque<KeptRecord>,
    /// Bytes of them.
    held: usize,
    lost: u64,
    is_closed: bool,
}

impl AccessRecords {
    pub(super) fn new(context: Context) -> Self {
        Self {
            state: Mutex::default(),
            has_records: Condvar::new(),
            context,
        }
    }

    pub(super) fn add(&self, record: &Record<'_>) {
        let mut state = lock(&self.state);
        if state.held >= MOST {
            state.lost += 1;
            return;
        }
        state.held += weight(record);
        state.records.push_back(KeptRecord::of(record));
        if state.records.len() == 1 {
            self.has_records.notify_one();
        }
    }

    /// No more records come.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.has_records.notify_one();
    }

    fn wait(&self) -> Option<(VecDeque<KeptRecord>, u64)> {
        let mut state = lock(&self.state);
        while state.records.is_empty() && !state.is_closed {
            let waited = self.has_records.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.held = 0;
        let records = std::mem::take(&mut state.records);
        let lost = std::mem::take(&mut state.lost);
        (!records.is_empty()).then_some((records, lost))
    }
}

/// The end of `AccessRecords` that Python's thread holds.
#[pyclass(frozen, module = "granian._granian", name = "AccessRecords")]
pub(crate) struct Taker(pub(crate) Arc<AccessRecords>);

#[pymethods]
impl Taker {
    /// Waits for records, and gives for each the facts of the request, those of its answer, the request's
    /// fields, and all others by name, with the number of those that
    /// found no room. `None`: there will be no more.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyList>, u64)>> {
        let Some((records, lost)) = py.detach(|| self.0.wait()) else {
            return Ok(None);
        };
        let list = PyList::empty(py);
        for record in &records {
            list.append(facts(py, &record.get(), &self.0.context)?)?;
        }
        Ok(Some((list, lost)))
    }
}

fn facts<'py>(
    py: Python<'py>,
    record: &Record<'_>,
    context: &Context,
) -> PyResult<Bound<'py, PyTuple>> {
    let answer = record.answer;
    let head = record.head.map(|head| &**head);
    let address = match &record.peer.remote {
        Address::Ip(address) => address.ip().to_string(),
        Address::Unix(_) => String::new(),
    };
    let method = head.map_or("-", RequestHead::method);
    let path = head.map_or("-".into(), |head| percent::decode_lossy(head.path()));
    let query = head.map_or("".into(), |head| String::from_utf8_lossy(head.query()));
    let protocol = match answer.version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    };
    let request = pairs(py, head.into_iter().flat_map(RequestHead::fields))?;
    (
        (address, method, path, query, record.peer.scheme, protocol),
        (answer.status, answer.duration().as_secs_f64(), answer.sent),
        request,
        more(py, record, context)?,
    )
        .into_pyobject(py)
}

/// The facts that granian 2 does not have, by the names of their atoms.
fn more<'py>(
    py: Python<'py>,
    record: &Record<'_>,
    context: &Context,
) -> PyResult<Bound<'py, PyDict>> {
    let answer = record.answer;
    let more = PyDict::new(py);
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    more.set_item(intern!(py, "request_bytes"), answer.received)?;
    let first_byte = answer.first_byte().map_or(0.0, millis);
    more.set_item(intern!(py, "ttfb_ms"), first_byte)?;
    more.set_item(intern!(py, "wait_ms"), millis(answer.waited()))?;
    let tls = record.peer.tls.as_ref().map(|tls| tls.protocol());
    more.set_item(intern!(py, "tls"), tls)?;
    let connection = format!("{}-{}", context.pid, record.peer.number);
    more.set_item(intern!(py, "connection"), connection)?;
    more.set_item(intern!(py, "request_id"), record.request_id())?;
    let reason = answer.reason.as_ref().map(ToString::to_string);
    more.set_item(intern!(py, "reason"), reason)?;
    more.set_item(intern!(py, "close_code"), answer.close_code)?;
    more.set_item(intern!(py, "worker"), context.worker)?;
    more.set_item(intern!(py, "pid"), context.pid)?;
    let response = answer.response.iter().flat_map(|head| head.fields());
    more.set_item(intern!(py, "response_headers"), pairs(py, response)?)?;
    Ok(more)
}

fn pairs<'py, 'a>(
    py: Python<'py>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in fields {
        list.append((fields::name_bytes(py, name), PyBytes::new(py, value)))?;
    }
    Ok(list)
}

fn weight(record: &Record<'_>) -> usize {
    let request = record.head.map_or(0, |head| head.weight());
    let response = record.answer.response.as_ref();
    let response = response.map_or(0, |head| head.weight());
    size_of::<KeptRecord>() + request + response
}

/// Bytes of records that wait.
const MOST: usize = 4 * 1024 * 1024;
