//! `State`: the states of an HTTP/1 connection and every legal move between them. Receiving and
//! responding have one state each.
//!
//! ```text
//! receive   Head ──request──▶ Body ──end──▶ Complete ──response over──▶ Head
//!                              │                                          ▲
//!                              └──response over──▶ Discard ──────end──────┘
//!           any ──refused, closing, ended──▶ Closed
//!
//! respond   Idle ──request──▶ Due ──head──▶ Body ──end──▶ Idle
//!                              │             └──cut──▶ Cut
//!                              └──upgrade──▶ Upgraded
//! ```
//!
//! The next request is not looked at before the response to this one is over:
//!
//! > A server MAY process a sequence of pipelined requests in parallel if they all have safe
//! > methods, but it MUST send the corresponding responses in the same order that the requests were
//! > received. — RFC 9112, 9.3.2 <https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2>

use super::body::Decoder;
use super::encode::Framing;
use super::parse::HeadScan;
use super::terms::ResponseTerms;
use crate::error::SendError;

/// Both sides of a connection.
pub(super) struct State {
    pub(super) receive: Receive,
    pub(super) respond: Respond,
}

/// The receiving side: what the next bytes from the peer are.
pub(super) enum Receive {
    /// A request head.
    Head(HeadScan),
    /// The body of the current request.
    Body(Decoder),
    /// Nothing: the request is complete, its response is not.
    Complete,
    /// The rest of a body whose response is over; it is skipped so that the connection can go on.
    Discard { decoder: Decoder, budget: usize },
    /// Nothing more, ever.
    Closed,
}

/// The sending side: what the caller may send next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Respond {
    /// Nothing: no request awaits a response.
    Idle,
    /// Informational heads, then the head of a response.
    Due(ResponseTerms),
    /// The body of the current response.
    Body { framing: Framing, keep_alive: bool },
    /// Nothing ever again: the response was given up.
    Cut { close_delimited: bool },
    /// Bytes of another protocol, which this engine does not make.
    Upgraded,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            receive: Receive::Head(HeadScan::default()),
            respond: Respond::Idle,
        }
    }

    /// A request head came.
    pub(super) fn start_request(&mut self, terms: ResponseTerms, decoder: Decoder) {
        if let (Receive::Head(_), Respond::Idle) = (&self.receive, &self.respond) {
            self.receive = Receive::Body(decoder);
            self.respond = Respond::Due(terms);
        }
    }

    /// Bytes of the body came: the peer does not wait for 100 (Continue) any more.
    pub(super) fn note_body(&mut self) {
        if let Respond::Due(terms) = &mut self.respond {
            terms.awaits_continue = false;
        }
    }

    /// The request body is complete.
    pub(super) fn end_request(&mut self) {
        match self.receive {
            Receive::Body(_) => self.receive = Receive::Complete,
            Receive::Discard { .. } => self.receive = Receive::Head(HeadScan::default()),
            Receive::Head(_) | Receive::Complete | Receive::Closed => {}
        }
    }

    /// The peer erred. After an error in a head the refusal is due.
    pub(super) fn refuse_request(&mut self) {
        if let (Receive::Head(_), Respond::Idle) = (&self.receive, &self.respond) {
            self.respond = Respond::Due(ResponseTerms::refused());
        }
        self.receive = Receive::Closed;
    }

    /// Nothing more is received.
    pub(super) fn close(&mut self) {
        self.receive = Receive::Closed;
    }

    /// The terms of the response that is due.
    pub(super) fn due(&mut self) -> Result<&mut ResponseTerms, SendError> {
        match &mut self.respond {
            Respond::Due(terms) => Ok(terms),
            Respond::Idle => Err(SendError::NoRequest),
            Respond::Body { .. } => Err(SendError::AlreadyStarted),
            Respond::Cut { .. } | Respond::Upgraded => Err(SendError::Closed),
        }
    }

    /// The head of the response goes out.
    pub(super) fn start_response(
        &mut self,
        framing: Framing,
        keep_alive: bool,
    ) -> Result<(), SendError> {
        self.due()?;
        self.respond = Respond::Body {
            framing,
            keep_alive,
        };
        Ok(())
    }

    /// The framing of the current response.
    pub(super) fn framing(&mut self) -> Result<&mut Framing, SendError> {
        match &mut self.respond {
            Respond::Body { framing, .. } => Ok(framing),
            Respond::Idle => Err(SendError::NoRequest),
            Respond::Due(_) => Err(SendError::NotStarted),
            Respond::Cut { .. } | Respond::Upgraded => Err(SendError::Closed),
        }
    }

    /// The response is complete.
    pub(super) fn end_response(&mut self) -> Result<(), SendError> {
        self.framing()?;
        let keeps = self.keeps_alive();
        self.respond = Respond::Idle;
        self.receive = match std::mem::replace(&mut self.receive, Receive::Closed) {
            Receive::Complete if keeps => Receive::Head(HeadScan::default()),
            Receive::Body(decoder) if keeps && decoder.is_complete() => {
                Receive::Head(HeadScan::default())
            }
            Receive::Body(decoder) if keeps && decoder.left() <= MAX_DISCARD as u64 => {
                Receive::Discard {
                    decoder,
                    budget: MAX_DISCARD,
                }
            }
            _ => Receive::Closed,
        };
        Ok(())
    }

    /// The whole response that says what the peer did wrong went out.
    pub(super) fn end_refusal(&mut self) {
        self.receive = Receive::Closed;
        if self.due().is_ok() {
            self.respond = Respond::Idle;
        }
    }

    /// The response is given up.
    pub(super) fn cut(&mut self) {
        self.receive = Receive::Closed;
        self.respond = match self.respond {
            Respond::Due(_) | Respond::Body { .. } => Respond::Cut {
                close_delimited: self.is_close_delimited(),
            },
            Respond::Idle | Respond::Cut { .. } | Respond::Upgraded => self.respond,
        };
    }

    /// The connection now belongs to another protocol.
    pub(super) fn upgrade(&mut self) -> Result<(), SendError> {
        self.due()?;
        match &self.receive {
            Receive::Complete => {}
            Receive::Body(decoder) if decoder.is_complete() => {}
            _ => return Err(SendError::NotUpgradable),
        }
        self.receive = Receive::Closed;
        self.respond = Respond::Upgraded;
        Ok(())
    }

    /// Whether a next request could follow: none does behind a body too long to be skipped.
    pub(super) fn is_reusable(&self) -> bool {
        match &self.receive {
            Receive::Body(decoder) => decoder.left() <= MAX_DISCARD as u64,
            Receive::Head(_) | Receive::Complete | Receive::Discard { .. } => true,
            Receive::Closed => false,
        }
    }

    /// Whether the current request was received whole.
    pub(super) fn is_request_complete(&self) -> bool {
        match &self.receive {
            Receive::Body(decoder) => decoder.is_complete(),
            Receive::Complete => true,
            Receive::Head(_) | Receive::Discard { .. } | Receive::Closed => false,
        }
    }

    /// Whether the peer holds the body back until it is told to go on.
    pub(super) fn awaits_continue(&self) -> bool {
        matches!(self.respond, Respond::Due(terms) if terms.awaits_continue)
    }

    pub(super) fn is_idle(&self) -> bool {
        match (&self.receive, &self.respond) {
            (Receive::Head(scan), Respond::Idle) => !scan.is_started(),
            _ => false,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        match self.respond {
            Respond::Idle => matches!(self.receive, Receive::Closed),
            Respond::Cut { .. } => true,
            Respond::Due(_) | Respond::Body { .. } | Respond::Upgraded => false,
        }
    }

    pub(super) fn is_close_delimited(&self) -> bool {
        match self.respond {
            Respond::Body { framing, .. } => framing == Framing::Close,
            Respond::Cut { close_delimited } => close_delimited,
            Respond::Idle | Respond::Due(_) | Respond::Upgraded => false,
        }
    }

    pub(super) fn is_bodiless(&self) -> bool {
        let swallows = |framing| framing == Framing::Swallow;
        matches!(self.respond, Respond::Body { framing, .. } if swallows(framing))
    }

    fn keeps_alive(&self) -> bool {
        matches!(
            self.respond,
            Respond::Body {
                keep_alive: true,
                ..
            }
        )
    }
}

/// Bytes of an unread body that are skipped to keep a connection. Beyond that a new connection is
/// cheaper than the bytes.
const MAX_DISCARD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::BodyLength;

    type Make = fn() -> Receive;

    fn receives() -> [(&'static str, Make); 7] {
        [
            ("head", || Receive::Head(HeadScan::default())),
            ("body", || Receive::Body(Decoder::new(BodyLength::Sized(9)))),
            ("read", || Receive::Body(Decoder::new(BodyLength::Empty))),
            ("large", || {
                Receive::Body(Decoder::new(BodyLength::Sized(1 << 20)))
            }),
            ("complete", || Receive::Complete),
            ("discard", || Receive::Discard {
                decoder: Decoder::new(BodyLength::Sized(9)),
                budget: 9,
            }),
            ("closed", || Receive::Closed),
        ]
    }

    fn responds() -> [(&'static str, Respond); 7] {
        let terms = ResponseTerms {
            keep_alive: true,
            ..ResponseTerms::refused()
        };
        [
            ("idle", Respond::Idle),
            ("due", Respond::Due(terms)),
            (
                "keep",
                Respond::Body {
                    framing: Framing::Length(0),
                    keep_alive: true,
                },
            ),
            (
                "last",
                Respond::Body {
                    framing: Framing::Length(0),
                    keep_alive: false,
                },
            ),
            (
                "cut",
                Respond::Cut {
                    close_delimited: false,
                },
            ),
            (
                "cut-short",
                Respond::Cut {
                    close_delimited: true,
                },
            ),
            ("upgraded", Respond::Upgraded),
        ]
    }

    fn receive_name(state: &State) -> &'static str {
        match &state.receive {
            Receive::Head(_) => "head",
            Receive::Body(decoder) if decoder.is_complete() => "read",
            Receive::Body(decoder) if decoder.left() > MAX_DISCARD as u64 => "large",
            Receive::Body(_) => "body",
            Receive::Complete => "complete",
            Receive::Discard { .. } => "discard",
            Receive::Closed => "closed",
        }
    }

    fn respond_name(state: &State) -> &'static str {
        match state.respond {
            Respond::Idle => "idle",
            Respond::Due(_) => "due",
            Respond::Body {
                keep_alive: true, ..
            } => "keep",
            Respond::Body { .. } => "last",
            Respond::Cut {
                close_delimited: false,
            } => "cut",
            Respond::Cut { .. } => "cut-short",
            Respond::Upgraded => "upgraded",
        }
    }

    type Move = fn(&mut State) -> Result<(), SendError>;

    fn moves() -> [(&'static str, Move); 10] {
        [
            ("start_request", |state| {
                state.start_request(ResponseTerms::refused(), Decoder::new(BodyLength::Sized(9)));
                Ok(())
            }),
            ("end_request", |state| {
                state.end_request();
                Ok(())
            }),
            ("refuse_request", |state| {
                state.refuse_request();
                Ok(())
            }),
            ("close", |state| {
                state.close();
                Ok(())
            }),
            ("start_response", |state| {
                state.start_response(Framing::Length(0), true)
            }),
            ("framing", |state| state.framing().map(|_| ())),
            ("end_response", State::end_response),
            ("end_refusal", |state| {
                state.end_refusal();
                Ok(())
            }),
            ("cut", |state| {
                state.cut();
                Ok(())
            }),
            ("upgrade", State::upgrade),
        ]
    }

    /// The rest can't come about: a body comes with its response due, a head without one.
    fn is_reachable(receive: &str, respond: &str) -> bool {
        match receive {
            "head" | "discard" => respond == "idle",
            "closed" => true,
            _ => matches!(respond, "due" | "keep" | "last"),
        }
    }

    /// One line for each state, one column for each move: the state it leads to, `=` for the same,
    /// or the error.
    fn table() -> String {
        let columns = moves().map(|(name, _)| format!("{name:<19}")).concat();
        let mut table = format!("{:<19}{}\n", "", columns.trim_end());
        for (receive, make) in receives() {
            for (respond, respond_state) in responds() {
                if !is_reachable(receive, respond) {
                    continue;
                }
                let mut line = format!("{:<19}", format!("{receive} {respond}"));
                for (_, apply) in moves() {
                    let mut state = State {
                        receive: make(),
                        respond: respond_state,
                    };
                    let cell = match apply(&mut state) {
                        Err(error) => format!("{error:?}"),
                        Ok(()) => format!("{} {}", receive_name(&state), respond_name(&state)),
                    };
                    let is_same = cell == format!("{receive} {respond}");
                    line += &format!("{:<19}", if is_same { "=" } else { &cell });
                }
                table += line.trim_end();
                table += "\n";
            }
        }
        table
    }

    /// Prints the table, and compares it with `states.txt`; `UPDATE_CORPUS=1` writes that.
    #[test]
    fn every_move_from_every_state() {
        let table = table();
        println!("{table}");
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            std::fs::write("src/h1/states.txt", &table).unwrap();
        }
        assert_eq!(
            table,
            std::fs::read_to_string("src/h1/states.txt").unwrap_or_default()
        );
    }

    #[test]
    fn closed_is_final() {
        for (respond, respond_state) in responds() {
            for (name, apply) in moves() {
                let mut state = State {
                    receive: Receive::Closed,
                    respond: respond_state,
                };
                let _ = apply(&mut state);
                assert_eq!(receive_name(&state), "closed", "{respond} {name}");
            }
        }
    }

    #[test]
    fn failed_moves_change_nothing() {
        for (receive, make) in receives() {
            for (respond, respond_state) in responds() {
                for (name, apply) in moves() {
                    let mut state = State {
                        receive: make(),
                        respond: respond_state,
                    };
                    if apply(&mut state).is_err() {
                        let after = (receive_name(&state), respond_name(&state));
                        assert_eq!(after, (receive, respond), "{name}");
                    }
                }
            }
        }
    }
}
