//! The seat of a pool thread: kept in a thread-local, and given up while the thread waits for a client.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use super::block::block_on;
use crate::app::call::Call;
use granian_net::runtime::pool::{Pool, Seat};

/// Waits on this thread for a client, with the interpreter released, until `poll` is ready. If it is a thread of the
/// pool, another one may take its place meanwhile.
pub(crate) fn wait_for_client<T: Send>(
    py: Python<'_>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
) -> T {
    // Taken, not borrowed: code that runs during the wait may call this again.
    let seated = SEATED.take();
    let (result, seated) = py.detach(move || match seated {
        Some((pool, mut seat)) => {
            let result = pool.wait_for_client(&mut seat, || block_on(poll));
            (result, Some((pool, seat)))
        }
        None => (block_on(poll), None),
    });
    SEATED.set(seated);
    result
}

/// The calls that wait for a thread, and the threads.
pub(super) type CallPool = Pool<Arc<Call>>;

thread_local! {
    /// A pool thread's place in its pool; taken while the thread takes a job or waits for a client.
    pub(super) static SEATED: RefCell<Option<(Arc<CallPool>, Seat)>> = const { RefCell::new(None) };
}
