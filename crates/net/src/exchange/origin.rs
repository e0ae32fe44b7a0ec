//! `Origin`: the request of an exchange, and where it came from.

use std::sync::Arc;
use std::time::Instant;

use granian_proto::{RequestHead, ResponseHead};

use super::Exchange;
use super::peer::Peer;
use super::request_ids::RequestId;

/// See the module's documentation. Where trusted proxies tell of the client, this is the request that it has sent them.
pub struct Origin {
    /// The request line and the fields.
    pub head: Arc<RequestHead>,
    /// The connection that it came on.
    pub peer: Arc<Peer>,
    /// The path that trusted proxies have taken away in front of the target's, with a slash in front and none behind.
    pub prefix: Option<String>,
    /// The time at which its head was there.
    pub since: Instant,
    /// Its name in logs and answers, if requests are given one.
    pub id: Option<RequestId>,
}

impl Exchange {
    /// The request.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The request's name, if it was given one.
    pub fn request_id(&self) -> Option<&str> {
        Some(&self.origin.id.as_ref()?.text)
    }

    /// Puts the request's name into its answer, unless the application has.
    pub(super) fn name(&self, head: &mut ResponseHead) {
        if let Some(id) = &self.origin.id
            && !head.fields().any(|(name, _)| *name == *id.field)
        {
            // Both were checked when they were made.
            let _ = head.append(&id.field, id.value().as_bytes());
        }
    }
}
