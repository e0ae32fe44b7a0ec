//! `Health`: an application around the user's that answers one path by itself: whether this worker takes requests.
//!
//! It is asked by balancers and orchestrators, so it waits for nothing but the event loop: not for the interpreter, not
//! for a thread, not for a place among the active requests.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use granian_proto::{RequestHead, ResponseHead};

use super::layer::Layer;
use crate::exchange::app::{App, BodyWish, Request, Source};

/// See the module's documentation.
pub struct Health {
    path: Vec<u8>,
    is_ready: Rc<Cell<bool>>,
    inner: Rc<dyn App>,
}

impl Health {
    /// Answers `path` with 200 while `is_ready`, else with 503, and has `inner` answer everything else.
    pub fn new(path: &str, is_ready: Rc<Cell<bool>>, inner: Rc<dyn App>) -> Self {
        Self {
            path: path.as_bytes().to_vec(),
            is_ready,
            inner,
        }
    }

    fn is_own(&self, head: &RequestHead) -> bool {
        head.path() == self.path
    }

    /// The answer to a request of this method; `None` if there is none that can be sent.
    fn answer(&self, method: &str) -> Option<(ResponseHead, &'static [u8])> {
        let (status, body): (_, &[u8]) = match (method, self.is_ready.get()) {
            ("GET" | "HEAD", true) => (200, b"ok\n"),
            ("GET" | "HEAD", false) => (503, b"draining\n"),
            _ => (405, b"only GET and HEAD are served here\n"),
        };
        let mut head = ResponseHead::new(status).ok()?;
        head.append(b"content-type", b"text/plain; charset=utf-8")
            .ok()?;
        head.append(b"cache-control", b"no-store").ok()?;
        if status == 405 {
            head.append(b"allow", b"GET, HEAD").ok()?;
        }
        Some((head, body))
    }
}

impl Layer for Health {
    fn inner(&self) -> &dyn App {
        &*self.inner
    }

    fn wants(&self, head: &RequestHead) -> BodyWish {
        match self.is_own(head) {
            true => BodyWish::Nothing,
            false => self.inner.wants(head),
        }
    }

    fn skips_queue(&self, head: &RequestHead) -> bool {
        self.is_own(head) || self.inner.skips_queue(head)
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        if !self.is_own(request.head()) || request.websocket.is_some() {
            return self.inner.call(request);
        }
        if let Some((head, body)) = self.answer(request.head().method()) {
            request.exchange.send_whole(head, Bytes::from_static(body));
        }
        request.exchange.end_call(self.inner.journal());
        None
    }
}

#[cfg(test)]
mod tests {
    use granian_proto::{RequestHeadBuilder, Version};

    use super::*;
    use crate::testing::TestApp;

    fn status(method: &str, is_ready: bool) -> u16 {
        let health = Health::new(
            "/healthz",
            Rc::new(Cell::new(is_ready)),
            Rc::new(TestApp::default()),
        );
        health.answer(method).unwrap().0.status()
    }

    #[test]
    fn it_says_whether_the_worker_is_ready() {
        assert_eq!(status("GET", true), 200);
        assert_eq!(status("HEAD", false), 503);
        assert_eq!(status("POST", true), 405);
    }

    #[test]
    fn no_other_path_is_its_own() {
        let app = Rc::new(TestApp::default());
        let health = Health::new("/healthz", Rc::new(Cell::new(true)), app);
        for (target, is_own) in [
            (&b"/healthz"[..], true),
            (b"/healthz?verbose", true),
            (b"/healthz/", false),
            (b"/health", false),
        ] {
            let head = RequestHeadBuilder::new(Version::Http11, "GET", target).build();
            assert_eq!(App::skips_queue(&health, &head), is_own);
        }
    }
}
