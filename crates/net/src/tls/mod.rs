//! The record layer: certificates, who is let in, tickets, and TLS streams over any stream. What is
//! spoken inside is others' business; it is told by name (ALPN) only.

pub(crate) mod certificate;
pub mod config;
pub mod info;
pub(crate) mod session;
mod tickets;
