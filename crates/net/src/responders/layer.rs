//! `Layer`: an application around another one, which answers some requests itself, or looks after the answers of the
//! other one.

use crate::exchange::app::{App, BodyWish, Journal, Request, Source};
use granian_proto::RequestHead;

/// An [`App`] around `inner`. A method that a layer leaves out is the inner application's.
pub trait Layer {
    /// The application that the layer is around.
    fn inner(&self) -> &dyn App;

    /// See [`App::call`].
    fn call(&self, request: Request) -> Option<Box<dyn Source>>;

    /// See [`App::wants`].
    fn wants(&self, head: &RequestHead) -> BodyWish {
        self.inner().wants(head)
    }

    /// See [`App::skips_queue`].
    fn skips_queue(&self, head: &RequestHead) -> bool {
        self.inner().skips_queue(head)
    }

    /// See [`App::end_turn`].
    fn end_turn(&self) {
        self.inner().end_turn();
    }
}

impl<L: Layer> App for L {
    fn gathers(&self) -> bool {
        self.inner().gathers()
    }

    fn may_start(&self) -> bool {
        self.inner().may_start()
    }

    fn wants(&self, head: &RequestHead) -> BodyWish {
        Layer::wants(self, head)
    }

    fn skips_queue(&self, head: &RequestHead) -> bool {
        Layer::skips_queue(self, head)
    }

    fn speaks_websocket(&self) -> bool {
        self.inner().speaks_websocket()
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        Layer::call(self, request)
    }

    fn end_turn(&self) {
        Layer::end_turn(self);
    }

    fn journal(&self) -> &dyn Journal {
        self.inner().journal()
    }
}
