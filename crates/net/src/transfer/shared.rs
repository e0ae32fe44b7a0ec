//! `Shared`: the state of a connection that its transfers see and set.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::HeaderValue;
use slab::Slab;

use super::room::Room;
use crate::admission::queue::Share;
use crate::bounds::CALLS_PER_LOOK;
use crate::budget::{Budget, Loan};
use crate::exchange::app::Peer;
use crate::runtime::reactor::TaskHandle;
use crate::runtime::slice::Slice;
use crate::runtime::waker::{register, wake_all};
use crate::service::Service;

/// One per connection.
pub(crate) struct Shared {
    pub(crate) peer: Arc<Peer>,
    pub(crate) service: Rc<Service>,
    pub(crate) handle: TaskHandle,
    /// The connection's share of the present poll.
    pub(crate) slice: Rc<Slice>,
    /// Polls of transfers in it.
    polls: Cell<u32>,
    /// The permits that the transfers' calls hold.
    pub(crate) share: Arc<Share>,
    /// The connection's part of `Service::inflated`.
    pub(crate) inflated: Budget,
    /// The connection's part of `Service::heads`.
    heads: Budget,
    /// The time for which the requests of this poll have waited to be read, if it matters.
    pub(crate) unread: Cell<Duration>,
    /// The connection's socket takes less than the transfers make for it.
    is_clogged: Cell<bool>,
    clogged: RefCell<Vec<Waker>>,
    pub(crate) room: Room,
    /// Output that was handed to the protocol has to leave before any transfer goes on.
    is_held: Cell<bool>,
    /// A source was pulled from: its replies are written before any source is asked again.
    pub(crate) has_pulled: Cell<bool>,
    alarms: RefCell<Slab<(Option<Instant>, Waker)>>,
    /// The `date` of the last response.
    date: RefCell<HeaderValue>,
}

impl Shared {
    pub(crate) fn new(peer: Arc<Peer>, service: Rc<Service>, handle: TaskHandle) -> Rc<Self> {
        let inflated = service.limits.websocket.max_inflated_by_one();
        Rc::new(Self {
            inflated: service.inflated.part(inflated),
            heads: service.heads.part(MAX_HEADS),
            peer,
            service,
            handle,
            slice: Rc::default(),
            polls: Cell::default(),
            share: Arc::default(),
            unread: Cell::default(),
            is_clogged: Cell::new(false),
            clogged: RefCell::new(Vec::new()),
            room: Room::default(),
            is_held: Cell::new(false),
            has_pulled: Cell::new(false),
            alarms: RefCell::new(Slab::new()),
            date: RefCell::new(HeaderValue::from_static("")),
        })
    }

    /// Takes note of a head of so many bytes for as long as the loan lives; `None` for a small one.
    ///
    /// # Errors
    /// When the heads of this connection or of all are too many, and this is not the connection's only one.
    pub(crate) fn admit_head(&self, bytes: usize) -> Result<Option<Loan>, TooManyHeads> {
        if bytes <= SMALL_HEAD {
            return Ok(None);
        }
        if self.heads.lent() > 0 && self.heads.left() < bytes {
            return Err(TooManyHeads);
        }
        Ok(Some(self.heads.lend(bytes)))
    }

    pub(crate) fn now(&self) -> Instant {
        self.handle.now()
    }

    /// The `date` field's value for a response that is sent now. Responses of the same second share it.
    pub(crate) fn date(&self) -> HeaderValue {
        let text = self.service.date(self.now());
        let mut date = self.date.borrow_mut();
        if date.as_bytes() != text
            && let Ok(value) = HeaderValue::from_bytes(&text)
        {
            *date = value;
        }
        date.clone()
    }

    /// The connection's share of a turn begins.
    pub(crate) fn begin_poll(&self) {
        self.slice.begin(&self.handle);
        self.polls.set(0);
    }

    /// True if one more transfer may go on before other connections get their turn. A few may in any case.
    pub(crate) fn may_go_on(&self) -> bool {
        let polls = self.polls.get();
        let is_over = || {
            let is_look = polls.is_multiple_of(CALLS_PER_LOOK);
            self.slice.was_over() || (is_look && self.slice.is_over(&self.handle))
        };
        if polls >= CALLS_PER_LOOK && is_over() {
            return false;
        }
        self.polls.set(polls + 1);
        true
    }

    /// Ready while the protocol may be handed more; otherwise `cx` is woken when it may.
    pub(crate) fn poll_unclogged(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_clogged.get() {
            register(&mut self.clogged.borrow_mut(), cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// True while the protocol may be handed nothing.
    pub(crate) fn is_clogged(&self) -> bool {
        self.is_clogged.get()
    }

    pub(crate) fn set_clogged(&self, is_clogged: bool) {
        self.is_clogged.set(is_clogged);
        if !is_clogged && !self.clogged.borrow().is_empty() {
            let waiting = std::mem::take(&mut *self.clogged.borrow_mut());
            wake_all(waiting);
        }
    }

    /// True while no transfer may go on.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held.get()
    }

    /// Holds every transfer, or lets them go on. Those that were polled meanwhile have woken the connection.
    pub(crate) fn set_held(&self, is_held: bool) {
        self.is_held.set(is_held);
    }

    /// The time of the next alarm.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.alarms
            .borrow()
            .iter()
            .filter_map(|(_, (at, _))| *at)
            .min()
    }

    /// Wakes every transfer whose alarm has rung.
    pub(crate) fn ring_alarms(&self) {
        let now = self.now();
        for (_, (at, waker)) in self.alarms.borrow().iter() {
            if at.is_some_and(|at| at <= now) {
                waker.wake_by_ref();
            }
        }
    }

    /// Wakes every transfer that has an alarm: the worker's stage has changed.
    pub(crate) fn ring_all(&self) {
        for (_, (_, waker)) in self.alarms.borrow().iter() {
            waker.wake_by_ref();
        }
    }
}

/// A transfer's alarm; off when dropped.
pub(crate) struct Alarm {
    shared: Rc<Shared>,
    key: Option<usize>,
}

impl Alarm {
    pub(crate) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, key: None }
    }

    pub(crate) fn set(&mut self, cx: &mut Context<'_>, at: Option<Instant>) {
        if at.is_none() {
            return self.clear();
        }
        self.keep(cx, at);
    }

    /// Like `set`, for a transfer that is to be woken when the worker's stage changes, too.
    pub(crate) fn keep(&mut self, cx: &mut Context<'_>, at: Option<Instant>) {
        let mut alarms = self.shared.alarms.borrow_mut();
        match self.key.and_then(|key| alarms.get_mut(key)) {
            Some(alarm) => alarm.0 = at,
            None => self.key = Some(alarms.insert((at, cx.waker().clone()))),
        }
    }

    fn clear(&mut self) {
        if let Some(key) = self.key.take() {
            self.shared.alarms.borrow_mut().try_remove(key);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Requests with large heads wait in such a number that no more are taken.
pub(crate) struct TooManyHeads;

/// Bytes of large heads that the streams of one connection hold. A few hundred bytes of input become a head of 64 KiB,
/// since a field that was sent once is referred to (RFC 7541, 7.3).
const MAX_HEADS: usize = 2 * 1024 * 1024;
/// Bytes of a head that does not count.
const SMALL_HEAD: usize = 4 * 1024;
