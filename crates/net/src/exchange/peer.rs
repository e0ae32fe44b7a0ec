//! `Peer`: the two ends of a connection, as applications and records see them.

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::tls::info::TlsInfo;

/// The two ends of a connection.
pub struct Peer {
    /// The connection's number in this process.
    pub number: u64,
    /// The address that the connection was accepted on.
    pub local: Address,
    /// The address of the client.
    pub remote: Address,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The facts of the TLS session, if there is one.
    pub tls: Option<Arc<TlsInfo>>,
    /// The address of the client is what a proxy told in a header of the PROXY protocol.
    pub is_relayed: bool,
    /// An object that the interface keeps for the connection's life, such as its address in Python.
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
