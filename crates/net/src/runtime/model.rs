//! Models of wake-ups: no order of steps loses one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::model::Builder;
use loom::thread;

use super::ready::Ready;
use super::sync::{Mutex, Poller};
use super::waker::{Mailbox, TaskWaker, lock};

/// A thread with a mailbox and one task, whose turns have the steps of `Reactor::turn`.
pub(crate) struct Home {
    mailbox: Arc<Mailbox>,
    poller: Poller,
    task: Arc<TaskWaker>,
    ready: VecDeque<usize>,
}

impl Home {
    /// The calling thread's. The task is ready.
    pub(crate) fn new() -> Self {
        let poller = Poller::new();
        let mailbox = Arc::new(Mailbox::new(poller.clone()));
        let task = Arc::new(TaskWaker::new(Arc::clone(&mailbox), KEY));
        task.mark_queued();
        Self {
            mailbox,
            poller,
            task,
            ready: VecDeque::from([KEY]),
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.task))
    }

    /// Turns until the task is done. A lost wake-up leaves the thread waiting for ever, which loom finds.
    pub(crate) fn run(&mut self, mut task: impl FnMut(&mut Context<'_>) -> Poll<()>) {
        let waker = self.waker();
        let mut cx = Context::from_waker(&waker);
        loop {
            self.mailbox.set_polled(true);
            if self.poller.poll() {
                self.mailbox.acknowledge();
            }
            self.mailbox.collect(&mut self.ready);
            for _ in 0..self.ready.len() {
                assert_eq!(self.ready.pop_front(), Some(KEY));
                self.task.clear_queued();
                if task(&mut cx).is_ready() {
                    return;
                }
            }
            self.mailbox.set_polled(false);
            if !self.mailbox.has_mail() && self.ready.is_empty() {
                self.poller.wait();
            }
        }
    }
}

/// Plays all orders of the steps of `play` in which no thread is interrupted more than three times.
pub(crate) fn check(play: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(play);
}

#[test]
fn a_wake_up_from_another_thread_reaches_the_task() {
    check(|| {
        let mut home = Home::new();
        let count = Arc::new(Mutex::new(0));
        let threads = [(); 2].map(|()| {
            let (waker, count) = (home.waker(), Arc::clone(&count));
            thread::spawn(move || {
                *lock(&count) += 1;
                waker.wake();
            })
        });
        home.run(|_| match *lock(&count) {
            2 => Poll::Ready(()),
            _ => Poll::Pending,
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// The mark of a queued task orders what its wakers wrote before, without a lock.
#[test]
fn a_task_sees_what_was_written_before_its_wake_up() {
    check(|| {
        use loom::sync::atomic::{AtomicBool, Ordering};

        let mut home = Home::new();
        let written = Arc::new(AtomicBool::new(false));
        let (waker, theirs) = (home.waker(), Arc::clone(&written));
        let thread = thread::spawn(move || {
            theirs.store(true, Ordering::Relaxed);
            waker.wake();
        });
        home.run(|_| match written.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        thread.join().unwrap();
    });
}

#[test]
fn a_wake_up_of_its_own_thread_and_one_of_another_both_count() {
    check(|| {
        let mut home = Home::new();
        let steps = Arc::new(Mutex::new(0));
        let (waker, theirs) = (home.waker(), Arc::clone(&steps));
        let thread = thread::spawn(move || {
            *lock(&theirs) += 1;
            waker.wake();
        });
        let mut has_woken = false;
        home.run(|cx| {
            if !has_woken {
                has_woken = true;
                *lock(&steps) += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match *lock(&steps) {
                2 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        thread.join().unwrap();
    });
}

#[test]
fn what_threads_have_finished_reaches_the_task() {
    check(|| {
        let mut home = Home::new();
        let ready = Arc::new(Ready::new());
        let threads = [1, 2].map(|item| {
            let ready = Arc::clone(&ready);
            thread::spawn(move || ready.push(item))
        });
        let mut sum = 0;
        home.run(|cx| {
            sum += ready.take(cx).into_iter().sum::<i32>();
            match sum {
                3 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

const KEY: usize = 7;
