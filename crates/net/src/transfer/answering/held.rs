//! `Held`: a request that the application has not been called for.

use granian_proto::RequestHead;

use crate::admission::line::Wait;
use crate::exchange::app::BodyWish;
use crate::transfer::Shared;

/// See the module's documentation.
pub(super) struct Held {
    /// Its wait for a permit.
    pub(super) wait: Wait,
    pub(super) wish: BodyWish,
    /// The length of the body, where it is declared.
    pub(super) length: Option<u64>,
    /// The application is called when the body is whole.
    pub(super) awaits_body: bool,
}

impl Held {
    /// Asks the application how much of the body it wants to start with.
    pub(super) fn new(
        head: &RequestHead,
        has_body: bool,
        length: Option<u64>,
        shared: &Shared,
    ) -> Self {
        let mut wait = Wait::sharing(&shared.share);
        wait.note_unread(shared.unread.get());
        let mut held = Self {
            wait,
            wish: BodyWish::Nothing,
            length,
            awaits_body: false,
        };
        if has_body {
            let expects_continue = head.field(b"expect").is_some();
            held.wish = shared.service.app.wants(head);
            held.awaits_body =
                held.wish
                    .is_waiting(length, shared.service.limits.window, expects_continue);
        }
        held
    }
}

/// The length of the body that the head declares, if it does.
pub(super) fn declared_length(head: &RequestHead) -> Option<u64> {
    let length = head.field(b"content-length")?;
    std::str::from_utf8(length).ok()?.parse().ok()
}
