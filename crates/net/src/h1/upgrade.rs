//! The upgrade to HTTP/2, for clients that do not know whether a server speaks it.

use granian_proto::h2::upgraded_request;
use granian_proto::{BodyLength, Request, ResponseHead};

use super::{Connection, Phase};
use crate::h2::Upgrade;
use crate::limits::Versions;
use crate::service::Stage;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    /// Hands the stream over to HTTP/2, if the request asks for that and may.
    pub(super) fn upgrade_to_http2(&mut self, request: &Request) -> bool {
        // Earlier responses must leave before it, and a worker that stops takes no more requests.
        let may_upgrade = request.upgrade
            && self.service.limits.http2.upgrade
            && request.body == BodyLength::Empty
            && self.service.limits.http == Versions::All
            && self.peer.tls.is_none()
            && self.wire.output.is_empty()
            && self.service.stage.get() == Stage::Serving;
        if !may_upgrade {
            return false;
        }
        let Some(frames) = upgraded_request(&request.head) else {
            return false;
        };
        let date = self.service.date(self.handle.now());
        let head = ResponseHead::switching_protocols();
        let mut response = Vec::new();
        if self
            .engine
            .send_upgrade(&head, "h2c", &date, &mut response)
            .is_err()
        {
            return false;
        }
        self.phase = Phase::Http2(Some(Box::new(Upgrade {
            response,
            request: frames,
        })));
        true
    }
}
