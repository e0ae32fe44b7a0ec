//! Reverse proxies in front of the server: which of them are believed, and what they tell of their clients.
//!
//! - [`Trusted`] is the set of proxies that are believed.
//! - [`Forwarding`] reads `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `-Prefix` and `Forwarded` (RFC 7239).
//! - [`ProxyHeader`] is the header of the PROXY protocol, which goes before the first byte of a connection.

mod element;
mod forwarding;
mod header;
mod node;
mod trusted;

pub use forwarding::{Asker, Forwarded, ForwardedField, Forwarding};
pub use header::{HeaderError, MAX_HEADER, ProxyHeader};
pub use trusted::{TrustError, Trusted};
