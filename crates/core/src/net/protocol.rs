//! Which protocol an accepted connection speaks, and what follows when it changes.

use std::rc::Rc;

use super::app::Peer;
use super::conn::{Connection, Next};
use super::io::Io;
use super::service::Service;
use crate::runtime::reactor::TaskHandle;

/// Serves `io` until it is closed.
pub(crate) async fn serve(io: Io, peer: Rc<Peer>, service: Rc<Service>, handle: TaskHandle) {
    match Connection::new(io, peer, service, handle).run().await {
        Next::Close => {}
        Next::Http2 { .. } => {}
    }
}
