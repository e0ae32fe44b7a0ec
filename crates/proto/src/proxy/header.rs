//! `ProxyHeader`: the header of the PROXY protocol, versions 1 and 2, by which a proxy that does not speak HTTP tells the
//! address of its client (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// The header at the beginning of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProxyHeader {
    /// Bytes of the header; those behind it are the client's.
    pub len: usize,
    /// The address of the client. `None` if the connection is the proxy's own (LOCAL), or the address is not told or
    /// none of TCP's (UNKNOWN, UNSPEC, a Unix socket).
    pub client: Option<SocketAddr>,
    /// The client speaks TLS with the proxy, which says so in version 2.
    pub is_secure: bool,
}

/// The fault of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeaderError {
    /// The connection begins with something else.
    #[error("no PROXY header")]
    Missing,
    /// It breaks the protocol.
    #[error("malformed PROXY header")]
    Malformed,
    /// It is longer than [`MAX_HEADER`], or than version 1 allows.
    #[error("PROXY header too long")]
    TooLong,
}

impl ProxyHeader {
    /// The header that `bytes` begin with; `None` if they are too few to tell. The result is the same however many bytes
    /// follow the header.
    ///
    /// # Errors
    /// As soon as no further byte can make a header of them.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HeaderError> {
        let begins = |signature: &[u8]| {
            let len = bytes.len().min(signature.len());
            bytes[..len] == signature[..len]
        };
        if begins(SIGNATURE_1) {
            parse_line(bytes)
        } else if begins(SIGNATURE_2) {
            parse_binary(bytes)
        } else {
            Err(HeaderError::Missing)
        }
    }
}

/// > "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" — 2.1
fn parse_line(bytes: &[u8]) -> Result<Option<ProxyHeader>, HeaderError> {
    let most = bytes.len().min(MAX_LINE);
    let Some(end) = memchr::memchr(b'\n', &bytes[..most]) else {
        return match bytes.len() < MAX_LINE {
            true => Ok(None),
            false => Err(HeaderError::TooLong),
        };
    };
    let line = bytes[SIGNATURE_1.len()..end].strip_suffix(b"\r");
    let line = line.ok_or(HeaderError::Malformed)?;
    Ok(Some(ProxyHeader {
        len: end + 1,
        client: client_of_line(line)?,
        is_secure: false,
    }))
}

fn client_of_line(line: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    // > For "UNKNOWN", the rest of the line before the CRLF may be omitted by the sender, and the
    // > receiver must ignore anything presented before the CRLF is found. — 2.1
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Malformed)?;
    let mut words = line.split(' ');
    let family = words.next();
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family? {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, destination) = (address(), address());
    let mut port = || words.next().and_then(port);
    let (port, destination_port) = (port(), port());
    match (source, destination, port, destination_port, words.next()) {
        (Some(source), Some(_), Some(port), Some(_), None) => Ok(Some((source, port).into())),
        _ => Err(HeaderError::Malformed),
    }
}

/// > in range 0..65535 inclusive [...] heading zeroes are not permitted — 2.1
fn port(digits: &str) -> Option<u16> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = digits.len() > 1 && digits.starts_with('0');
    (is_plain && !has_zeros)
        .then(|| digits.parse().ok())
        .flatten()
}

/// The header of version 2 (2.2).
fn parse_binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, HeaderError> {
    let Some([version, family, high, low]) = bytes.get(SIGNATURE_2.len()..FIXED) else {
        return Ok(None);
    };
    let len = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    let is_local = match version {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed),
    };
    // > Other values [...] must be rejected as invalid by receivers.
    if family >> 4 > 3 || family & 0xf > 2 {
        return Err(HeaderError::Malformed);
    }
    if len > MAX_HEADER {
        return Err(HeaderError::TooLong);
    }
    let Some(payload) = bytes.get(FIXED..len) else {
        return Ok(None);
    };
    // > the receiver must accept this connection as valid and must use the real connection endpoints
    let unknown = ProxyHeader {
        len,
        client: None,
        is_secure: false,
    };
    if is_local {
        return Ok(Some(unknown));
    }
    let address_len = match family {
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Ok(Some(unknown)),
    };
    let (addresses, tail) = payload
        .split_at_checked(address_len)
        .ok_or(HeaderError::Malformed)?;
    Ok(Some(ProxyHeader {
        client: client_of_block(*family, addresses),
        is_secure: is_secure(tail)?,
        ..unknown
    }))
}

/// The source of a TCP connection: both addresses come first, then both ports.
fn client_of_block(family: u8, block: &[u8]) -> Option<SocketAddr> {
    let (address, ports): (IpAddr, _) = match family {
        0x11 => {
            let (source, rest) = block.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*source).into(), rest.get(4..)?)
        }
        0x21 => {
            let (source, rest) = block.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*source).into(), rest.get(16..)?)
        }
        _ => return None,
    };
    let (port, _) = ports.split_first_chunk::<2>()?;
    Some((address, u16::from_be_bytes(*port)).into())
}

/// Whether PP2_TYPE_SSL says that the client connected over TLS (2.2.6).
fn is_secure(mut tail: &[u8]) -> Result<bool, HeaderError> {
    let mut is_secure = false;
    while !tail.is_empty() {
        let [kind, high, low, rest @ ..] = tail else {
            return Err(HeaderError::Malformed);
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(HeaderError::Malformed)?;
        if *kind == TYPE_SSL {
            is_secure = value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        }
        tail = rest;
    }
    Ok(is_secure)
}

/// The longest header that is taken, in bytes. Proxies send up to some hundred.
pub const MAX_HEADER: usize = 4096;
/// > a 108-byte buffer is always enough to store all the line and a trailing zero — 2.1
const MAX_LINE: usize = 107;
const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a header of version 2 before its addresses.
const FIXED: usize = 16;
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for `bytes` whole; any shorter part of a good header is too short, and what follows changes nothing.
    fn parse(bytes: &[u8]) -> Result<ProxyHeader, HeaderError> {
        let result = ProxyHeader::parse(bytes).map(|header| header.expect("incomplete"));
        if let Ok(header) = result {
            assert_eq!(header.len, bytes.len());
            for len in 0..bytes.len() {
                assert_eq!(ProxyHeader::parse(&bytes[..len]), Ok(None), "{len} bytes");
            }
            let more = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(ProxyHeader::parse(&more), Ok(Some(header)));
        }
        result
    }

    fn client(bytes: &[u8]) -> String {
        let client = parse(bytes).unwrap().client;
        client.map_or_else(String::new, |client| client.to_string())
    }

    fn binary(version: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [SIGNATURE_2, &[version, family], &len, payload].concat()
    }

    const V4: [u8; 12] = [1, 2, 3, 4, 10, 0, 0, 1, 0x16, 0x2e, 0, 80];

    fn v6() -> Vec<u8> {
        let ends = ["2001:db8::1", "fd00::1"].map(|end| end.parse::<Ipv6Addr>().unwrap().octets());
        [&ends[0][..], &ends[1], &[0x01, 0xbb, 0, 80]].concat()
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("PROXY TCP4 1.2.3.4 10.0.0.1 5678 80", "1.2.3.4:5678"),
            (
                "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
                "255.255.255.255:65535",
            ),
            ("PROXY TCP4 1.2.3.4 10.0.0.1 0 0", "1.2.3.4:0"),
            ("PROXY TCP6 2001:db8::1 fd00::1 443 80", "[2001:db8::1]:443"),
            ("PROXY UNKNOWN", ""),
            (
                "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
                "",
            ),
            ("PROXY UNKNOWN \u{fffd}", ""),
        ] {
            assert_eq!(client(format!("{line}\r\n").as_bytes()), expected, "{line}");
        }
        assert_eq!(client(b"PROXY UNKNOWN \xff\r\n"), "");
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE - 16));
        assert_eq!(longest.len(), MAX_LINE);
        assert_eq!(client(longest.as_bytes()), "");
    }

    #[test]
    fn malformed_lines() {
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 5678\r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 5678 80 \r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 5678 80 90\r\n",
            "PROXY TCP4  1.2.3.4 10.0.0.1 5678 80\r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 5678 80\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 05678 80\r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 +567 80\r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1 65536 80\r\n",
            "PROXY TCP4 1.2.3.4 10.0.0.1  80\r\n",
            "PROXY TCP4 01.2.3.4 10.0.0.1 5678 80\r\n",
            "PROXY TCP4 ::1 ::1 5678 80\r\n",
            "PROXY TCP6 1.2.3.4 10.0.0.1 5678 80\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 5678 80\r\n",
            "PROXY tcp4 1.2.3.4 10.0.0.1 5678 80\r\n",
            "PROXY UDP4 1.2.3.4 10.0.0.1 5678 80\r\n",
            "PROXY UNKNOWNS\r\n",
        ] {
            assert_eq!(
                parse(line.as_bytes()),
                Err(HeaderError::Malformed),
                "{line}"
            );
        }
        assert_eq!(parse(b"PROXY TCP4 \xff\r\n"), Err(HeaderError::Malformed));
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(MAX_LINE));
        assert_eq!(
            ProxyHeader::parse(&endless.as_bytes()[..MAX_LINE - 1]),
            Ok(None)
        );
        for bytes in [
            &endless.as_bytes()[..MAX_LINE],
            format!("{endless}\r\n").as_bytes(),
        ] {
            assert_eq!(parse(bytes), Err(HeaderError::TooLong));
        }
    }

    #[test]
    fn something_else() {
        for bytes in [
            &b"G"[..],
            b"PROXX",
            b"PRI * HTTP/2.0\r\n",
            b"\r\n\r\nG",
            b"\x16\x03\x01",
            b"proxy ",
        ] {
            assert_eq!(parse(bytes), Err(HeaderError::Missing));
        }
        assert_eq!(ProxyHeader::parse(b""), Ok(None));
        assert_eq!(ProxyHeader::parse(b"\r\n\r\n"), Ok(None));
    }

    #[test]
    fn binary_headers() {
        assert_eq!(client(&binary(0x21, 0x11, &V4)), "1.2.3.4:5678");
        assert_eq!(client(&binary(0x21, 0x21, &v6())), "[2001:db8::1]:443");
        for (version, family, payload) in [
            (0x20, 0x00, &b""[..]),
            (0x20, 0x11, &V4),
            (0x20, 0x11, b"anything"),
            (0x21, 0x00, b""),
            (0x21, 0x00, b"anything"),
            (0x21, 0x12, &V4),
            (0x21, 0x31, &[b'/'; 216]),
        ] {
            let header = binary(version, family, payload);
            assert_eq!(client(&header), "", "{version:x} {family:x}");
        }
    }

    #[test]
    fn types() {
        let with = |tail: &[u8]| parse(&binary(0x21, 0x11, &[&V4, tail].concat()));
        let is_secure = |tail: &[u8]| with(tail).map(|header| header.is_secure);
        // ALPN h2, SSL with a version of TLS, no-op.
        assert_eq!(is_secure(b"\x01\x00\x02h2"), Ok(false));
        assert_eq!(
            is_secure(b"\x01\x00\x02h2\x20\x00\x05\x01\0\0\0\0"),
            Ok(true)
        );
        assert_eq!(
            is_secure(b"\x20\x00\x0f\x01\0\0\0\x01\x21\x00\x07TLSv1.3\x04\x00\x00"),
            Ok(true)
        );
        assert_eq!(is_secure(b"\x20\x00\x05\x00\0\0\0\0"), Ok(false));
        for tail in [
            &b"\x01"[..],
            b"\x01\x00",
            b"\x01\x00\x03h2",
            b"\x04\x00\x00\x00",
        ] {
            assert_eq!(is_secure(tail), Err(HeaderError::Malformed));
        }
    }

    #[test]
    fn malformed_binary_headers() {
        for (version, family, payload) in [
            (0x11, 0x11, &V4[..]),
            (0x31, 0x11, &V4),
            (0x22, 0x11, &V4),
            (0x21, 0x41, &V4),
            (0x21, 0x13, &V4),
            (0x20, 0xff, b""),
            (0x21, 0x11, &V4[..11]),
            (0x21, 0x21, &V4),
            (0x21, 0x31, &V4),
        ] {
            let header = binary(version, family, payload);
            assert_eq!(
                parse(&header),
                Err(HeaderError::Malformed),
                "{version:x} {family:x}"
            );
        }
        let longest = binary(0x20, 0, &[0; MAX_HEADER - FIXED]);
        assert_eq!(parse(&longest).unwrap().len, MAX_HEADER);
        let longer = binary(0x20, 0, &[0; MAX_HEADER - FIXED + 1]);
        assert_eq!(
            ProxyHeader::parse(&longer[..FIXED]),
            Err(HeaderError::TooLong)
        );
    }
}
