//! The reactor: a poller, the tasks that own its sockets, and their deadlines, all on one thread.
//!
//! A *turn* takes the poller's events, runs every ready task once, and returns. The owner of the
//! thread, a Python event loop or `placement::io_thread`, decides when turns happen. A task that has used its slice and
//! has more to do gives way: it runs behind the others, for a while that all such tasks of a turn share. A newcomer that
//! may be greedy runs there as well. So the wait of those that ask for little does not grow with what greedy ones send.
//!
//! size: the poller, the task slab and the timers are one private state that every step of a turn
//! uses.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Token};
use slab::Slab;

use super::clock::Clock;
use super::deferred::DeferredWrites;
use super::forks::ForkWatch;
use super::readiness::Readiness;
use super::shares::Shares;
use super::standing::{Behind, Standing};
use super::timers::{Deadline, Timers};
use super::waker::{Mailbox, TaskWaker};

/// Owns the poller and the tasks, on one thread.
#[derive(Clone)]
pub struct Reactor(Rc<Inner>);

struct Inner {
    poll: RefCell<mio::Poll>,
    events: RefCell<Events>,
    registry: mio::Registry,
    /// The process that the reactor belongs to. A forked child has the same poller.
    process: u32,
    forks: ForkWatch,
    tasks: RefCell<Slab<Slot>>,
    /// Tasks started so far.
    spawned: Cell<usize>,
    ready: RefCell<VecDeque<usize>>,
    behind: Behind,
    timers: RefCell<Timers>,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    now: Cell<Instant>,
    /// Turns so far.
    turns: Cell<u64>,
    in_turn: Cell<bool>,
    /// A task has ended since the last turn or `settle` began.
    has_ended: Cell<bool>,
    /// Tasks that run after the current one before the thread goes back to its owner.
    left: Cell<usize>,
    deferred: DeferredWrites,
    shares: Shares,
}

struct Slot {
    /// The future; absent while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    wake: Arc<TaskWaker>,
    waker: Waker,
    deadline: Deadline,
    readiness: Rc<Readiness>,
    token: Token,
    standing: Standing,
}

impl Reactor {
    /// A reactor for the calling thread.
    ///
    /// # Errors
    /// When the system gives no poller or no wake-up descriptor.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKE)?;
        let clock = Clock::default();
        Ok(Self(Rc::new(Inner {
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(EVENTS_PER_TURN)),
            registry,
            process: std::process::id(),
            forks: ForkWatch::new(),
            tasks: RefCell::new(Slab::new()),
            spawned: Cell::new(0),
            ready: RefCell::new(VecDeque::new()),
            behind: Behind::default(),
            timers: RefCell::new(Timers::default()),
            mailbox: Arc::new(Mailbox::new(waker)),
            now: Cell::new(clock.now()),
            turns: Cell::new(0),
            clock,
            in_turn: Cell::new(false),
            has_ended: Cell::new(false),
            left: Cell::new(0),
            deferred: DeferredWrites::default(),
            shares: Shares::default(),
        })))
    }

    /// The poller's descriptor: readable when a turn has something to do.
    pub fn descriptor(&self) -> RawFd {
        self.0.poll.borrow().as_raw_fd()
    }

    /// The clock, for a test to move.
    #[cfg(test)]
    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The mailbox through which other threads reach this reactor.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.0.mailbox
    }

    /// False in a forked child, which has the same poller and sockets.
    pub fn is_own(&self) -> bool {
        self.0.process == std::process::id()
    }

    /// True while a turn runs; false in calls from Python code outside one.
    pub fn is_in_turn(&self) -> bool {
        self.0.in_turn.get()
    }

    /// Starts a task; `make` gets its handle. It is polled for the first time at once within a
    /// turn, else in the next one.
    pub fn spawn<F>(&self, make: impl FnOnce(TaskHandle) -> io::Result<F>) -> io::Result<()>
    where
        F: Future<Output = ()> + 'static,
    {
        let readiness = Rc::new(Readiness::default());
        let spawned = self.0.spawned.get();
        self.0.spawned.set(spawned.wrapping_add(1));
        let (key, token) = {
            let mut tasks = self.0.tasks.borrow_mut();
            let entry = tasks.vacant_entry();
            let key = entry.key();
            let token = token_of(key, spawned).ok_or(io::ErrorKind::OutOfMemory)?;
            let wake = Arc::new(TaskWaker::new(Arc::clone(&self.0.mailbox), key));
            entry.insert(Slot {
                future: None,
                waker: Waker::from(Arc::clone(&wake)),
                wake,
                deadline: Deadline::default(),
                readiness: Rc::clone(&readiness),
                token,
                standing: Standing::default(),
            });
            (key, token)
        };
        let handle = TaskHandle {
            reactor: self.clone(),
            key,
            token,
            readiness,
        };
        match make(handle) {
            Ok(future) => {
                if let Some(slot) = self.0.tasks.borrow_mut().get_mut(key) {
                    slot.future = Some(Box::pin(future));
                }
                if self.is_in_turn() {
                    self.poll_task(key, Class::Usual);
                } else {
                    self.wake(key);
                }
                Ok(())
            }
            Err(error) => {
                self.0.tasks.borrow_mut().try_remove(key);
                Err(error)
            }
        }
    }

    /// Wakes every task, after a change that concerns all of them.
    pub fn wake_all(&self) {
        let keys: Vec<usize> = self.0.tasks.borrow().iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.wake(key));
    }

    /// Drops every task with what it owns.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks); // outside the borrow: dropping a connection may wake others
    }

    /// One turn: events, deadlines, then every ready task once. True if more is ready already.
    pub fn turn(&self) -> bool {
        self.turn_while(|| false)
    }

    /// A turn that takes further events, and runs the tasks that they wake, as long as there are some and `gathers`
    /// says so.
    pub fn turn_while(&self, gathers: impl Fn() -> bool) -> bool {
        self.run_turn(Some(Duration::ZERO), gathers)
    }

    /// A turn that waits for its events for so long at most; without a time it waits for any. For a thread that has
    /// nothing else to do.
    pub fn turn_within(&self, time: Option<Duration>) -> bool {
        self.run_turn(time, || false)
    }

    fn run_turn(&self, time: Option<Duration>, gathers: impl Fn() -> bool) -> bool {
        self.0.in_turn.set(true);
        self.0.turns.set(self.0.turns.get().wrapping_add(1));
        self.0.mailbox.set_polled(true);
        if !self.0.deferred.is_empty() {
            self.0.now.set(self.0.clock.now());
            self.0.deferred.end_gathering(self.0.now.get());
            self.run_deferred();
        }
        self.take_events(time);
        self.ring_alarms();
        self.run_ready();
        self.run_behind();
        while gathers() && self.take_events(Some(Duration::ZERO)) {
            self.run_ready();
        }
        self.0.mailbox.set_polled(false);
        self.0.in_turn.set(false);
        self.has_ready()
    }

    /// Runs the tasks that Python code has woken outside a turn; after it, wakers signal the poller
    /// again. True if a turn is needed: for the rest, for deferred writes, or for the owner to see
    /// that a task has ended.
    pub fn settle(&self) -> bool {
        self.0.now.set(self.0.clock.now());
        self.0.has_ended.set(false);
        self.run_ready();
        self.0.mailbox.set_polled(false);
        self.0.has_ended.get() || !self.0.deferred.is_empty() || self.has_ready()
    }

    fn has_ready(&self) -> bool {
        !self.0.ready.borrow().is_empty() || self.0.behind.len() > 0 || self.0.mailbox.has_mail()
    }

    /// The next deadline of any task.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.timers.borrow().next()
    }

    /// Wakes the task with this key.
    pub(crate) fn wake(&self, key: usize) {
        let tasks = self.0.tasks.borrow();
        if let Some(slot) = tasks.get(key)
            && !slot.wake.mark_queued()
        {
            self.0.ready.borrow_mut().push_back(key);
        }
    }

    /// Wakes the task with this key, which runs behind the usual ones and may do so in this turn.
    fn wake_behind(&self, key: usize) {
        let tasks = self.0.tasks.borrow();
        if let Some(slot) = tasks.get(key)
            && !slot.wake.mark_queued()
        {
            self.0.behind.push(key, slot.standing);
        }
    }

    /// Wakes the tasks that the system has events for. False if it has none.
    fn take_events(&self, time: Option<Duration>) -> bool {
        let mut events = self.0.events.borrow_mut();
        let polled = self.0.poll.borrow_mut().poll(&mut events, time);
        if let Err(error) = polled {
            // Only an interrupted call fails here; the next turn gets its events.
            debug_assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            events.clear();
        }
        self.0.now.set(self.0.clock.now());
        for event in events.iter() {
            if event.token() == WAKE {
                self.0.mailbox.acknowledge();
                continue;
            }
            let key = event.token().0 & KEY_MASK;
            // The event may be of a closed socket: a forked child may have a copy of it.
            let is_current = match self.0.tasks.borrow().get(key) {
                Some(slot) if slot.token == event.token() => {
                    slot.readiness.note(event);
                    true
                }
                _ => false,
            };
            if is_current {
                self.wake(key);
            }
        }
        !events.is_empty()
    }

    fn ring_alarms(&self) {
        let now = self.0.now.get();
        loop {
            let Some((rang, key)) = self.0.timers.borrow_mut().pop(now) else {
                return;
            };
            let due = match self.0.tasks.borrow_mut().get_mut(key) {
                Some(slot) => self
                    .0
                    .timers
                    .borrow_mut()
                    .ring(key, &mut slot.deadline, rang, now),
                None => false,
            };
            if due {
                self.wake(key);
            }
        }
    }

    fn run_ready(&self) {
        self.0.mailbox.collect(&mut self.0.ready.borrow_mut());
        // Tasks woken from here on wait for the next turn, so that Python code gets its share.
        let count = self.0.ready.borrow().len();
        self.0.shares.begin();
        let gathers = !self.is_in_turn() && self.0.deferred.begin_gathering();
        for left in (0..count).rev() {
            let Some(key) = self.0.ready.borrow_mut().pop_front() else {
                break;
            };
            self.0.left.set(left + usize::from(gathers));
            self.poll_task(key, Class::Usual);
            if !self.0.deferred.is_empty() {
                let now = self.0.clock.now();
                self.0.deferred.note_duration(now);
                if self.0.deferred.is_due(now) {
                    self.run_deferred();
                }
            }
        }
        self.0.left.set(0);
        if !gathers {
            self.run_deferred();
        }
    }

    /// Runs newcomers and tasks that have given way: one at least, and more for a while.
    fn run_behind(&self) {
        let count = self.0.behind.len();
        if count == 0 {
            return;
        }
        let until = self.0.shares.begin_behind(self.0.clock.now());
        for left in (0..count).rev() {
            let Some(key) = self.0.behind.pop() else {
                break;
            };
            self.poll_task(key, Class::Any);
            let now = self.0.clock.now();
            if let Some(slot) = self.0.tasks.borrow_mut().get_mut(key) {
                slot.standing = slot.standing.after_run(now);
            }
            if now >= until || left == 0 {
                return self.0.shares.end_behind(now);
            }
        }
    }

    fn run_deferred(&self) {
        let left = self.0.left.replace(0);
        for key in self.0.deferred.take() {
            self.poll_task(key, Class::Any);
        }
        self.0.left.set(left);
    }

    /// Runs a task. One that runs behind the usual ones is put there, unless it is their turn.
    fn poll_task(&self, key: usize, class: Class) {
        let (mut future, waker) = {
            let mut tasks = self.0.tasks.borrow_mut();
            let Some(slot) = tasks.get_mut(key) else {
                return;
            };
            if class == Class::Usual && slot.standing.is_behind() {
                return self.0.behind.push(key, slot.standing);
            }
            slot.wake.clear_queued();
            let Some(future) = slot.future.take() else {
                return;
            };
            if !slot.standing.is_behind() {
                self.0.shares.note_other();
            }
            (future, slot.waker.clone())
        };
        // A panic costs its task only. To unwind further would end the turn, and other ready tasks
        // would not be polled.
        let polled = catch_unwind(AssertUnwindSafe(move || {
            let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
            poll.is_pending().then_some(future)
        }));
        if let Ok(Some(future)) = polled {
            if let Some(slot) = self.0.tasks.borrow_mut().get_mut(key) {
                slot.future = Some(future);
            }
        } else {
            self.0.has_ended.set(true);
            self.0.tasks.borrow_mut().try_remove(key);
        }
    }
}

/// The tasks whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Usual,
    Any,
}

/// A task's own view of its reactor.
#[derive(Clone)]
pub struct TaskHandle {
    reactor: Reactor,
    key: usize,
    token: Token,
    readiness: Rc<Readiness>,
}

impl TaskHandle {
    /// The reactor that runs the task.
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// The task's key, which is used again after its end.
    pub(crate) fn key(&self) -> usize {
        self.key
    }

    /// The time at which the current turn began.
    pub fn now(&self) -> Instant {
        self.reactor.0.now.get()
    }

    /// The number of the last turn that has begun.
    pub(crate) fn turn(&self) -> u64 {
        self.reactor.0.turns.get()
    }

    pub(super) fn shares(&self) -> &Shares {
        &self.reactor.0.shares
    }

    /// The time now, later in a turn that goes on.
    pub(crate) fn time(&self) -> Instant {
        self.reactor.0.clock.now()
    }

    /// Wakes the task at `at`, once; replaces the deadline set before.
    pub fn set_deadline(&self, at: Option<Instant>) {
        let mut tasks = self.reactor.0.tasks.borrow_mut();
        let mut timers = self.reactor.0.timers.borrow_mut();
        if let Some(slot) = tasks.get_mut(self.key) {
            timers.set(self.key, &mut slot.deadline, at);
        }
        timers.compact(tasks.len(), |key| tasks.get(key).map(|slot| &slot.deadline));
    }

    /// Runs the task again, behind those that have not used their slice. It stays there for a while.
    pub(crate) fn give_way(&self) {
        self.stand(Standing::gave_way(self.now()));
        self.reactor.wake(self.key);
    }

    /// Lets the task go on behind the usual ones, for its next few runs.
    pub(crate) async fn begin_behind(&self) {
        self.stand(Standing::new());
        self.reactor.wake_behind(self.key);
        let mut is_here = false;
        poll_fn(|_| match std::mem::replace(&mut is_here, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    fn stand(&self, standing: Standing) {
        if let Some(slot) = self.reactor.0.tasks.borrow_mut().get_mut(self.key) {
            slot.standing = standing;
        }
    }

    /// True if no other task is ready, after a look at the events that the system has by now.
    pub(crate) fn is_alone(&self) -> bool {
        let inner = &self.reactor.0;
        if inner.behind.len() > 0 || !inner.deferred.is_empty() {
            return false;
        }
        let begun = inner.now.get();
        self.reactor.take_events(Some(Duration::ZERO));
        inner.now.set(begun);
        // Behind the events: one of them may have told of it.
        !inner.mailbox.has_mail() && inner.ready.borrow().iter().all(|key| *key == self.key)
    }

    /// True while the task runs behind the usual ones.
    pub(crate) fn is_behind(&self) -> bool {
        let tasks = self.reactor.0.tasks.borrow();
        tasks
            .get(self.key)
            .is_some_and(|slot| slot.standing.is_behind())
    }

    /// True if a write may be deferred: other tasks run now, and quickly.
    pub fn may_defer(&self) -> bool {
        self.reactor.0.left.get() > 0 && self.reactor.0.deferred.is_allowed(self.now())
    }

    /// Polls the task once more, at the latest before the thread goes back to its owner.
    pub fn defer(&self) {
        self.reactor.0.deferred.push(self.key);
    }

    /// Watches `source` for this task. New input, or an end, wakes the task once.
    ///
    /// # Errors
    /// When the system's table of watched descriptors is full.
    pub fn watch(&self, source: &mut dyn Source) -> io::Result<()> {
        let registry = &self.reactor.0.registry;
        registry.register(source, self.token, Interest::READABLE)
    }

    /// Watches for room to write as well; wakes at once if there is room.
    ///
    /// # Errors
    /// When the source is not watched.
    pub fn watch_for_room(&self, source: &mut dyn Source) -> io::Result<()> {
        let registry = &self.reactor.0.registry;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.reregister(source, self.token, interest)
    }

    /// Stops watching a source, even if another process holds it open.
    pub fn unwatch(&self, source: &mut dyn Source) {
        if self.reactor.is_own() {
            // Fails only for a source that is not watched.
            let _ = self.reactor.0.registry.deregister(source);
        }
    }

    /// True if a forked child may hold copies of this process's descriptors.
    pub fn may_be_shared(&self) -> bool {
        self.reactor.0.forks.has_forked()
    }

    /// The last news of the watched source.
    pub(crate) fn readiness(&self) -> &Rc<Readiness> {
        &self.readiness
    }
}

/// The poller's token for a task's sockets: the key of the task, which is used again after its end,
/// and a number that differs between tasks. `None` if there are more tasks than keys.
fn token_of(key: usize, spawned: usize) -> Option<Token> {
    // The mask itself is left to `WAKE`.
    (key < KEY_MASK).then_some(Token((spawned << KEY_BITS) | key))
}

const KEY_BITS: u32 = usize::BITS / 2;
const KEY_MASK: usize = (1 << KEY_BITS) - 1;
const WAKE: Token = Token(usize::MAX);
/// More events than this wait for the next turn, after the Python code that became ready.
const EVENTS_PER_TURN: usize = 256;

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::task::Poll;

    use mio::net::UnixStream;

    use super::*;

    /// The bytes that a task has read from a socket whose other end gets one of `sent` at each look for more.
    fn read_in_one_turn(sent: &[u8], gathers: impl Fn(usize) -> bool) -> usize {
        let reactor = Reactor::new().unwrap();
        let (client, mut server) = UnixStream::pair().unwrap();
        let (client, count) = (RefCell::new(client), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&count);
        reactor
            .spawn(|handle| {
                handle.watch(&mut server)?;
                Ok(poll_fn(move |_| {
                    let mut piece = [0; 16];
                    while let Ok(len) = server.read(&mut piece) {
                        counted.set(counted.get() + len);
                    }
                    Poll::<()>::Pending
                }))
            })
            .unwrap();
        reactor.turn();
        let mut left = sent.iter();
        let left = RefCell::new(&mut left);
        reactor.turn_while(|| {
            if let Some(byte) = left.borrow_mut().next() {
                client.borrow_mut().write_all(&[*byte]).unwrap();
            }
            gathers(count.get())
        });
        count.get()
    }

    #[test]
    fn a_turn_that_gathers_goes_on_while_something_comes() {
        assert_eq!(read_in_one_turn(b"abc", |_| true), 3);
    }

    #[test]
    fn a_newcomer_lets_the_others_of_its_turn_go_first() {
        let reactor = Reactor::new().unwrap();
        let runs: Rc<RefCell<Vec<&str>>> = Rc::default();
        let note = |name| {
            let runs = Rc::clone(&runs);
            move || runs.borrow_mut().push(name)
        };
        let (greets, begins, other) = (note("accepted"), note("served"), note("other"));
        let newcomer = |handle: TaskHandle| async move {
            greets();
            handle.begin_behind().await;
            begins();
        };
        reactor.spawn(|handle| Ok(newcomer(handle))).unwrap();
        reactor.spawn(|_| Ok(async move { other() })).unwrap();
        assert!(!reactor.turn(), "it ran in the same turn");
        assert_eq!(*runs.borrow(), ["accepted", "other", "served"]);
    }

    #[test]
    fn a_turn_that_has_gathered_enough_ends() {
        assert_eq!(read_in_one_turn(b"abcdef", |count| count < 2), 2);
        assert_eq!(read_in_one_turn(b"abc", |_| false), 0);
    }
}
