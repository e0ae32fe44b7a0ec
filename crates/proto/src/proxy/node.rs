//! Nodes: the addresses in `X-Forwarded-For` and in the `for` parameter of `Forwarded`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of `1.2.3.4`, `1.2.3.4:99`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:99`. `None` for `unknown`, an
/// obfuscated name (`_gazonk`, RFC 7239, 6.3) and anything else. A port that is missing, obfuscated or none is 0.
pub(super) fn address(node: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(node).ok()?;
    if let Some(literal) = text.strip_prefix('[') {
        let (address, rest) = literal.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return match rest.strip_prefix(':') {
            Some(digits) => Some((address, port(digits)).into()),
            None => rest.is_empty().then_some((address, 0).into()),
        };
    }
    if let Some((address, digits)) = text.split_once(':')
        && let Ok(address) = address.parse::<Ipv4Addr>()
    {
        return Some((address, port(digits)).into());
    }
    text.parse::<IpAddr>()
        .ok()
        .map(|address| (address, 0).into())
}

fn port(digits: &str) -> u16 {
    match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().unwrap_or(0),
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (node, expected) in [
            ("1.2.3.4", "1.2.3.4:0"),
            ("1.2.3.4:99", "1.2.3.4:99"),
            ("1.2.3.4:", "1.2.3.4:0"),
            ("1.2.3.4:65536", "1.2.3.4:0"),
            ("1.2.3.4:_port", "1.2.3.4:0"),
            ("1.2.3.4:+80", "1.2.3.4:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("2001:db8::1:443", "[2001:db8::1:443]:0"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("[::ffff:1.2.3.4]:443", "[::ffff:1.2.3.4]:443"),
        ] {
            let found = address(node.as_bytes()).map(|address| address.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{node}");
        }
    }

    #[test]
    fn no_addresses() {
        for node in [
            "",
            "unknown",
            "_hidden",
            "a.host",
            "a.host:99",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "[1.2.3.4]",
            "[::1",
            "[::1]x",
            "::1]",
            "fe80::1%eth0",
            "1.2.3.4 ",
            "\"1.2.3.4\"",
            "\u{ff11}.2.3.4",
        ] {
            assert_eq!(address(node.as_bytes()), None, "{node}");
        }
        assert_eq!(address(b"\xff"), None);
    }
}
