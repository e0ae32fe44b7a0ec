//! `ForkWatch`: whether the process has been forked. The child of a fork holds copies of all
//! descriptors open, so that closing one ends nothing by itself; a process without such a child may
//! save system calls.
//!
//! Children that run another program at once (vfork, posix_spawn) do not count: what is closed on
//! exec, as the descriptors of the core are, they keep for a moment.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// From when on forks are looked for.
pub(super) struct ForkWatch(Option<usize>);

impl ForkWatch {
    /// From now on.
    pub(super) fn new() -> Self {
        // SAFETY: the handler only counts, which is safe at any time, and the library that it is in
        // stays loaded, as all extension modules of Python do.
        let is_watched =
            *WATCHED.get_or_init(|| unsafe { libc::pthread_atfork(Some(note), None, None) } == 0);
        Self(is_watched.then(|| FORKS.load(Ordering::Relaxed)))
    }

    /// True if this process has forked since, or is a child forked since; or if that can't be told.
    pub(super) fn has_forked(&self) -> bool {
        self.0 != Some(FORKS.load(Ordering::Relaxed))
    }
}

/// Called by the C library in the parent, before the child is there.
unsafe extern "C" fn note() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

static FORKS: AtomicUsize = AtomicUsize::new(0);
static WATCHED: OnceLock<bool> = OnceLock::new();
