//! The request's body of an exchange: how much of it is taken in, and the word that asks for it.

use std::task::Context;

use super::{Answering, Phase};
use crate::exchange::Unspooled;
use crate::exchange::app::BodyWish;
use crate::transfer::incoming::{Aim, Broken, Incoming, Intake};
use crate::transfer::stream_io::StreamIo;

impl<S: StreamIo> Answering<S> {
    /// Takes the body in.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let Some(incoming) = self.incoming.as_mut() else {
            return Ok(());
        };
        if self.ends.opening.is_some() {
            return Ok(());
        }
        let aim = match &self.phase {
            Phase::Held(held) if held.wish == BodyWish::Whole => {
                let limit = self.shared.service.limits.wsgi_spool_limit;
                if held.length > Some(limit) {
                    return Err(Broken::Unspooled(Unspooled::TooLarge));
                }
                Aim::Spool { limit }
            }
            Phase::Held(held) if held.awaits_body => Aim::Gather,
            _ => Aim::Stream,
        };
        let intake = Intake {
            spools: &self.shared.service.spools,
            aim,
            now: self.shared.now(),
        };
        let was_complete = incoming.is_complete();
        let forwarded = incoming.forward(cx, &mut self.io, &self.ends.exchange, intake);
        self.meter.set_received(incoming.received());
        if incoming.is_complete() && !was_complete && matches!(self.phase, Phase::Held(_)) {
            self.meter.note_ready(self.shared.now());
        }
        forwarded
    }

    /// Tells a peer that waits for it to send its body, once somebody wants the body.
    ///
    /// > A server that responds with a final status code [...] may omit sending a 100 (Continue) response if it has
    /// > already received some or all of the content.
    /// > — RFC 9110, 10.1.1 <https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1>
    pub(super) fn invite_body(&mut self) {
        if !self.awaits_continue {
            return;
        }
        let has_come = |incoming: &Incoming| incoming.has_begun();
        if self.incoming.as_ref().is_none_or(has_come) {
            self.awaits_continue = false;
            return;
        }
        let is_wanted = match &self.phase {
            Phase::Held(held) => held.awaits_body,
            Phase::Called => self.ends.exchange.wants_body(),
            Phase::Discarding { .. } => false,
        };
        if is_wanted {
            self.awaits_continue = false;
            self.outgoing.invite(&mut self.io);
        }
    }
}
