//! A transfer on a stream that the test plays, polled by hand.

mod fake;
mod requests;
mod responses;
mod websocket;

use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use granian_proto::{RequestHead, RequestHeadBuilder, Version};

use self::fake::{Fake, Handle, Sent};
use super::{Shared, Transfer};
use crate::exchange::Exchange;
use crate::exchange::app::Request;
use crate::exchange::messages::Opening;
use crate::limits::Limits;
use crate::testing::{Bench, peer};

/// A connection of a protocol that the test plays.
struct Carrier {
    bench: Bench,
    shared: Rc<Shared>,
}

/// One transfer on it.
struct Case {
    transfer: Option<Pin<Box<Transfer<Handle>>>>,
    stream: Fake,
    wakes: Arc<Wakes>,
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Carrier {
    fn new() -> Self {
        Self::with(crate::testing::limits())
    }

    fn with(limits: Limits) -> Self {
        let bench = Bench::with(limits);
        let mut handle = None;
        bench.spawn(|its| {
            handle = Some(its);
            pending()
        });
        let shared = Shared::new(peer(), Rc::clone(&bench.service), handle.unwrap());
        Self { bench, shared }
    }

    /// A transfer for `method`, which has not been polled.
    fn transfer(&self, method: &str, stream: &Fake) -> Case {
        self.open(request(method), None, stream)
    }

    fn open(&self, head: RequestHead, opening: Option<Opening>, stream: &Fake) -> Case {
        let shared = Rc::clone(&self.shared);
        let transfer = Transfer::new(
            Rc::clone(&shared),
            head.into(),
            opening,
            None,
            Handle(stream.clone()),
        );
        Case {
            transfer: Some(Box::pin(transfer)),
            stream: stream.clone(),
            wakes: Arc::default(),
            shared,
        }
    }

    /// A transfer that was polled, and the request that the application got.
    fn called(&self, method: &str, stream: &Fake) -> (Case, Arc<Exchange>) {
        let mut case = self.transfer(method, stream);
        assert!(!case.poll());
        (case, self.request().exchange)
    }

    /// The request that the application was called for last.
    fn request(&self) -> Request {
        let mut request = std::pin::pin!(self.bench.app.request());
        match request
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(request) => request,
            Poll::Pending => panic!("the application was not called"),
        }
    }

    /// Time passes for the connection.
    fn pass(&self, time: Duration) {
        self.bench.reactor.clock().advance(time);
        self.bench.reactor.turn();
        self.shared.ring_alarms();
    }
}

impl Case {
    /// Polls the transfer, in a poll of its connection. True if it is over, and then dropped.
    fn poll(&mut self) -> bool {
        self.shared.begin_poll();
        let waker = Waker::from(Arc::clone(&self.wakes));
        let transfer = self.transfer.as_mut().expect("it is not over");
        let is_over = transfer
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        if is_over {
            self.transfer = None;
            assert!(self.stream.is_dropped());
        }
        is_over
    }

    /// True if the transfer was woken since this was asked.
    fn was_woken(&self) -> bool {
        self.wakes.0.swap(0, Ordering::SeqCst) > 0
    }

    /// What one more poll sends.
    fn sends(&mut self) -> Vec<Sent> {
        self.poll();
        self.stream.take_sent()
    }
}

fn request(method: &str) -> RequestHead {
    let mut head = RequestHeadBuilder::new(Version::Http2, method, b"/");
    head.set_authority("a.example");
    head.build()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
