//! Models of a pool's seats: a job is taken by a thread that is awake, parked, about to park or new, and a close ends
//! them all. The watching thread is left out: it only adds threads, when time has passed.

use std::sync::Arc;

use loom::sync::Notify;
use loom::thread::{self, JoinHandle};

use super::*;
use crate::runtime::model::check;

type Job = Box<dyn FnOnce() + Send>;
type Threads = Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>;

/// A pool without a watching thread, and the threads that it has started.
fn pool(limit: usize) -> (Arc<Pool<Job>>, Threads) {
    let started = Threads::default();
    let threads = Arc::clone(&started);
    let pool = Arc::new_cyclic(|pool: &Weak<Pool<Job>>| {
        let pool = Weak::clone(pool);
        Pool::new(limit, Duration::from_secs(3600), move |_| {
            let Some(pool) = pool.upgrade() else {
                return false;
            };
            let thread = thread::spawn(move || {
                let mut seat = Seat::new();
                while let Some(job) = pool.take(&mut seat) {
                    job();
                }
            });
            threads.lock().unwrap().push(thread);
            true
        })
    });
    lock(&pool.line).watching = Watching::Awake(0);
    (pool, started)
}

#[test]
fn every_job_is_done_and_every_thread_ends() {
    check(|| {
        let (pool, started) = pool(2);
        let done = [(); 2].map(|()| Arc::new(Notify::new()));
        for one in &done {
            let one = Arc::clone(one);
            pool.submit(Box::new(move || one.notify()));
            assert!(pool.staff().is_empty());
        }
        done.iter().for_each(|one| one.wait());
        pool.close();
        let threads = std::mem::take(&mut *started.lock().unwrap());
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(lock(&pool.line).threads, 0);
    });
}
