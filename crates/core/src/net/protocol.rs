//! Which protocol an accepted connection speaks, and what follows when it changes.

use std::rc::Rc;

use super::app::Peer;
use super::conn::{Connection, Next};
use super::h2;
use super::io::Io;
use super::service::Service;
use crate::runtime::reactor::TaskHandle;

/// Serves `io` until it is closed.
pub(crate) async fn serve(io: Io, peer: Rc<Peer>, service: Rc<Service>, handle: TaskHandle) {
    let http1 = Connection::new(io, Rc::clone(&peer), Rc::clone(&service), handle.clone());
    match http1.run().await {
        Next::Close => {}
        // Boxed: a connection that does not speak HTTP/2 has no room for what that needs.
        Next::Http2 { io, input } => Box::pin(h2::serve(io, input, peer, service, handle)).await,
    }
}
