//! `Origin`: the request of an exchange, and where it came from.

use std::sync::Arc;
use std::time::Instant;

use granian_proto::{RequestHead, ResponseHead};

use super::Exchange;
use super::peer::Peer;
use super::request_ids::RequestId;

/// See the module's documentation.
pub struct Origin {
    /// The request line and the fields.
    pub head: Arc<RequestHead>,
    /// The connection that it came on.
    pub peer: Arc<Peer>,
    /// The time at which its head was there.
    pub since: Instant,
    /// Its name in logs and answers, if requests are given one.
    pub id: Option<RequestId>,
}

impl Exchange {
    /// The request.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The request's name, if it was given one.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.origin.as_ref()?.id.as_ref()?;
        Some(&id.text)
    }

    /// Puts the request's name into its answer, unless the application has.
    pub(super) fn name(&self, head: &mut ResponseHead) {
        let origin = self.origin.as_ref();
        if let Some(id) = origin.and_then(|origin| origin.id.as_ref())
            && !head.fields().any(|(name, _)| *name == *id.field)
        {
            // Both were checked when they were made.
            let _ = head.append(&id.field, id.value().as_bytes());
        }
    }
}
