//! The drive loop, with the `h2` crate's client on the other end of a stream in memory.

mod connection;
mod extensions;
mod limits;
mod streams;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};

use super::{Opened, serve};
use crate::limits::Limits;
use crate::testing::{Bench, End, pair, peer};

/// A server, and one client connected to it.
struct Client {
    bench: Bench,
    sender: SendRequest<Bytes>,
    /// The result of the client's connection, once it has ended.
    ended: Rc<RefCell<Option<Result<(), h2::Error>>>>,
    is_cut: Rc<Cell<bool>>,
}

impl Client {
    /// Starts a server on one end of a stream; the other end is given to the script.
    fn serve(bench: &Bench, room: usize) -> End {
        let (client, io) = pair(room);
        let opened = Opened {
            io,
            input: BytesMut::new(),
            upgrade: None,
        };
        let service = Rc::clone(&bench.service);
        bench.spawn(|handle| serve(opened, peer(), service, handle));
        client
    }

    /// Plays a script with a client that has shaken hands.
    fn play<F: Future<Output = ()>>(limits: Limits, script: impl FnOnce(Self) -> F) {
        Self::play_with(limits, &h2::client::Builder::new(), script);
    }

    fn play_with<F: Future<Output = ()>>(
        limits: Limits,
        builder: &h2::client::Builder,
        script: impl FnOnce(Self) -> F,
    ) {
        Self::play_on(Bench::with(limits), builder, script);
    }

    fn play_on<F: Future<Output = ()>>(
        bench: Bench,
        builder: &h2::client::Builder,
        script: impl FnOnce(Self) -> F,
    ) {
        let reactor = bench.reactor.clone();
        let end = Self::serve(&bench, 1 << 20);
        let (sender, connection) = bench.run(builder.handshake(end)).unwrap();
        let ended = Rc::new(RefCell::new(None));
        let result = Rc::clone(&ended);
        let is_cut = Rc::new(Cell::new(false));
        let cut = Rc::clone(&is_cut);
        bench.spawn(|_| async move {
            let mut connection = pin!(connection);
            poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(end) => {
                    *result.borrow_mut() = Some(end);
                    Poll::Ready(())
                }
                Poll::Pending if cut.get() => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            })
            .await;
        });
        let client = Self {
            bench: bench.clone(),
            sender,
            ended,
            is_cut,
        };
        bench.run(script(client));
        reactor.clear();
    }

    /// Ends the client's side without a word.
    fn cut(&self) {
        self.is_cut.set(true);
        self.bench.reactor.wake_all();
    }

    /// Sends a GET for `path`.
    fn get(&mut self, path: &str) -> ResponseFuture {
        self.request("GET", path, true).0
    }

    /// Sends a request's head, with a body to follow unless `ends`.
    fn request(
        &mut self,
        method: &str,
        path: &str,
        ends: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://a.example{path}"))
            .body(())
            .unwrap();
        self.sender.send_request(request, ends).unwrap()
    }

    /// The error with which the client's connection has ended: `None` while it has not.
    fn end(&self) -> Option<Option<h2::Reason>> {
        let ended = self.ended.borrow();
        let reason = |error: &h2::Error| error.reason();
        ended
            .as_ref()
            .map(|end| end.as_ref().err().and_then(reason))
    }
}

/// Reads a body to its end, and opens the window as it goes.
async fn body_of(response: Response<RecvStream>) -> Result<Vec<u8>, h2::Error> {
    let mut stream = response.into_body();
    let mut body = Vec::new();
    while let Some(data) = poll_fn(|cx| stream.poll_data(cx)).await {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    Ok(body)
}
