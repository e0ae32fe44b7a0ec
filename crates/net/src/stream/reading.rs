//! Threads for work with files that may wait for a disk: reading bytes into the kernel's memory, so
//! that to send them waits for nothing, and whatever else is given to them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use crate::runtime::pool::Pool;

/// Bytes that a thread reads.
pub(crate) struct Reading(AtomicBool);

type Work = Box<dyn FnOnce() + Send>;

impl Reading {
    /// Has `len` bytes of `file` from `offset` on read; `waker` is woken when that is over.
    pub(crate) fn begin(file: &Arc<File>, offset: u64, len: usize, waker: &Waker) -> Arc<Self> {
        let reading = Arc::new(Self(AtomicBool::new(false)));
        let (this, file, waker) = (Arc::clone(&reading), Arc::clone(file), waker.clone());
        run(Box::new(move || {
            // An error is the sender's to find.
            let _ = catch_unwind(AssertUnwindSafe(|| read(&file, offset, len)));
            this.0.store(true, Ordering::Release);
            waker.wake();
        }));
        reading
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

fn read(file: &File, offset: u64, len: usize) {
    let mut buf = vec![0; len.min(STEP)];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut buf, offset + done as u64) {
            Ok(count @ 1..) => done += count,
            _ => return,
        }
    }
}

/// Does `work` on a thread that may wait for a disk.
pub fn run(work: Box<dyn FnOnce() + Send>) {
    static POOL: OnceLock<Arc<Pool<Work>>> = OnceLock::new();
    let pool = POOL.get_or_init(pool);
    pool.submit(work);
    for (_, work) in pool.staff() {
        // Without a thread this one has to do it.
        work();
    }
}

fn pool() -> Arc<Pool<Work>> {
    Pool::working("granian-read", THREADS, IDLE_TIMEOUT, |work: Work| {
        // A bug costs the response that it is in, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(work));
    })
}

/// A disk that is slow for one file is not slow for all.
const THREADS: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const STEP: usize = 128 * 1024;
