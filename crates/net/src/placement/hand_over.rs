//! `HandOver`: the application as connections on an I/O thread see it. It hands requests over to the thread of the
//! application's event loop, all those of a turn at once and with one wake-up; `receive` is the other end. Answers need
//! no way of their own: they go into the exchange, whose connection any thread wakes. The rest of a response that a
//! [`Source`] makes is made on the application's thread.
//!
//! The line is bounded by the permits that its requests have (`--backpressure`).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use granian_proto::RequestHead;

use crate::exchange::Exchange;
use crate::exchange::app::{App, BodyWish, Journal, Request, Source};
use crate::exchange::reply::Reply;
use crate::exchange::room::HasRoom;
use crate::placement::shared::Shared;
use crate::placement::site::SharedJournal;
use crate::runtime::reactor::Reactor;
use crate::runtime::waker::{lock, wake};

/// Requests on their way to the application's thread.
#[derive(Default)]
pub struct Inbox {
    /// I/O threads and the application's meet here for a move.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    /// Takes them; absent while it is awake.
    receiver: Option<Waker>,
}

impl Inbox {
    /// True if no request is on its way.
    pub fn is_empty(&self) -> bool {
        lock(&self.state).requests.is_empty()
    }

    fn push(&self, batch: &mut Vec<Request>) {
        let receiver = {
            let mut state = lock(&self.state);
            state.requests.extend(batch.drain(..));
            state.receiver.take()
        };
        wake(receiver);
    }

    /// The next requests; `cx` is woken when there are more.
    fn take(&self, cx: &mut Context<'_>) -> Vec<Request> {
        let mut state = lock(&self.state);
        let count = state.requests.len().min(MOST_AT_ONCE);
        let taken = state.requests.drain(..count).collect();
        if state.requests.is_empty() {
            state.receiver = Some(cx.waker().clone());
        } else {
            cx.waker().wake_by_ref();
        }
        taken
    }
}

/// See the module's documentation. One per I/O thread.
pub struct HandOver {
    inbox: Arc<Inbox>,
    batch: RefCell<Vec<Request>>,
    traits: AppTraits,
    journal: SharedJournal,
}

/// What connections ask the application before they call it.
#[derive(Clone, Copy)]
pub struct AppTraits {
    /// See [`App::wants`]; the same for every request.
    pub wish: BodyWish,
    /// See [`App::speaks_websocket`].
    pub speaks_websocket: bool,
}

impl HandOver {
    /// Hands requests over to who receives from `inbox`.
    pub fn new(inbox: Arc<Inbox>, traits: AppTraits, journal: SharedJournal) -> Self {
        Self {
            inbox,
            batch: RefCell::default(),
            traits,
            journal,
        }
    }
}

impl App for HandOver {
    fn may_start(&self) -> bool {
        true
    }

    fn wants(&self, _head: &RequestHead) -> BodyWish {
        self.traits.wish
    }

    fn speaks_websocket(&self) -> bool {
        self.traits.speaks_websocket
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        self.batch.borrow_mut().push(request);
        None
    }

    fn end_turn(&self) {
        let mut batch = self.batch.borrow_mut();
        if !batch.is_empty() {
            self.inbox.push(&mut batch);
        }
    }

    fn journal(&self) -> &dyn Journal {
        &*self.journal
    }
}

/// Calls `app`, on the thread of `reactor`, with the requests that come to `inbox`. The connections' services share
/// `shared`.
///
/// # Errors
/// When the reactor has no room for a task.
pub fn receive(
    reactor: &Reactor,
    inbox: Arc<Inbox>,
    app: Rc<dyn App>,
    shared: &Shared,
) -> io::Result<()> {
    let (own, queue) = (reactor.clone(), shared.queue.clone());
    let is_paced = queue.asks_rounds();
    reactor.spawn(|handle| {
        let mut round = None;
        Ok(poll_fn(move |cx| {
            if !app.may_start() {
                cx.waker().wake_by_ref();
                return Poll::<()>::Pending;
            }
            if let Some((began, since)) = round.take() {
                queue.end_round(began, handle.time().saturating_duration_since(since));
            }
            let requests = inbox.take(cx);
            if is_paced && !requests.is_empty() {
                round = Some((requests.len(), handle.time()));
                cx.waker().wake_by_ref(); // when the loop comes back
            }
            for request in requests {
                if is_paced {
                    request.exchange.note_begun();
                }
                call(&own, &app, request);
            }
            Poll::Pending
        }))
    })
}

fn call(reactor: &Reactor, app: &Rc<dyn App>, request: Request) {
    let exchange = Arc::clone(&request.exchange);
    if exchange.is_closed() {
        // Its peer has left meanwhile, and nobody waits for an answer.
        return exchange.end_call(app.journal());
    }
    // A bug costs the request that it is in, not all that come after it.
    let called = catch_unwind(AssertUnwindSafe(|| app.call(request)));
    match called {
        Ok(None) => {}
        Ok(Some(source)) => pull(reactor, app, exchange, source),
        Err(_) => {
            exchange.send(Reply::Abort);
            exchange.end_call(app.journal());
        }
    }
}

/// Has `source` make the rest of a response on this thread, as far as there is room for it in the exchange.
fn pull(
    reactor: &Reactor,
    app: &Rc<dyn App>,
    exchange: Arc<Exchange>,
    mut source: Box<dyn Source>,
) {
    let app = Rc::clone(app);
    // Without a room for the task the source is dropped, which ends the response.
    let _ = reactor.spawn(|_| {
        Ok(poll_fn(move |cx| {
            for _ in 0..MOST_AT_ONCE {
                if !app.may_start() || !source.is_ready() {
                    break;
                }
                ready!(exchange.poll_room(cx));
                if !source.pull() {
                    return Poll::Ready(());
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    });
}

/// Requests that are called in a row, or pieces that are made; then the loop's other callbacks get their share.
const MOST_AT_ONCE: usize = 64;
