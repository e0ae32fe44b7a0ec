//! `App`: what a connection knows of the application, and what it hands over with a request.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use granian_proto::RequestHead;

use crate::close::CloseCause;
use crate::exchange::Exchange;
use crate::exchange::messages::Opening;
use crate::exchange::record::Record;
pub use crate::tls::info::TlsInfo;

/// An application behind one of the interfaces.
pub trait App {
    /// True when a request may be started now; otherwise the connection asks again next turn.
    fn may_start(&self) -> bool;

    /// How much of this request's body must have come before `call`. Asked once for each request that has one.
    fn wants(&self, _head: &RequestHead) -> BodyWish {
        BodyWish::Nothing
    }

    /// True if requests may be for a WebSocket connection.
    fn speaks_websocket(&self) -> bool {
        false
    }

    /// Starts one request. Replies made before this returns leave in the same write; a source is
    /// asked for more of them whenever the stream has taken those before.
    fn call(&self, request: Request) -> Option<Box<dyn Source>>;

    /// The turn in which requests were started or sources asked has ended.
    fn end_turn(&self) {}

    /// Who is told of what the application has no part in.
    fn journal(&self) -> &dyn Journal;
}

/// Takes note of what happens to connections.
pub trait Journal {
    /// True if `answered` does something: records cost time to make.
    fn keeps_records(&self) -> bool {
        false
    }

    /// A request was answered, by whomever.
    fn answered(&self, _record: &Record) {}

    /// A client and this server could not agree on a TLS session.
    fn handshake_failed(&self, _peer: &Peer, _error: &io::Error) {}

    /// A connection has ended.
    fn closed(&self, _peer: &Peer, _cause: CloseCause) {}

    /// Connections wait to be accepted, because of this.
    fn accept_failed(&self, _error: &io::Error) {}
}

/// The rest of a response that is made on the connection's thread, as fast as the peer reads.
pub trait Source {
    /// Makes the next replies. False if there are no more.
    fn pull(&mut self) -> bool;
}

/// How much of a request's body must have come before the application is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyWish {
    /// None of it: the application reads it as it comes.
    Nothing,
    /// All of it where its length is declared and less than the exchange holds (`Limits::window`), and the peer does
    /// not wait to be asked for it; else none.
    Small,
    /// All of it, at any length; it waits in a temporary file where it is large.
    Whole,
}

impl BodyWish {
    /// True if a body of this length, where one is declared, is waited for to its end. `expects_continue`: the peer
    /// sends it only when asked.
    pub(crate) fn is_waiting(
        self,
        length: Option<u64>,
        window: usize,
        expects_continue: bool,
    ) -> bool {
        match self {
            Self::Nothing => false,
            Self::Small => !expects_continue && length.is_some_and(|length| length < window as u64),
            Self::Whole => true,
        }
    }
}

/// One request, as handed to the application, on whichever thread that is.
pub struct Request {
    /// The request line and the fields.
    pub head: RequestHead,
    /// The connection that it came on.
    pub peer: Arc<Peer>,
    /// Its body, and where the replies go.
    pub exchange: Arc<Exchange>,
    /// The request is for a WebSocket connection.
    pub websocket: Option<Opening>,
    /// The peer takes the responses to further requests with this one's.
    pub accepts_push: bool,
}

/// The two ends of a connection.
pub struct Peer {
    /// Where the connection was accepted.
    pub local: Address,
    /// Who connected.
    pub remote: Address,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What is known of the TLS session, if there is one.
    pub tls: Option<Arc<TlsInfo>>,
    /// What the interface keeps for the connection's life, such as its address as an object.
    pub memo: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// A socket address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A Unix socket's path; `None` if it has no name, as clients' have not.
    Unix(Option<PathBuf>),
}

/// An application may answer on a thread of its own.
const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Request>();
};
