//! Threads for work with files that may wait for a disk: reading bytes into the kernel's memory, so
//! that to send them waits for nothing, and whatever else is given to them.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use super::disk::{self, Disk};
use crate::runtime::pool::Pool;
use crate::runtime::waker::lock;

/// Bytes that a thread reads.
pub(crate) struct Reading {
    is_over: AtomicBool,
    /// The bytes of a remote file: the kernel may have them in memory no longer when they are sent. The reading thread
    /// and the connection's meet here for a move.
    bytes: Mutex<Option<io::Result<Bytes>>>,
}

type Work = Box<dyn FnOnce() + Send>;

/// The disk that work waits for. Each has threads of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Only the open will tell.
    Unknown,
    /// Files of this device are opened.
    Opening(u64),
    /// Files below the folder of this hash are opened.
    Below(u64),
    /// Files of this device are read.
    Reading(u64),
}

impl Lane {
    /// For opening the file at `path`, by what the last file of its folder was on.
    pub fn of_path(path: &Path) -> Self {
        disk::of_folder(path).map_or(Self::Unknown, |disk| Self::Opening(disk.device))
    }

    /// For opening files below `folder`.
    pub(crate) fn below(folder: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        Self::Below(hasher.finish())
    }

    /// True if so much work waits that more of it is to be refused: the disk does not answer.
    pub fn is_full(self) -> bool {
        let pool = lock(&POOLS).get(&self).map(Arc::clone);
        pool.is_some_and(|pool| pool.waiting() >= MOST_WAITING)
    }

    /// Does `work`, which opens a file, on a thread that may wait for a disk.
    pub fn run(self, work: Box<dyn FnOnce() + Send>) {
        submit(self, work);
    }
}

impl Reading {
    /// Has `len` bytes of `file` on `disk` from `offset` on read; `waker` is woken when that is over.
    pub(super) fn begin(
        (file, disk): (&Arc<File>, Disk),
        offset: u64,
        len: usize,
        waker: &Waker,
    ) -> Arc<Self> {
        let reading = Arc::new(Self {
            is_over: AtomicBool::new(false),
            bytes: Mutex::new(None),
        });
        let (this, file, waker) = (Arc::downgrade(&reading), Arc::clone(file), waker.clone());
        let read = move || {
            let Some(this) = this.upgrade() else {
                return; // the response was given up
            };
            // A bug costs the response that it is in, not the thread.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                if disk.is_remote {
                    let bytes = read_some(&file, offset, len);
                    *lock(&this.bytes) = Some(bytes);
                } else {
                    // An error is the sender's to find.
                    read_all(&file, offset, len);
                }
            }));
            this.is_over.store(true, Ordering::Release);
            waker.wake();
        };
        submit(Lane::Reading(disk.device), Box::new(read));
        reading
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// The bytes of a remote file, once.
    ///
    /// # Errors
    /// The error of the file.
    pub(crate) fn take(&self) -> io::Result<Bytes> {
        let bytes = lock(&self.bytes).take();
        bytes.unwrap_or_else(|| Err(io::ErrorKind::Other.into()))
    }
}

fn read_all(file: &File, offset: u64, len: usize) {
    let mut buf = vec![0; len.min(STEP)];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut buf, offset + done as u64) {
            Ok(count @ 1..) => done += count,
            _ => return,
        }
    }
}

/// Up to `len` bytes, at least one.
///
/// # Errors
/// The error of the file; `UnexpectedEof` where it ends.
pub(super) fn read_some(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut buf = vec![0; len];
    let count = file.read_at(&mut buf, offset)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buf.truncate(count);
    Ok(Bytes::from(buf))
}

static POOLS: LazyLock<Mutex<HashMap<Lane, Arc<Pool<Work>>>>> = LazyLock::new(Mutex::default);

/// Each disk has threads of its own: one that does not answer holds up only its own files.
fn submit(lane: Lane, work: Work) {
    let pool = {
        let mut pools = lock(&POOLS);
        let lane = match lane {
            lane if pools.len() < MOST_POOLS || pools.contains_key(&lane) => lane,
            Lane::Reading(_) => Lane::Reading(0),
            _ => Lane::Unknown,
        };
        Arc::clone(pools.entry(lane).or_insert_with(|| pool(lane)))
    };
    pool.submit(work);
    for (_, work) in pool.staff() {
        // Without a thread this one has to do it.
        work();
    }
}

fn pool(lane: Lane) -> Arc<Pool<Work>> {
    let threads = match lane {
        Lane::Unknown => OPENING_THREADS,
        _ => THREADS,
    };
    Pool::working("granian-read", threads, IDLE_TIMEOUT, |work: Work| work())
}

/// A disk that is slow for one file is not slow for all.
const THREADS: usize = 8;
/// More: some of the disks behind them may not answer.
const OPENING_THREADS: usize = 32;
const MOST_POOLS: usize = 64;
/// Opens that wait for threads of one disk.
const MOST_WAITING: usize = 512;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const STEP: usize = 128 * 1024;
