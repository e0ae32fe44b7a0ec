//! The record layer: certificates, the check of clients' certificates, session tickets, and TLS
//! streams over any stream. It knows the protocol inside by its ALPN name only.

pub(crate) mod certificate;
pub mod config;
mod error;
pub mod info;
pub(crate) mod session;
mod tickets;
