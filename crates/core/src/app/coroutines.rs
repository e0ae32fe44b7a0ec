//! `Coroutines`: the application of an interface whose callables return awaitables, ASGI and RSGI.
//! `CoroutineInterface` is the part in which they differ: the arguments of the call.

use std::sync::Arc;

use pyo3::prelude::*;

use super::call::Call;
use super::calls::Calls;
use super::runner::{self, Again};
use super::watch::watch;
use granian_net::exchange::app::{App, Journal, Request, Source};
use granian_net::runtime::reactor::Reactor;

/// The call of an interface for a request.
pub(crate) trait CoroutineInterface {
    /// Calls `callable` for `request`, whose reply goes through `call`; returns its result, and
    /// how the call is repeated if it ends without an answer.
    ///
    /// # Errors
    /// The exception of the application, or of making its arguments.
    fn call<'py>(
        &self,
        callable: &Bound<'py, PyAny>,
        request: Request,
        call: &Arc<Call>,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Again>)>;
}

/// See the module's documentation.
pub(crate) struct Coroutines<I> {
    callable: Py<PyAny>,
    interface: I,
    calls: Arc<Calls>,
    reactor: Reactor,
}

impl<I: CoroutineInterface> Coroutines<I> {
    pub(crate) fn new(
        callable: Bound<'_, PyAny>,
        interface: I,
        calls: Arc<Calls>,
        reactor: Reactor,
    ) -> Self {
        Self {
            callable: callable.unbind(),
            interface,
            calls,
            reactor,
        }
    }
}

impl<I: CoroutineInterface> App for Coroutines<I> {
    /// Only within a turn: a task started inside another one's step would run in its context.
    fn may_start(&self) -> bool {
        self.reactor.is_in_turn()
    }

    fn speaks_websocket(&self) -> bool {
        true
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        Python::attach(|py| {
            let call = Call::new(&request, Arc::clone(&self.calls));
            watch(&call);
            match self.interface.call(self.callable.bind(py), request, &call) {
                Ok((awaitable, again)) => runner::run(py, call, Ok(awaitable), again),
                Err(error) => runner::run(py, call, Err(error), None),
            }
        });
        None
    }

    fn journal(&self) -> &dyn Journal {
        &*self.calls
    }
}
