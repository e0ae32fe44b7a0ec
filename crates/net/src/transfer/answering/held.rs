//! `Held`: a request that the application has not been called for.

use std::sync::Arc;

use granian_proto::RequestHead;

use crate::admission::line::Patience;
use crate::admission::queue;
use crate::exchange::app::BodyWish;
use crate::service::Service;

/// See the module's documentation.
pub(super) struct Held {
    pub(super) head: Arc<RequestHead>,
    pub(super) place: queue::Place,
    pub(super) wish: BodyWish,
    /// The length of the body, where it is declared.
    pub(super) length: Option<u64>,
    /// The application is called when the body is whole.
    pub(super) awaits_body: bool,
    /// How long it waits for a permit, once it does.
    pub(super) patience: Option<Patience>,
}

impl Held {
    /// Asks the application how much of the body it wants to start with.
    pub(super) fn new(
        head: Arc<RequestHead>,
        has_body: bool,
        length: Option<u64>,
        service: &Service,
    ) -> Self {
        let mut held = Self {
            head,
            place: queue::Place::default(),
            wish: BodyWish::Nothing,
            length,
            awaits_body: false,
            patience: None,
        };
        if has_body {
            let expects_continue = held.head.field(b"expect").is_some();
            held.wish = service.app.wants(&held.head);
            held.awaits_body =
                held.wish
                    .is_waiting(length, service.limits.window, expects_continue);
        }
        held
    }
}

/// The length of the body that the head declares, if it does.
pub(super) fn declared_length(head: &RequestHead) -> Option<u64> {
    let length = head.field(b"content-length")?;
    std::str::from_utf8(length).ok()?.parse().ok()
}
