//! The seat of a pool thread: kept in a thread-local, and given up while the thread waits for a client.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use super::block::block_on;
use crate::app::call::Call;
use granian_net::exchange::Exchange;
use granian_net::exchange::waiters::Waiters;
use granian_net::runtime::pool::{Pool, Seat};

/// Waits on this thread for the client of `exchange`, with the interpreter released, until `poll` is ready. If it is a
/// thread of the pool, another one may take its place meanwhile.
pub(crate) fn wait_for_client<T: Send>(
    py: Python<'_>,
    exchange: &Arc<Exchange>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
) -> T {
    // Taken, not borrowed: code that runs during the wait may call this again.
    let seated = SEATED.take();
    let (result, seated) = py.detach(move || match seated {
        Some(mut seated) => {
            let Seated {
                pool,
                waiters,
                seat,
            } = &mut seated;
            let key = waiters.enter(exchange);
            let result = pool.wait_for_client(seat, || block_on(poll));
            waiters.leave(key);
            (result, Some(seated))
        }
        None => (block_on(poll), None),
    });
    SEATED.set(seated);
    result
}

/// The calls that wait for a thread, and the threads.
pub(super) type CallPool = Pool<Arc<Call>>;

/// A pool thread's place in its pool.
pub(super) struct Seated {
    pub(super) pool: Arc<CallPool>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) seat: Seat,
}

thread_local! {
    /// The thread's; taken while it takes a job or waits for a client.
    pub(super) static SEATED: RefCell<Option<Seated>> = const { RefCell::new(None) };
}
