//! `ForkWatch`: whether the process has been forked. A forked child holds copies of all
//! descriptors, so a close ends no connection by itself. A process without such a child saves
//! system calls.
//!
//! Children that run another program at once (vfork, posix_spawn) do not count: the core's
//! descriptors are closed on exec, so these children hold them for a moment only.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The point from which forks count.
pub(super) struct ForkWatch(Option<usize>);

impl ForkWatch {
    /// Forks count from now on.
    pub(super) fn new() -> Self {
        // SAFETY: the handler only counts, which is safe at any time, and the library that it is in
        // stays loaded, as all extension modules of Python do.
        let is_watched =
            *WATCHED.get_or_init(|| unsafe { libc::pthread_atfork(Some(note), None, None) } == 0);
        Self(is_watched.then(|| FORKS.load(Ordering::Relaxed)))
    }

    /// True if this process has forked since, or is itself such a child, or if neither is known.
    pub(super) fn has_forked(&self) -> bool {
        self.0 != Some(FORKS.load(Ordering::Relaxed))
    }
}

/// The C library calls it in the parent, before the child exists.
unsafe extern "C" fn note() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

static FORKS: AtomicUsize = AtomicUsize::new(0);
static WATCHED: OnceLock<bool> = OnceLock::new();
