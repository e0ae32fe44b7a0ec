//! `Wire`: a client that says bytes and reads bytes, on a connection that begins with HTTP/1.

use std::future::Future;
use std::rc::Rc;

use super::{Bench, End, TestApp, pair, peer};
use crate::close::CloseCause;
use crate::limits::Limits;
use crate::protocol::serve_http;

/// See the module's documentation.
pub(crate) struct Wire {
    pub(crate) bench: Bench,
    pub(crate) app: Rc<TestApp>,
    pub(crate) end: End,
}

impl Wire {
    /// Plays a script on a connection that holds `room` bytes in each direction.
    pub(crate) fn play<F: Future<Output = ()>>(
        limits: Limits,
        room: usize,
        script: impl FnOnce(Self) -> F,
    ) {
        let bench = Bench::with(limits);
        let (end, io) = pair(room);
        let service = Rc::clone(&bench.service);
        bench.spawn(|handle| serve_http(io, peer(), service, handle, ()));
        let app = Rc::clone(&bench.app);
        let wire = Self {
            bench: bench.clone(),
            app,
            end,
        };
        bench.run(script(wire));
        bench.reactor.clear();
    }

    /// Another connection to the same server.
    pub(crate) fn another(&self, room: usize) -> Self {
        let (end, io) = pair(room);
        let service = Rc::clone(&self.bench.service);
        self.bench
            .spawn(|handle| serve_http(io, peer(), service, handle, ()));
        Self {
            bench: self.bench.clone(),
            app: Rc::clone(&self.app),
            end,
        }
    }

    /// Says `bytes`, and lets what follows happen.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.end.send(bytes.as_ref());
        self.bench.settle().await;
    }

    /// Everything that comes without time passing.
    pub(crate) async fn hear_bytes(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.bench.settle().await;
        while self.end.unread() > 0 {
            all.extend(self.end.recv().await);
            self.bench.settle().await;
        }
        all
    }

    /// The same as text, without the `date` field.
    pub(crate) async fn hear(&mut self) -> String {
        let text = String::from_utf8(self.hear_bytes().await).unwrap();
        let lines = text.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date:")).collect()
    }

    /// The cause of the connection's end, once it has ended.
    pub(crate) fn cause(&self) -> Option<CloseCause> {
        self.app.cause()
    }
}
