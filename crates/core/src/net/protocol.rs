//! Which protocol an accepted connection speaks, and what follows when it changes.

use std::rc::Rc;

use super::app::Peer;
use super::conn::{Connection, Next};
use super::h2;
use super::io::Io;
use super::service::Service;
use super::ws;
use crate::runtime::reactor::TaskHandle;

/// Serves `io` until it is closed.
pub(crate) async fn serve(io: Io, peer: Rc<Peer>, service: Rc<Service>, handle: TaskHandle) {
    let connection = Connection::new(io, Rc::clone(&peer), Rc::clone(&service), handle.clone());
    // Each protocol's state is on the heap by itself, so that none pays for the largest one.
    match Box::pin(connection.run()).await {
        Next::Close => {}
        Next::Http2 { io, input } => Box::pin(h2::serve(io, input, peer, service, handle)).await,
        Next::WebSocket(upgraded) => {
            let connection = ws::Connection::new(*upgraded, service, handle);
            Box::pin(connection.run()).await;
        }
    }
}
