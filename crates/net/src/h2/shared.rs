//! `Shared`: what a connection and the transfers on it tell each other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use slab::Slab;

use super::push::Pushes;
use crate::exchange::app::Peer;
use crate::runtime::reactor::TaskHandle;
use crate::runtime::waker::register;
use crate::service::Service;

/// One per connection.
pub(super) struct Shared {
    pub(super) peer: Arc<Peer>,
    pub(super) service: Rc<Service>,
    pub(super) handle: TaskHandle,
    /// The stream under the codec takes less than is made for it.
    is_clogged: Cell<bool>,
    clogged: RefCell<Vec<Waker>>,
    /// A source was pulled from: what it gave is to be written before it is asked for more.
    pub(super) has_pulled: Cell<bool>,
    pub(super) pushes: Pushes,
    alarms: RefCell<Slab<(Option<Instant>, Waker)>>,
}

impl Shared {
    pub(super) fn new(peer: Arc<Peer>, service: Rc<Service>, handle: TaskHandle) -> Rc<Self> {
        Rc::new(Self {
            peer,
            service,
            handle,
            is_clogged: Cell::new(false),
            clogged: RefCell::new(Vec::new()),
            has_pulled: Cell::new(false),
            pushes: Pushes::default(),
            alarms: RefCell::new(Slab::new()),
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.handle.now()
    }

    /// True if nothing more is to be handed to the codec now; `cx` is woken when it may.
    pub(super) fn waits_for_stream(&self, cx: &mut Context<'_>) -> bool {
        if self.is_clogged.get() {
            register(&mut self.clogged.borrow_mut(), cx);
        }
        self.is_clogged.get()
    }

    pub(super) fn set_clogged(&self, is_clogged: bool) {
        self.is_clogged.set(is_clogged);
        if !is_clogged && !self.clogged.borrow().is_empty() {
            let waiting = std::mem::take(&mut *self.clogged.borrow_mut());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// When the next alarm rings.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.alarms
            .borrow()
            .iter()
            .filter_map(|(_, (at, _))| *at)
            .min()
    }

    /// Wakes whoever's alarm has rung.
    pub(super) fn ring_alarms(&self) {
        let now = self.now();
        for (_, (at, waker)) in self.alarms.borrow().iter() {
            if at.is_some_and(|at| at <= now) {
                waker.wake_by_ref();
            }
        }
    }

    /// Wakes whoever has an alarm: the worker's stage has changed.
    pub(super) fn ring_all(&self) {
        for (_, (_, waker)) in self.alarms.borrow().iter() {
            waker.wake_by_ref();
        }
    }
}

/// A transfer's alarm; off when dropped.
pub(super) struct Alarm {
    shared: Rc<Shared>,
    key: Option<usize>,
}

impl Alarm {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, key: None }
    }

    pub(super) fn set(&mut self, cx: &mut Context<'_>, at: Option<Instant>) {
        if at.is_none() {
            return self.clear();
        }
        self.keep(cx, at);
    }

    /// Like `set`, for one who is to be rung when the worker's stage changes, too.
    pub(super) fn keep(&mut self, cx: &mut Context<'_>, at: Option<Instant>) {
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
