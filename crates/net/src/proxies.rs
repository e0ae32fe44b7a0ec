//! `Proxies`: the reverse proxies in front of a service. What the trusted ones tell of a client takes the place of what
//! the connection shows, before anything else sees a request.

use std::sync::Arc;

use granian_proto::RequestHead;
use granian_proto::proxy::{Asker, Forwarded, Forwarding, ProxyHeader};

use crate::exchange::app::{Address, Peer};

/// See the module's documentation. A service without proxies has none of these.
pub struct Proxies {
    /// Whom to believe, and about what.
    pub forwarding: Forwarding,
    /// Every connection begins with a header of the PROXY protocol, and none is served without.
    pub has_protocol: bool,
}

impl Proxies {
    /// Makes the request of `head` from `peer` what its client has sent to the outermost proxy. Returns the path that
    /// proxies have taken away in front of the target's.
    pub(crate) fn apply(&self, head: &mut RequestHead, peer: &mut Arc<Peer>) -> Option<String> {
        let told = self.look(peer, head)?;
        *peer = seen_through(peer, &told);
        if let Some(host) = &told.host {
            head.set_host(host);
        }
        told.prefix
    }

    /// The peer as the records of a request show it that no application gets to see.
    pub(crate) fn client(&self, peer: &Arc<Peer>, head: Option<&RequestHead>) -> Arc<Peer> {
        let told = head.and_then(|head| self.look(peer, head));
        told.map_or_else(|| Arc::clone(peer), |told| seen_through(peer, &told))
    }

    /// True if the PROXY header of this peer is to be believed.
    pub(crate) fn trusts(&self, peer: &Peer) -> bool {
        let address = ip(&peer.remote);
        self.forwarding.trusted().has_peer(address)
    }

    fn look(&self, peer: &Peer, head: &RequestHead) -> Option<Forwarded> {
        let asker = Asker {
            address: ip(&peer.remote),
            is_relayed: peer.is_relayed,
            is_secure: peer.scheme == "https",
        };
        self.forwarding.look(&asker, head)
    }
}

impl Peer {
    /// Notes the client that a trusted proxy's header tells. Without one the peer stays who it is.
    pub(crate) fn relay(&mut self, header: &ProxyHeader) {
        if let Some(client) = header.client {
            self.remote = Address::Ip(client);
            self.is_relayed = true;
        }
        if header.is_secure {
            self.scheme = "https";
        }
    }
}

/// The peer with the client's address and scheme, as far as they were told.
fn seen_through(peer: &Arc<Peer>, told: &Forwarded) -> Arc<Peer> {
    if told.client.is_none() && told.is_secure.is_none() {
        return Arc::clone(peer);
    }
    Arc::new(Peer {
        number: peer.number,
        local: peer.local.clone(),
        remote: told.client.map_or_else(|| peer.remote.clone(), Address::Ip),
        scheme: match told.is_secure {
            Some(true) => "https",
            Some(false) => "http",
            None => peer.scheme,
        },
        tls: peer.tls.clone(),
        is_relayed: peer.is_relayed,
        memo: Default::default(),
    })
}

fn ip(address: &Address) -> Option<std::net::IpAddr> {
    match address {
        Address::Ip(address) => Some(address.ip()),
        Address::Unix(_) => None,
    }
}
