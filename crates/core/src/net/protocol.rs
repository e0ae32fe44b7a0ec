//! Which protocol an accepted connection speaks, and what follows when it changes.

use std::rc::Rc;

use super::app::Peer;
use super::conn::{Connection, Next};
use super::io::Io;
use super::service::Service;
use super::ws;
use crate::runtime::reactor::TaskHandle;

/// Serves `io` until it is closed.
pub(crate) async fn serve(io: Io, peer: Rc<Peer>, service: Rc<Service>, handle: TaskHandle) {
    let connection = Connection::new(io, peer, Rc::clone(&service), handle.clone());
    // Each protocol's state is on the heap by itself, so that none pays for the largest one.
    match Box::pin(connection.run()).await {
        Next::Close => {}
        // Not spoken: the connection closes without an answer, as RFC 9113, 3.4 has it.
        Next::Http2 { io, input } => drop((io, input)),
        Next::WebSocket(upgraded) => {
            let connection = ws::Connection::new(*upgraded, service, handle);
            Box::pin(connection.run()).await;
        }
    }
}
