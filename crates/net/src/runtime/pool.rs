//! `Pool`: a line of jobs and the threads that take them. No more threads are awake than the work
//! can use.
//!
//! Quick jobs are done one after another by one thread that is warm: to wake a second one for them
//! costs more than they do. A watching thread looks at the line every half a millisecond to two
//! while there is one, and adds threads when all that are awake are held up, or when jobs wait
//! although the process has processor time to spare. It sends one away when several take turns at
//! what one could do.

mod line;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::line::{Line, TICK, Wanted, Watching};
use super::load::{Answer, Load};
use super::sync::{Condvar, Mutex, Thread, current, park_timeout};
use super::waker::lock;

/// A line of jobs `J` and the threads that take them.
pub struct Pool<J> {
    /// Threads at once, besides those that wait for a client.
    limit: usize,
    /// A thread that had nothing to do for so long ends, unless it is the last one.
    idle_timeout: Duration,
    /// Starts a thread, the `usize`-th one, that calls [`Pool::take`] until that gives `None`.
    /// False if none started.
    start: Box<dyn Fn(usize) -> bool + Send + Sync>,
    /// Has so many of the threads that wait for clients do so no longer.
    hurry: Box<dyn Fn(usize) + Send + Sync>,
    /// The lock is for submitting threads, the pool's threads and the watching one; each holds it
    /// for a few moves.
    line: Mutex<Line<J>>,
    /// Told when there is a line to watch, or the pool closes.
    watch: Condvar,
}

/// The state that a thread of the pool keeps between its calls of [`Pool::take`].
pub struct Seat {
    thread: Thread,
    /// The thread's entry in `Line::calls`.
    call: Option<usize>,
}

impl Seat {
    /// The calling thread's.
    #[expect(
        clippy::new_without_default,
        reason = "it is the calling thread's, not any"
    )]
    pub fn new() -> Self {
        Self {
            thread: current(),
            call: None,
        }
    }
}

impl<J: Send + 'static> Pool<J> {
    /// A pool of up to `limit` threads that `start` starts one by one.
    pub fn new(
        limit: usize,
        idle_timeout: Duration,
        start: impl Fn(usize) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            limit,
            idle_timeout,
            start: Box::new(start),
            hurry: Box::new(|_| ()),
            line: Mutex::new(Line::default()),
            watch: Condvar::new(),
        }
    }

    /// Calls `hurry` with a number of threads where those that wait for clients have the places of so many others.
    #[must_use]
    pub fn hurrying(self, hurry: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let hurry = Box::new(hurry);
        Self { hurry, ..self }
    }

    /// A pool of up to `limit` threads of that name, each of which does `work` for one job after another.
    pub fn working(
        name: &'static str,
        limit: usize,
        idle_timeout: Duration,
        work: impl Fn(J) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let work = Arc::new(work);
        Arc::new_cyclic(|pool| {
            let pool = Weak::<Self>::clone(pool);
            Self::new(limit, idle_timeout, move |_| {
                let Some(pool) = pool.upgrade() else {
                    return false;
                };
                let work = Arc::clone(&work);
                let run = move || {
                    let mut seat = Seat::new();
                    while let Some(job) = pool.take(&mut seat) {
                        // A bug costs the job that it is in, not the thread.
                        let _ = catch_unwind(AssertUnwindSafe(|| work(job)));
                    }
                };
                let thread = std::thread::Builder::new().name(name.to_owned());
                thread.spawn(run).is_ok()
            })
        })
    }

    /// Puts `job` into the line. The line is bounded by what whoever submits admits.
    /// [`Pool::staff`] follows, once for all that are submitted together: a thread that woke before
    /// would only wait for the interpreter.
    pub fn submit(&self, job: J) {
        lock(&self.line).jobs.push_back((Instant::now(), job));
    }

    /// The same for several jobs, which came `at` one time. None are left in `jobs`.
    pub fn submit_all(&self, at: Instant, jobs: &mut Vec<J>) {
        let jobs = jobs.drain(..).map(|job| (at, job));
        lock(&self.line).jobs.extend(jobs);
    }

    /// Jobs that no thread has taken.
    pub fn waiting(&self) -> usize {
        lock(&self.line).jobs.len()
    }

    /// Sees to a thread for the jobs that were submitted. Gives those back that nobody will take:
    /// no thread is there, and none could be started.
    #[must_use]
    pub fn staff(self: &Arc<Self>) -> VecDeque<(Instant, J)> {
        let wanted = {
            let mut line = lock(&self.line);
            if line.jobs.is_empty() {
                return VecDeque::new();
            }
            self.see_to(&mut line)
        };
        self.bring(wanted);
        let mut line = lock(&self.line);
        if line.threads == 0 {
            std::mem::take(&mut line.jobs)
        } else {
            VecDeque::new()
        }
    }

    /// The next job, if there is one for this thread `now`.
    pub fn take_now(&self, seat: &mut Seat, now: Instant) -> Option<J> {
        let mut line = lock(&self.line);
        line.end_call(seat);
        line.next(seat, now)
    }

    /// The next job, which is waited for; `None` if the thread is to end.
    pub fn take(&self, seat: &mut Seat) -> Option<J> {
        let mut line = lock(&self.line);
        line.end_call(seat);
        loop {
            if line.is_closed {
                line.awake -= 1;
                line.threads -= 1;
                return None;
            }
            if let Some(job) = line.next(seat, Instant::now()) {
                return Some(job);
            }
            line.surplus = line.surplus.saturating_sub(1);
            line.awake -= 1;
            line.idle.push(seat.thread.clone());
            let mut until = Instant::now() + self.idle_timeout;
            // The thread that takes this one off the list counts it as awake.
            while line.is_parked(seat) {
                let now = Instant::now();
                let is_due = now >= until;
                if line.is_closed || is_due && line.threads > 1 {
                    line.unlist(seat);
                    line.threads -= 1;
                    return None;
                }
                if is_due {
                    // The last one stays.
                    until = now + self.idle_timeout;
                }
                drop(line);
                park_timeout(until.saturating_duration_since(now));
                line = lock(&self.line);
            }
        }
    }

    /// Runs `wait`, in which the calling thread of the pool waits for a client: meanwhile another
    /// one may take its place.
    pub fn wait_for_client<T>(self: &Arc<Self>, seat: &mut Seat, wait: impl FnOnce() -> T) -> T {
        let wanted = {
            let mut line = lock(&self.line);
            line.end_call(seat);
            line.awake -= 1;
            line.waiting += 1;
            self.see_to(&mut line)
        };
        self.bring(wanted);
        let result = wait();
        let mut line = lock(&self.line);
        line.waiting -= 1;
        line.awake += 1;
        line.begin_call(seat, Instant::now());
        result
    }

    /// Ends the threads as they become idle. Jobs in the line are dropped.
    pub fn close(&self) {
        let (idle, jobs) = {
            let mut line = lock(&self.line);
            line.is_closed = true;
            (line.idle.clone(), std::mem::take(&mut line.jobs))
        };
        idle.iter().for_each(Thread::unpark);
        self.watch.notify_all();
        drop(jobs);
    }

    /// Wakes and starts threads.
    fn bring(&self, wanted: Wanted) {
        wanted.parked.iter().for_each(Thread::unpark);
        for number in wanted.new {
            if !(self.start)(number) {
                let mut line = lock(&self.line);
                line.threads -= 1;
                line.awake -= 1;
            }
        }
    }

    /// A thread for the first job, unless one comes by; the line behind it is watched.
    fn see_to(self: &Arc<Self>, line: &mut Line<J>) -> Wanted {
        if line.jobs.is_empty() {
            return Wanted::default();
        }
        let wanted = match line.moving(Instant::now()) {
            0 => line.add(1, self.limit),
            _ => Wanted::default(),
        };
        if line.jobs.len() > wanted.parked.len() + wanted.new.len() {
            self.have_watched(line);
        }
        wanted
    }

    /// Has the line watched from now on.
    fn have_watched(self: &Arc<Self>, line: &mut Line<J>) {
        match line.watching {
            Watching::Awake(_) => {}
            Watching::Asleep => self.watch.notify_one(),
            Watching::Never => {
                let pool = Arc::downgrade(self);
                let watcher = std::thread::Builder::new().name("granian-watch".to_owned());
                if watcher.spawn(move || watch(&pool)).is_err() {
                    // The next job tries again.
                    return;
                }
            }
        }
        line.watching = Watching::Awake(0);
    }

    /// One look at the line: when to look again, `None` once there has been no line for a while.
    fn look(&self, load: &Load, period: Duration) -> Option<Duration> {
        let now = Instant::now();
        let (wanted, displaced, next) = {
            let mut line = lock(&self.line);
            if line.is_closed {
                return None;
            }
            let Some(since) = line.jobs.front().map(|(since, _)| *since) else {
                return line.note_quiet().then_some(LONGEST_TICK);
            };
            line.watching = Watching::Awake(0);
            let waited = now.saturating_duration_since(since);
            let share = match load.measure(now, SPAN) {
                Answer::Shares { process, .. } => Some(process),
                Answer::TooSoon | Answer::TooLate => None,
            };
            let count = line.missing(now, waited, share);
            // A line that moves is looked at less often: each look costs a switch of threads.
            let next = if count > 0 {
                TICK
            } else {
                (period * 2).min(LONGEST_TICK)
            };
            let wanted = line.add(count, self.limit);
            let displaced = match count > wanted.parked.len() + wanted.new.len() {
                true => line.displaced(self.limit),
                false => 0,
            };
            (wanted, displaced, next)
        };
        self.bring(wanted);
        if displaced > 0 {
            (self.hurry)(displaced);
        }
        Some(next)
    }
}

/// The function of the watching thread, which ends with the pool.
fn watch<J: Send + 'static>(pool: &Weak<Pool<J>>) {
    let load = Load::default();
    let mut period = TICK;
    std::thread::sleep(period);
    while let Some(pool) = pool.upgrade() {
        if let Some(next) = pool.look(&load, period) {
            drop(pool);
            period = next;
            std::thread::sleep(period);
            continue;
        }
        period = TICK;
        let mut line = lock(&pool.line);
        while line.watching == Watching::Asleep && !line.is_closed {
            line = pool
                .watch
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if line.is_closed {
            return;
        }
        drop(line);
        drop(pool);
        std::thread::sleep(period);
    }
}

/// The watching thread looks at a line that moves this often.
const LONGEST_TICK: Duration = Duration::from_millis(2);
/// Over what the share of the processors is taken.
const SPAN: Duration = Duration::from_millis(5);

#[cfg(test)]
#[cfg(feature = "model")]
mod model;
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_millis(5);
    const IDLE: Duration = Duration::from_secs(5);

    type Job = Box<dyn FnOnce() + Send>;

    /// A pool whose threads run what they are given, and how many it has started.
    fn pool(limit: usize, idle_timeout: Duration) -> (Arc<Pool<Job>>, Arc<AtomicUsize>) {
        let started = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&started);
        let pool = Arc::new_cyclic(|pool: &Weak<Pool<Job>>| {
            let pool = Weak::clone(pool);
            Pool::new(limit, idle_timeout, move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                let Some(pool) = pool.upgrade() else {
                    return false;
                };
                std::thread::spawn(move || {
                    let mut seat = Seat::new();
                    while let Some(job) = pool.take(&mut seat) {
                        job();
                    }
                });
                true
            })
        });
        (pool, started)
    }

    #[test]
    fn jobs_that_wait_for_each_other_all_get_a_thread() {
        const COUNT: usize = 32;
        let (pool, started) = pool(COUNT, IDLE);
        let barrier = Arc::new(std::sync::Barrier::new(COUNT + 1));
        for _ in 0..COUNT {
            let barrier = Arc::clone(&barrier);
            let job = Box::new(move || {
                barrier.wait();
            });
            pool.submit(job);
        }
        assert!(pool.staff().is_empty());
        barrier.wait();
        assert_eq!(started.load(Ordering::SeqCst), COUNT);
        pool.close();
    }

    #[test]
    fn a_job_behind_one_that_lasts_is_done_by_another_thread() {
        let (pool, _) = pool(2, IDLE);
        let (hold, held) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel::<()>();
        pool.submit(Box::new(move || {
            let _ = held.recv();
        }));
        assert!(pool.staff().is_empty());
        pool.submit(Box::new(move || {
            let _ = done.send(());
        }));
        assert!(pool.staff().is_empty());
        assert_eq!(is_done.recv(), Ok(()));
        drop(hold);
        pool.close();
    }

    #[test]
    fn jobs_are_given_back_where_no_thread_starts() {
        let pool = Arc::new(Pool::<u8>::new(4, LONG, |_| false));
        pool.submit(7);
        let lost: Vec<u8> = pool.staff().into_iter().map(|(_, job)| job).collect();
        assert_eq!(lost, [7]);
    }

    #[test]
    fn closed_pools_lose_their_threads() {
        let (pool, _) = pool(4, IDLE);
        let (done, is_done) = mpsc::channel::<()>();
        pool.submit(Box::new(move || {
            let _ = done.send(());
        }));
        assert!(pool.staff().is_empty());
        assert_eq!(is_done.recv(), Ok(()));
        pool.close();
        while lock(&pool.line).threads > 0 {
            std::thread::yield_now();
        }
    }

    /// The system counts how often a thread gave its processor up.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_last_thread_rests_past_its_time() {
        let (pool, _) = pool(1, Duration::from_millis(20));
        let (tell, told) = mpsc::channel();
        pool.submit(Box::new(move || {
            let _ = tell.send(std::fs::read_link("/proc/thread-self").unwrap());
        }));
        assert!(pool.staff().is_empty());
        let status = std::path::Path::new("/proc")
            .join(told.recv().unwrap())
            .join("status");
        let switches = || -> u64 {
            let text = std::fs::read_to_string(&status).unwrap();
            let line = text
                .lines()
                .find(|line| line.starts_with("voluntary"))
                .unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let before = switches();
        std::thread::sleep(Duration::from_millis(200));
        // A look every half a millisecond would make it 400.
        assert!(switches() - before <= 20, "{}", switches() - before);
        pool.close();
    }
}
