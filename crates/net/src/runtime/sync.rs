//! The means by which threads share: the standard library's, or those of the model checker loom (`--features model`), which
//! plays every order of their steps that the memory model allows. `model.rs` files beside what is shared have the models.

#[cfg(not(feature = "model"))]
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(feature = "model"))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "model"))]
pub(crate) use std::thread::{Thread, current, park_timeout};

#[cfg(feature = "model")]
pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "model")]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(feature = "model")]
pub(crate) use loom::thread::{Thread, current};

/// No time passes in a model.
#[cfg(feature = "model")]
pub(crate) fn park_timeout(_: std::time::Duration) {
    loom::thread::park();
}

/// A lock, modelled or not.
#[cfg(feature = "model")]
pub trait Lock {
    type Guard<'a>
    where
        Self: 'a;

    fn locked(&self) -> std::sync::LockResult<Self::Guard<'_>>;
}

#[cfg(feature = "model")]
impl<T> Lock for Mutex<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    fn locked(&self) -> std::sync::LockResult<Self::Guard<'_>> {
        self.lock()
    }
}

#[cfg(feature = "model")]
impl<T> Lock for std::sync::Mutex<T> {
    type Guard<'a>
        = std::sync::MutexGuard<'a, T>
    where
        T: 'a;

    fn locked(&self) -> std::sync::LockResult<Self::Guard<'_>> {
        self.lock()
    }
}

#[cfg(feature = "model")]
impl<M: Lock> Lock for std::sync::LazyLock<M> {
    type Guard<'a>
        = M::Guard<'a>
    where
        M: 'a;

    fn locked(&self) -> std::sync::LockResult<Self::Guard<'_>> {
        M::locked(self)
    }
}

#[cfg(feature = "model")]
impl<M: Lock> Lock for std::sync::Arc<M> {
    type Guard<'a>
        = M::Guard<'a>
    where
        M: 'a;

    fn locked(&self) -> std::sync::LockResult<Self::Guard<'_>> {
        M::locked(self)
    }
}

/// The poller of a model.
#[cfg(feature = "model")]
#[derive(Clone)]
pub struct Poller(std::sync::Arc<(Mutex<bool>, Condvar)>);

#[cfg(feature = "model")]
impl Poller {
    pub(crate) fn new() -> Self {
        Self(std::sync::Arc::new((Mutex::new(false), Condvar::new())))
    }

    /// Makes the descriptor readable.
    pub(crate) fn wake(&self) -> std::io::Result<()> {
        *super::waker::lock(&self.0.0) = true;
        self.0.1.notify_one();
        Ok(())
    }

    /// True once for each time that the descriptor became readable, as epoll tells of it.
    #[cfg(test)]
    pub(crate) fn poll(&self) -> bool {
        std::mem::take(&mut *super::waker::lock(&self.0.0))
    }

    /// Waits until the descriptor is readable.
    #[cfg(test)]
    pub(crate) fn wait(&self) {
        let mut is_readable = super::waker::lock(&self.0.0);
        while !*is_readable {
            is_readable = self
                .0
                .1
                .wait(is_readable)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}
