//! `Ready`: what other threads have finished, on its way to a task of the reactor.

use std::task::{Context, Waker};

use super::sync::Mutex;
use super::waker::{lock, wake};

/// A queue from threads to one task. It is bounded by the number of exchanges that a worker admits.
pub struct Ready<T> {
    /// A finishing thread and the task meet here for a push or a swap.
    state: Mutex<State<T>>,
}

struct State<T> {
    finished: Vec<T>,
    task: Option<Waker>,
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Ready<T> {
    /// An empty queue, whose task has not asked yet.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                finished: Vec::new(),
                task: None,
            }),
        }
    }

    /// Hands `item` to the task.
    pub fn push(&self, item: T) {
        let task = {
            let mut state = lock(&self.state);
            state.finished.push(item);
            state.task.take()
        };
        wake(task);
    }

    /// Every item that was pushed since; the task of `cx` is woken for the next one.
    pub fn take(&self, cx: &mut Context<'_>) -> Vec<T> {
        let mut state = lock(&self.state);
        state.task = Some(cx.waker().clone());
        std::mem::take(&mut state.finished)
    }
}
