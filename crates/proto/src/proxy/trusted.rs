//! `Trusted`: the proxies that are believed.

use core::net::IpAddr;

use thiserror::Error;

/// A set of addresses, networks, and the two words `unix` and `*`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Trusted {
    /// Whoever connects is believed.
    everybody: bool,
    /// Whoever connects through a Unix socket is believed.
    unix: bool,
    networks: Vec<Network>,
}

/// An item that is neither an address nor a network nor one of the two words.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0:?} is no address, network (10.0.0.0/8), unix or *")]
pub struct TrustError(pub String);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    is_v4: bool,
    /// The address, in the low bits; those below the mask are 0.
    bits: u128,
    mask: u128,
}

impl Trusted {
    /// The set of these items: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `unix`, `*`.
    ///
    /// # Errors
    /// The first item that is none of that; a network with bits below its mask is none.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, TrustError> {
        let mut trusted = Self::default();
        for item in items {
            match item {
                "*" => trusted.everybody = true,
                "unix" => trusted.unix = true,
                _ => {
                    let network = Network::parse(item);
                    trusted
                        .networks
                        .push(network.ok_or_else(|| TrustError(item.to_owned()))?);
                }
            }
        }
        Ok(trusted)
    }

    /// True if the peer of a connection is believed. `None` is the peer of a Unix socket.
    pub fn has_peer(&self, address: Option<IpAddr>) -> bool {
        self.everybody || address.map_or(self.unix, |address| self.contains(address))
    }

    /// True if the address was named, itself or by a network. `*` names no address: of all entries in a list of
    /// addresses, it is only the sender of the last one that is known.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (is_v4, bits, _) = bits(address);
        let is_inside =
            |network: &Network| network.is_v4 == is_v4 && bits & network.mask == network.bits;
        self.networks.iter().any(is_inside)
    }
}

impl Network {
    fn parse(item: &str) -> Option<Self> {
        let (address, length) = match item.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (item, None),
        };
        let (is_v4, bits, width) = bits(address.parse().ok()?);
        let length = match length {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= width)?
            }
            Some(_) => return None,
            None => width,
        };
        let low = 1u128
            .checked_shl(width - length)
            .map_or(u128::MAX, |bit| bit - 1);
        let mask = !low;
        (bits & low == 0).then_some(Self { is_v4, bits, mask })
    }
}

/// Whether it is an IPv4 address, its bits, and their number. A socket for both families shows an IPv4 peer as an
/// IPv6 address, `::ffff:10.0.0.1`.
fn bits(address: IpAddr) -> (bool, u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(address) => (true, u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (false, address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(items: &[&str], address: &str) -> bool {
        let trusted = Trusted::new(items.iter().copied()).unwrap();
        trusted.contains(address.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks() {
        assert!(trusts(&["10.0.0.1"], "10.0.0.1"));
        assert!(!trusts(&["10.0.0.1"], "10.0.0.2"));
        assert!(trusts(&["10.0.0.0/8"], "10.255.0.7"));
        assert!(!trusts(&["10.0.0.0/8"], "11.0.0.0"));
        assert!(trusts(&["127.0.0.1", "192.168.4.0/22"], "192.168.7.255"));
        assert!(!trusts(&["127.0.0.1", "192.168.4.0/22"], "192.168.8.0"));
        assert!(trusts(&["0.0.0.0/0"], "9.9.9.9"));
        assert!(trusts(&["fd00::/8"], "fd12::1"));
        assert!(!trusts(&["fd00::/8"], "fe80::1"));
        assert!(trusts(&["::/0"], "2001:db8::1"));
        assert!(trusts(&["::1"], "::1"));
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_one_is_itself() {
        assert!(trusts(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(trusts(&["::ffff:10.1.2.3"], "10.1.2.3"));
        assert!(!trusts(&["::/0"], "10.1.2.3"), "the families are apart");
        assert!(!trusts(&["0.0.0.0/0"], "::1"));
    }

    #[test]
    fn words() {
        let peer = |items: &[&str], address: Option<&str>| {
            let trusted = Trusted::new(items.iter().copied()).unwrap();
            trusted.has_peer(address.map(|address| address.parse().unwrap()))
        };
        assert!(peer(&["unix"], None));
        assert!(!peer(&["unix"], Some("127.0.0.1")));
        assert!(!peer(&["127.0.0.1"], None));
        assert!(peer(&["*"], None) && peer(&["*"], Some("9.9.9.9")));
        assert!(!peer(&[], None) && !peer(&[], Some("127.0.0.1")));
        assert!(!trusts(&["*"], "9.9.9.9"), "only who connects");
    }

    #[test]
    fn items_that_are_none() {
        for item in [
            "",
            "localhost",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "fe80::1%eth0",
            "10.0.0",
            "unix:",
            "**",
            "10.0.0.0/8/8",
            "::1/64",
        ] {
            let error = Trusted::new(["127.0.0.1", item]).unwrap_err();
            assert_eq!(error, TrustError(item.to_owned()));
        }
    }
}
