//! The tests of those files of the core that need no interpreter. The library itself can't be
//! linked into a program: what it takes from Python is found when Python loads it.

#![allow(dead_code, reason = "each file is used in part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../src/net"]
mod net {
    mod body;
    mod early;
    mod gate;
    mod semaphore;
    mod spool;
    mod stall;
}

#[path = "../src/runtime"]
mod runtime {
    mod backlog;
    pub(crate) mod load;
    mod timers;
    pub(crate) mod waker;
}

#[path = "../src/tls"]
mod tls {
    mod schedule;
}
