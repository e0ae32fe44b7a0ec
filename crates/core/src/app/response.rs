//! `Response`: what an application may send when, the same for ASGI, RSGI and WSGI.
//!
//! ```text
//! Idle ──start──▶ Started ──data──▶ Streaming ──end──▶ Ended
//!  ⟲ inform          └────────────────end──────────────▶
//! ```
//! Where trailers were announced, the end of the body leads to `Trailing`, and they to `Ended`. A
//! push may be made until the end. Every other move is an error of the application's, told to it;
//! the state does not change.

use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, ResponsePlan, Trailers};
use thiserror::Error;

use granian_net::exchange::reply::Reply;

/// The state of one response.
pub(crate) struct Response {
    state: State,
    /// No body goes on the wire whatever is sent: HEAD, 204, 205, 304.
    bodiless: bool,
    is_head_request: bool,
    /// The application ends the body by returning.
    ends_on_return: bool,
    expects_trailers: bool,
    trailers: Trailers,
    sent: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    /// The head was sent, with the content-length it declared.
    Started(Option<u64>),
    /// So was some of the body.
    Streaming(Option<u64>),
    /// The body is complete; trailer fields were announced and are awaited.
    Trailing,
    /// A file that is being opened is the rest of the body. The state is that before.
    Paused(Option<u64>),
    Ended,
}

/// A move that the state does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum OrderError {
    #[error("Response not started")]
    NotStarted,
    #[error("Response already started")]
    AlreadyStarted,
    #[error("Response already finished")]
    AlreadyFinished,
    #[error("Response body not finished")]
    BodyNotFinished,
    #[error("Response body is longer than its content-length")]
    TooMuchBody,
    #[error("Response body is shorter than its content-length")]
    TooLittleBody,
    #[error("Response trailers exceed 64 KiB")]
    TooManyTrailers,
}

/// How much of a response was made when its application had ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    Nothing,
    HeadOnly,
    Partial,
    Whole,
}

impl Response {
    pub(crate) fn new(method: &str) -> Self {
        let is_head_request = method == "HEAD";
        Self {
            state: State::Idle,
            bodiless: false,
            is_head_request,
            ends_on_return: false,
            expects_trailers: false,
            trailers: Trailers::new(),
            sent: 0,
        }
    }

    /// The final head.
    pub(crate) fn start(&mut self, head: ResponseHead) -> Result<Reply, OrderError> {
        match self.state {
            State::Idle => {
                let declared = head.content_length();
                let plan = ResponsePlan::of(self.is_head_request, head.status(), declared, None);
                self.bodiless = plan.is_bodiless;
                self.state = State::Started(plan.body_length());
                Ok(Reply::Head(head))
            }
            State::Started(_) | State::Streaming(_) | State::Trailing => {
                Err(OrderError::AlreadyStarted)
            }
            State::Paused(_) | State::Ended => Err(OrderError::AlreadyFinished),
        }
    }

    /// The head that ends HTTP on the connection.
    pub(crate) fn upgrade(&mut self, head: ResponseHead) -> Result<Reply, OrderError> {
        match self.state {
            State::Idle => {
                self.state = State::Ended;
                Ok(Reply::Upgrade(head))
            }
            State::Started(_) | State::Streaming(_) | State::Trailing => {
                Err(OrderError::AlreadyStarted)
            }
            State::Paused(_) | State::Ended => Err(OrderError::AlreadyFinished),
        }
    }

    /// An informational head, any number of them before the final one.
    pub(crate) fn inform(&self, head: ResponseHead) -> Result<Reply, OrderError> {
        match self.state {
            State::Idle => Ok(Reply::Informational(head)),
            State::Started(_) | State::Streaming(_) | State::Trailing => {
                Err(OrderError::AlreadyStarted)
            }
            State::Paused(_) | State::Ended => Err(OrderError::AlreadyFinished),
        }
    }

    /// A further request, as long as the response to this one is not complete.
    pub(crate) fn push(&self, promise: Promise) -> Result<Reply, OrderError> {
        match self.state {
            State::Ended => Err(OrderError::AlreadyFinished),
            _ => Ok(Reply::Push(promise)),
        }
    }

    /// Counts `len` bytes of the body in, the last ones if `last`. True if they end the response.
    pub(crate) fn advance(&mut self, len: u64, last: bool) -> Result<bool, OrderError> {
        let declared = match self.state {
            State::Idle => return Err(OrderError::NotStarted),
            State::Trailing | State::Paused(_) | State::Ended => {
                return Err(OrderError::AlreadyFinished);
            }
            State::Started(declared) | State::Streaming(declared) => declared,
        };
        let sent = self.sent.saturating_add(len);
        if let Some(declared) = declared {
            if sent > declared {
                return Err(OrderError::TooMuchBody);
            }
            if last && sent < declared {
                return Err(OrderError::TooLittleBody);
            }
        }
        self.sent = sent;
        if last {
            self.state = if self.expects_trailers {
                State::Trailing
            } else {
                State::Ended
            };
        } else if len > 0 {
            self.state = State::Streaming(declared);
        }
        Ok(last && !self.expects_trailers)
    }

    /// The end of the body.
    pub(crate) fn end(&mut self) -> Result<Reply, OrderError> {
        self.advance(0, true)?;
        let trailers = std::mem::take(&mut self.trailers);
        Ok(Reply::End((!trailers.is_empty()).then_some(trailers)))
    }

    /// Trailer fields for when the application ends the body by returning.
    pub(crate) fn add_trailers(&mut self, trailers: &Trailers) -> Result<(), OrderError> {
        match self.state {
            State::Idle => Err(OrderError::NotStarted),
            State::Started(_) | State::Streaming(_) => {
                self.trailers = merge(&self.trailers, trailers)?;
                Ok(())
            }
            State::Trailing | State::Paused(_) | State::Ended => Err(OrderError::AlreadyFinished),
        }
    }

    /// Trailer fields will follow the body.
    pub(crate) fn expect_trailers(&mut self) {
        self.expects_trailers = true;
    }

    /// Trailer fields, behind the complete body; the reply once there are no `more`.
    pub(crate) fn trailers(
        &mut self,
        mut trailers: Trailers,
        more: bool,
    ) -> Result<Option<Reply>, OrderError> {
        match self.state {
            State::Trailing => {
                if !self.trailers.is_empty() {
                    trailers = merge(&self.trailers, &trailers)?;
                }
                if more {
                    self.trailers = trailers;
                    return Ok(None);
                }
                self.state = State::Ended;
                Ok(Some(Reply::End(Some(trailers))))
            }
            State::Idle => Err(OrderError::NotStarted),
            State::Started(_) | State::Streaming(_) => Err(OrderError::BodyNotFinished),
            State::Paused(_) | State::Ended => Err(OrderError::AlreadyFinished),
        }
    }

    /// From now on the application ends the body by returning.
    pub(crate) fn end_on_return(&mut self) {
        self.ends_on_return = true;
    }

    /// True if returning completes the response.
    pub(crate) fn ends_on_return(&self) -> bool {
        self.ends_on_return
    }

    /// Whether a file may be the rest of the body.
    pub(crate) fn check_file(&self) -> Result<(), OrderError> {
        match self.state {
            State::Idle => Err(OrderError::NotStarted),
            State::Started(_) | State::Streaming(_) => Ok(()),
            State::Trailing | State::Paused(_) | State::Ended => Err(OrderError::AlreadyFinished),
        }
    }

    /// A file that is being opened is the rest of the body: nothing else may be sent.
    pub(crate) fn pause(&mut self) -> Result<(), OrderError> {
        self.check_file()?;
        if let State::Started(declared) | State::Streaming(declared) = self.state {
            self.state = State::Paused(declared);
        }
        Ok(())
    }

    /// The file is about to be sent.
    pub(crate) fn resume(&mut self) {
        if let State::Paused(declared) = self.state {
            self.state = match self.sent {
                0 => State::Started(declared),
                _ => State::Streaming(declared),
            };
        }
    }

    /// A head that was taken back before it left.
    pub(crate) fn retract(&mut self) {
        self.state = State::Idle;
        // Trailers that it announced go with it.
        self.expects_trailers = false;
        self.trailers = Trailers::new();
    }

    pub(crate) fn progress(&self) -> Progress {
        match self.state {
            State::Idle => Progress::Nothing,
            State::Started(_) => Progress::HeadOnly,
            State::Streaming(_) | State::Paused(_) | State::Trailing => Progress::Partial,
            State::Ended => Progress::Whole,
        }
    }

    /// True once a head has been sent that no body follows, whatever the application makes of it.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.bodiless
    }
}

/// Both, in order. They wait for the end of the body, however long that takes, and so are bounded.
fn merge(first: &Trailers, second: &Trailers) -> Result<Trailers, OrderError> {
    if first.weight() + second.weight() > MAX_TRAILERS {
        return Err(OrderError::TooManyTrailers);
    }
    let mut merged = Trailers::new();
    for (name, value) in first.fields().chain(second.fields()) {
        // Valid where they were, they are valid here.
        let _ = merged.append(name, value);
    }
    Ok(merged)
}

/// Bytes of trailer fields that an application adds bit by bit: as much as an HTTP/2 header section
/// may have by default.
const MAX_TRAILERS: usize = 64 * 1024;
