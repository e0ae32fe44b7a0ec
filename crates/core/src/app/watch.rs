//! `watch`: looks after one call of the application until its request is over, and cancels the call's task if that is
//! asked for: by `--request-timeout`, and by `--cancel-on-disconnect`. A call on a thread cannot be cancelled; it is
//! reported with its stack.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::intern;
use pyo3::prelude::*;

use super::call::Call;
use super::response::Progress;
use granian_net::exchange::Over;

struct Watch(Weak<Call>);

/// Watches `call`, if its server's options ask for that.
pub(crate) fn watch(call: &Arc<Call>) {
    let options = &call.calls.watch;
    if options.request_timeout.is_none() && !options.cancels_on_disconnect {
        return;
    }
    let watch = Arc::new(Watch(Arc::downgrade(call)));
    let waker = Waker::from(Arc::clone(&watch));
    if let Poll::Ready(over) = call.exchange.poll_over(&mut Context::from_waker(&waker)) {
        watch.tell(over);
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(over) = self.0.upgrade().and_then(|call| call.exchange.over()) {
            self.tell(over);
        }
    }
}

impl Watch {
    /// The exchange is over, in the middle of a turn: Python code runs after it.
    fn tell(self: &Arc<Self>, over: Over) {
        let Some(call) = self.0.upgrade() else {
            return;
        };
        // An application that works on behind its response is done with the request.
        if call.progress() == Progress::Whole {
            return;
        }
        if let Some(errands) = call.calls.event_loop.errands_elsewhere() {
            let this = Arc::clone(self);
            return errands.add(Box::new(move |_| this.tell(over)));
        }
        let options = &call.calls.watch;
        let is_overdue = matches!(over, Over::Overdue(_));
        let is_left = matches!(over, Over::Disconnected | Over::Refused(_));
        let is_watched = is_overdue || (is_left && options.cancels_on_disconnect);
        if !is_watched {
            return;
        }
        Python::attach(|py| {
            if is_overdue && let Err(error) = report(py, &call) {
                call.calls.report(py, error);
            }
            call.calls.cancel_soon(py, call.key());
        });
    }
}

/// Tells of a request that has taken too long.
fn report(py: Python<'_>, call: &Call) -> PyResult<()> {
    let head = &call.exchange.origin().head;
    let path = String::from_utf8_lossy(head.path());
    let request = format!("{} {path}", head.method());
    let seconds = call.calls.watch.request_timeout.unwrap_or_default();
    let thread = call.exchange.thread();
    let arguments = (request, seconds.as_secs_f64(), thread);
    py.import("granian.overdue")?
        .call_method1(intern!(py, "report"), arguments)
        .map(drop)
}
