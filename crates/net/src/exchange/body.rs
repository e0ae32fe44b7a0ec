//! `Body`: the received part of a request's body that waits to be read. Small pieces are joined. A
//! large body that is wanted whole waits in a temporary file. What waits in memory is bounded by the body's window.

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};

use super::pieces::Pieces;
use super::{Exchange, Windows};
use crate::budget::Budget;
use crate::exchange::spool::{self, SPOOL_THRESHOLD, Spool, Unspooled};
use crate::runtime::waker::{lock, wake_all};

/// The result of a read of the request's body.
#[derive(Debug)]
pub enum BodyRead {
    /// The received pieces; `last` if the body is complete with them.
    Data {
        /// The pieces.
        data: Pieces,
        /// The body ends with it.
        last: bool,
    },
    /// The end without completion: the peer left or broke its framing, or the response is complete.
    Gone,
    /// The temporary file that the body is in cannot be read.
    Unreadable(io::Error),
}

/// See the module's documentation.
pub(crate) struct Body {
    pieces: VecDeque<Bytes>,
    /// Bytes of the pieces.
    bytes: usize,
    /// The rest, in a temporary file; only for applications that want whole bodies.
    spool: Option<Spool>,
    end: End,
    /// The request has a body, be it empty.
    is_some: bool,
    /// Bytes that have come.
    received: u64,
    /// Bytes in memory at which it pushes back.
    window: usize,
    windows: Windows,
    /// The connection waits for room.
    awaits_room: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Broken,
}

impl Body {
    /// The body of a request; complete already if not `is_some`.
    pub(crate) fn new(is_some: bool, windows: Windows) -> Self {
        Self {
            pieces: VecDeque::new(),
            bytes: 0,
            spool: None,
            end: if is_some { End::Open } else { End::Complete },
            is_some,
            received: 0,
            window: windows.first,
            windows,
            awaits_room: false,
        }
    }

    /// True while more may come.
    pub(crate) fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.bytes
    }

    /// The length of a body that has come whole; `None` for a request without one.
    pub(crate) fn whole(&self) -> Option<u64> {
        (self.is_some && self.end == End::Complete).then_some(self.received)
    }

    /// Bytes that have come, those included that found no room.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Adds a received piece.
    pub(crate) fn push(&mut self, data: Bytes) {
        self.received += data.len() as u64;
        self.keep(data);
    }

    fn keep(&mut self, data: Bytes) {
        self.bytes += data.len();
        push(&mut self.pieces, data);
    }

    /// Adds a piece of a body that is read when it is complete. Beyond a megabyte, pieces go to a
    /// temporary file, whose bytes count in `all`.
    ///
    /// # Errors
    /// When the body has more than `limit` bytes, when `all` has not so many left, or when that file cannot be made or
    /// written.
    pub(crate) fn spool(&mut self, data: Bytes, limit: u64, all: &Budget) -> Result<(), Unspooled> {
        self.received += data.len() as u64;
        if self.received > limit {
            return Err(Unspooled::TooLarge);
        }
        if self.spool.is_none() && self.bytes + data.len() <= SPOOL_THRESHOLD {
            self.keep(data);
            return Ok(());
        }
        spool::append(&mut self.spool, &data, all)
    }

    /// Marks the body as complete. False if it was before.
    pub(crate) fn complete(&mut self) -> bool {
        let is_new = self.end != End::Complete;
        self.end = End::Complete;
        is_new
    }

    /// Marks the body as cut off, unless it is complete.
    pub(crate) fn break_off(&mut self) {
        if self.end == End::Open {
            self.end = End::Broken;
        }
    }

    /// The received pieces, if there are any. It is not called again after the `last` piece.
    pub(crate) fn read(&mut self, last: &mut bool) -> Option<BodyRead> {
        if self.end == End::Broken {
            return Some(BodyRead::Gone);
        }
        if self.bytes == 0 && self.end == End::Open {
            return None;
        }
        if self.bytes == 0
            && let Some(spool) = &mut self.spool
            && spool.is_unread()
        {
            let data = match spool.next_piece() {
                Ok(data) => data,
                Err(error) => return Some(BodyRead::Unreadable(error)),
            };
            *last = !spool.is_unread();
            if *last {
                self.spool = None; // its room is the next body's
            }
            let data = Pieces::from(data);
            return Some(BodyRead::Data { data, last: *last });
        }
        if self.is_much() {
            self.window = self.windows.most.min(2 * self.window);
        }
        let data = Pieces::take(&mut self.pieces, std::mem::take(&mut self.bytes));
        *last = self.end == End::Complete && self.spool.is_none();
        Some(BodyRead::Data { data, last: *last })
    }

    /// True if so much is there that the application should not wait for more of it.
    fn is_much(&self) -> bool {
        self.bytes >= self.window / 2
    }

    /// True if no more may come in. Then `has_made_room` is to be asked after each read.
    fn is_full(&mut self) -> bool {
        self.awaits_room = self.bytes >= self.window;
        self.awaits_room
    }

    /// True if the connection waits for the room that a read has made.
    pub(super) fn has_made_room(&mut self) -> bool {
        std::mem::take(&mut self.awaits_room)
    }
}

/// Appends a piece. Small ones are copied together: each would keep the buffer that it was read
/// into, a thousand times its own size when a peer sends byte by byte.
fn push(queue: &mut VecDeque<Bytes>, piece: Bytes) {
    let is_small = |piece: &Bytes| piece.len() < SMALL;
    let last = match queue.back() {
        Some(last) if is_small(last) && is_small(&piece) => queue.pop_back(),
        _ => None,
    };
    let Some(last) = last else {
        return queue.push_back(piece);
    };
    let mut gathered = last
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    gathered.extend_from_slice(&piece);
    queue.push_back(gathered.freeze());
}

/// A quarter of a read buffer: the most that a queue holds beyond its bytes.
const SMALL: usize = 4 * 1024;

impl Exchange {
    /// Makes the application's reads of the body wake the connection from now on.
    pub fn tell_taking(&self) {
        lock(&self.state).tells_taking = true;
    }

    /// `push_body` of up to `limit` bytes, before the application reads: see [`Body::spool`].
    ///
    /// # Errors
    /// See there.
    pub(crate) fn spool_body(
        &self,
        data: Bytes,
        limit: u64,
        all: &Budget,
    ) -> Result<(), Unspooled> {
        let mut state = lock(&self.state);
        state.body.spool(data, limit, all)
    }

    /// A piece of the request's body has come. True if the application waits for it and has not been told: until
    /// `tell_body` it may become more.
    ///
    /// An application on the connection's thread runs when that has read all that there is. One on another thread would
    /// begin with the first piece, wait for the second, and so on: two wake-ups for each 16 KiB. So it is told when the
    /// window is half full, or the connection has no more for now.
    pub fn push_body(&self, data: Bytes) -> bool {
        let waiters = {
            let mut state = lock(&self.state);
            state.body.push(data);
            if state.body.windows.is_apart() && !state.body.is_much() {
                return !state.body_waiters.is_empty();
            }
            state.take_body_waiters()
        };
        wake_all(waiters);
        false
    }

    /// Tells the application of what has come of the body.
    pub fn tell_body(&self) {
        let waiters = lock(&self.state).take_body_waiters();
        wake_all(waiters);
    }

    /// True while more of the body may come in. Otherwise the connection is woken when there is room.
    pub fn has_body_room(&self) -> bool {
        !lock(&self.state).body.is_full()
    }

    /// Bytes of the body that have come and that the application has not taken.
    pub fn body_held(&self) -> usize {
        lock(&self.state).body.held()
    }

    /// The length of a body that has come whole. `None` for a request without one, or while more is to come.
    pub fn whole_body(&self) -> Option<u64> {
        lock(&self.state).body.whole()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Weak};
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::testing::origin;

    /// Counts wake-ups, and notes the bytes that the exchange held at the last one.
    #[derive(Default)]
    struct Woken {
        exchange: Weak<Exchange>,
        times: AtomicUsize,
        held: AtomicUsize,
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.times.fetch_add(1, Ordering::Relaxed);
            if let Some(exchange) = self.exchange.upgrade() {
                self.held.store(exchange.body_held(), Ordering::Relaxed);
            }
        }
    }

    impl Woken {
        fn of(exchange: &Arc<Exchange>) -> Arc<Self> {
            Arc::new(Self {
                exchange: Arc::downgrade(exchange),
                ..Self::default()
            })
        }

        /// How often, and with how many bytes there last.
        fn seen(&self) -> (usize, usize) {
            let [times, held] = [&self.times, &self.held].map(|it| it.load(Ordering::Relaxed));
            (times, held)
        }
    }

    fn with_body(first: usize, most: usize) -> Arc<Exchange> {
        let windows = Windows { first, most };
        Arc::new(Exchange::new(origin("POST", b"/"), true, windows))
    }

    fn piece(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn an_application_on_another_thread_is_told_of_pieces_together() {
        for (most, first_told) in [(1000, 100), (4000, 500)] {
            let exchange = with_body(1000, most);
            let woken = Woken::of(&exchange);
            let waker = Waker::from(Arc::clone(&woken));
            let mut cx = Context::from_waker(&waker);
            assert!(exchange.poll_body(&mut cx, &mut false).is_pending());
            let untold: Vec<bool> = (0..6).map(|_| exchange.push_body(piece(100))).collect();
            assert_eq!(woken.seen(), (1, first_told));
            assert_eq!(untold[0], most > 1000);
            assert!(!untold[5], "it knows");
        }
    }

    #[test]
    fn an_application_is_told_of_a_piece_that_is_the_last_for_now() {
        let exchange = with_body(1000, 4000);
        assert!(!exchange.push_body(piece(1)), "nobody waits");
        assert!(exchange.try_body(&mut false).is_some());
        let woken = Woken::of(&exchange);
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(exchange.poll_body(&mut cx, &mut false).is_pending());
        assert!(exchange.push_body(piece(1)));
        assert_eq!(woken.seen(), (0, 0));
        exchange.tell_body();
        assert_eq!(woken.seen(), (1, 1));
    }

    /// The bytes that are taken in before it pushes back.
    fn room(exchange: &Exchange) -> usize {
        while exchange.has_body_room() {
            exchange.push_body(piece(50));
        }
        exchange.body_held()
    }

    #[test]
    fn the_window_of_a_body_that_is_read_grows() {
        let exchange = with_body(1000, 3000);
        exchange.push_body(piece(450));
        assert!(exchange.try_body(&mut false).is_some());
        for expected in [1000, 2000, 3000, 3000] {
            assert_eq!(room(&exchange), expected);
            assert!(exchange.try_body(&mut false).is_some());
        }
    }

    #[test]
    fn a_connection_is_woken_by_reads_that_it_waits_for() {
        let exchange = with_body(1000, 1000);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut read = |expected: usize| {
            exchange.watch(&mut cx);
            let _ = exchange.poll_body(&mut Context::from_waker(Waker::noop()), &mut false);
            assert_eq!(woken.seen().0, expected);
        };
        read(1); // it may be asked for 100 Continue
        read(1);
        exchange.push_body(piece(500));
        assert!(exchange.has_body_room());
        read(1);
        assert_eq!(room(&exchange), 1000);
        read(2);
        exchange.tell_taking();
        read(3);
    }

    #[test]
    fn small_pieces_become_one_and_large_ones_stay() {
        let buffer = Bytes::from(vec![b'x'; 20_000]);
        let mut queue = VecDeque::new();
        for _ in 0..3000 {
            push(&mut queue, buffer.slice(0..3));
        }
        push(&mut queue, buffer.slice(0..10_000));
        push(&mut queue, buffer.slice(0..10));
        let lens: Vec<usize> = queue.iter().map(Bytes::len).collect();
        assert_eq!(lens.iter().sum::<usize>(), 9000 + 10_000 + 10);
        assert!(lens.len() <= 5, "{lens:?}");
        assert_eq!(queue[lens.len() - 2].as_ptr(), buffer.as_ptr());
    }

    fn read(body: &mut Body, last: &mut bool) -> Option<Vec<u8>> {
        match body.read(last)? {
            BodyRead::Data { data, .. } => Some(data.joined().to_vec()),
            BodyRead::Gone | BodyRead::Unreadable(_) => None,
        }
    }

    #[test]
    fn pieces_are_read_together_and_the_last_one_says_so() {
        let mut body = Body::new(true, Windows::even(1000));
        let mut last = false;
        assert!(body.read(&mut last).is_none());
        body.push(Bytes::from_static(b"one"));
        body.push(Bytes::from(vec![b'x'; SMALL]));
        assert_eq!(body.held(), 3 + SMALL);
        let data = read(&mut body, &mut last).unwrap();
        assert!(data.starts_with(b"onexx") && data.len() == 3 + SMALL);
        assert_eq!((body.held(), last), (0, false));
        assert!(body.complete());
        assert!(!body.complete());
        assert_eq!((read(&mut body, &mut last), last), (Some(vec![]), true));
    }

    #[test]
    fn a_body_that_is_broken_off_gives_nothing_more() {
        let mut body = Body::new(true, Windows::even(1000));
        body.push(Bytes::from_static(b"part"));
        body.break_off();
        assert!(!body.is_open());
        let mut last = false;
        assert!(matches!(body.read(&mut last), Some(BodyRead::Gone)));
        let mut whole = Body::new(false, Windows::even(1000));
        whole.break_off();
        assert_eq!((read(&mut whole, &mut last), last), (Some(vec![]), true));
    }

    #[test]
    fn what_exceeds_a_megabyte_is_read_from_a_file() {
        let mut body = Body::new(true, Windows::even(1000));
        let piece: Vec<u8> = (0..SPOOL_THRESHOLD / 2)
            .map(|at| (at % 251) as u8)
            .collect();
        let limit = 5 * piece.len() as u64;
        let all = Budget::new(usize::MAX);
        for _ in 0..5 {
            body.spool(Bytes::from(piece.clone()), limit, &all).unwrap();
        }
        let more = body.spool(Bytes::from_static(b"x"), limit, &all);
        assert!(matches!(more, Err(Unspooled::TooLarge)));
        assert_eq!(all.lent(), 3 * piece.len());
        assert_eq!(body.held(), SPOOL_THRESHOLD);
        body.complete();
        let (mut read_all, mut last) = (Vec::new(), false);
        while !last {
            read_all.extend(read(&mut body, &mut last).unwrap());
        }
        assert_eq!(read_all, piece.repeat(5));
        assert_eq!(all.lent(), 0, "given back with the last piece");
    }

    #[test]
    fn files_are_bounded_together() {
        let all = Budget::new(SPOOL_THRESHOLD);
        let large = Bytes::from(vec![b'x'; SPOOL_THRESHOLD]);
        let [mut first, mut second] = [(); 2].map(|()| Body::new(true, Windows::even(1000)));
        for body in [&mut first, &mut second] {
            body.spool(large.clone(), u64::MAX, &all).unwrap();
        }
        first.spool(large.slice(1..), u64::MAX, &all).unwrap();
        second.spool(large.slice(..1), u64::MAX, &all).unwrap();
        for body in [&mut first, &mut second] {
            let more = body.spool(large.slice(..1), u64::MAX, &all);
            assert!(matches!(more, Err(Unspooled::Crowded)));
        }
        drop(first);
        second.spool(large.slice(1..), u64::MAX, &all).unwrap();
        drop(second);
        assert_eq!(all.lent(), 0);
    }
}
