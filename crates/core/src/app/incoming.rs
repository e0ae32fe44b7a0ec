//! `Incoming`: messages of a websocket as objects of the application's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::making::{LARGE, Making};
use granian_net::exchange::messages::{Ended, EndedBy, Message, MessageQueue};
use granian_net::runtime::waker::lock;

/// One per connection. A large message is its, not that of the `receive()` that has begun with it: if that is cancelled,
/// the next one goes on.
#[derive(Default)]
pub(crate) struct Incoming {
    /// A large message is being made.
    is_making: AtomicBool,
    /// Threads of the application may meet in `receive()`. In it memory is allocated and filled, no Python code runs.
    making: Mutex<Option<Box<Making>>>,
}

/// A message, or the end of the connection.
pub(crate) enum Received {
    Text(Py<PyAny>),
    Bytes(Py<PyAny>),
    Ended(Ended),
}

impl Incoming {
    /// The next message of `messages`. None if it is not there, or [`is_making`](Self::is_making).
    pub(crate) fn try_receive(
        &self,
        py: Python<'_>,
        messages: &MessageQueue,
    ) -> Option<PyResult<Received>> {
        if self.is_making() {
            return self.go_on(py, messages);
        }
        let received = messages.try_receive()?;
        self.begin(received).map(|received| whole(py, received))
    }

    /// The same; the waker of `cx` is woken once it is there, or a large one is to be made.
    pub(crate) fn poll_receive(
        &self,
        py: Python<'_>,
        messages: &MessageQueue,
        cx: &mut Context<'_>,
    ) -> Poll<PyResult<Received>> {
        let Poll::Ready(received) = messages.poll_receive(cx) else {
            return Poll::Pending;
        };
        match self.begin(received) {
            Some(received) => Poll::Ready(whole(py, received)),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// A large message is being made: `try_receive` is to be called in the loop's next pass.
    pub(crate) fn is_making(&self) -> bool {
        self.is_making.load(Ordering::Acquire)
    }

    /// Begins to make what was received, if that is a large message; gives it back otherwise.
    fn begin(&self, received: Result<Message, Ended>) -> Option<Result<Message, Ended>> {
        match received {
            Ok(message) if message.data.len() >= LARGE => {
                let mut making = lock(&self.making);
                if making.is_some() {
                    return Some(Ok(message)); // of two threads, this one has come later
                }
                *making = Some(Box::new(Making::new(
                    Vec::from(message.data),
                    message.is_text,
                )));
                self.is_making.store(true, Ordering::Release);
                None
            }
            received => Some(received),
        }
    }

    fn go_on(&self, py: Python<'_>, messages: &MessageQueue) -> Option<PyResult<Received>> {
        let mut slot = lock(&self.making);
        let making = slot.as_mut()?;
        // What the application has not read when it closes the connection is dropped.
        let ended = messages.ended();
        let closed = ended.filter(|ended| ended.by == EndedBy::Application);
        let received = match closed {
            Some(ended) => Ok(Received::Ended(ended)),
            None => {
                let is_text = making.is_text();
                let made = making.go_on(py).transpose()?;
                made.map(|object| Received::new(object, is_text))
            }
        };
        *slot = None;
        self.is_making.store(false, Ordering::Release);
        Some(received)
    }
}

impl Received {
    fn new(object: Py<PyAny>, is_text: bool) -> Self {
        match is_text {
            true => Self::Text(object),
            false => Self::Bytes(object),
        }
    }
}

fn whole(py: Python<'_>, received: Result<Message, Ended>) -> PyResult<Received> {
    Ok(match received {
        Ok(Message {
            data,
            is_text: true,
        }) => Received::Text(PyString::from_bytes(py, &data)?.into_any().unbind()),
        Ok(Message { data, .. }) => Received::Bytes(PyBytes::new(py, &data).into_any().unbind()),
        Err(ended) => Received::Ended(ended),
    })
}
