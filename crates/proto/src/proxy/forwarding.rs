//! `Forwarding`: what the proxies that are believed tell of the client, from the nearest one outwards.
//!
//! Each proxy appends the address that it got the request from, so that only the right ends of these lists are known to
//! be true. The walk goes from there through the entries that are trusted proxies themselves. It ends at the first one
//! that is not, which is the client, and at one without an address, which nobody can vouch for.

use core::net::{IpAddr, SocketAddr};

use super::element::{Element, elements};
use super::node;
use super::trusted::Trusted;
use crate::h1::is_host;
use crate::head::RequestHead;

/// Whom to believe, and about what.
#[derive(Clone, Debug)]
pub struct Forwarding {
    trusted: Trusted,
    /// In the order of [`ForwardedField::ALL`].
    counts: [bool; ForwardedField::ALL.len()],
}

/// A field that a proxy may tell something with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForwardedField {
    /// `X-Forwarded-For`: addresses.
    For,
    /// `X-Forwarded-Proto`: schemes.
    Proto,
    /// `X-Forwarded-Host`: hosts, which may have a port.
    Host,
    /// `X-Forwarded-Port`: ports, for a host without one.
    Port,
    /// `X-Forwarded-Prefix`: the beginning of the path that a proxy has taken away.
    Prefix,
    /// `Forwarded` (RFC 7239). It counts where no other field of these was sent.
    Forwarded,
}

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The peer's address; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// The address is what a PROXY header told. Such a peer is no proxy for being anybody (`*`).
    pub is_relayed: bool,
    /// The scheme is `https`.
    pub is_secure: bool,
}

/// What was told, as far as it is well-formed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// The address of the client, with port 0 if that was not told.
    pub client: Option<SocketAddr>,
    /// Whether the client's scheme is `https`.
    pub is_secure: Option<bool>,
    /// The host that the client asked for, as a Host field has it.
    pub host: Option<String>,
    /// The path that the proxies have taken away, with a slash in front and none behind.
    pub prefix: Option<String>,
}

impl ForwardedField {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::For,
        Self::Proto,
        Self::Host,
        Self::Port,
        Self::Prefix,
        Self::Forwarded,
    ];

    /// The field's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::For => "x-forwarded-for",
            Self::Proto => "x-forwarded-proto",
            Self::Host => "x-forwarded-host",
            Self::Port => "x-forwarded-port",
            Self::Prefix => "x-forwarded-prefix",
            Self::Forwarded => "forwarded",
        }
    }
}

impl Forwarding {
    /// Believes `trusted` proxies about what these fields tell.
    pub fn new(trusted: Trusted, fields: &[ForwardedField]) -> Self {
        let counts = ForwardedField::ALL.map(|field| fields.contains(&field));
        Self { trusted, counts }
    }

    /// The proxies that are believed.
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// What the proxies tell about the request of `head`. `None` if they tell nothing, or the peer is not believed.
    pub fn look(&self, asker: &Asker, head: &RequestHead) -> Option<Forwarded> {
        if !self.believes(asker) {
            return None;
        }
        let lines = self.lines(head);
        let mut told = match lines.is_legacy() {
            true => self.look_at_legacy(&lines),
            false if lines.elements.is_empty() => return None,
            false => self.look_at_elements(&lines.elements),
        };
        if let Some(port) = lines.port(told.hops) {
            let own = head.authority().map(str::as_bytes);
            let own = own.or_else(|| head.field(b"host"));
            let is_secure = told.forwarded.is_secure.unwrap_or(asker.is_secure);
            let host = told.forwarded.host.as_deref().map(str::as_bytes);
            let host = host.or(own).unwrap_or_default();
            if let Some(host) = with_port(host, port, is_secure) {
                told.forwarded.host = Some(host);
            }
        }
        (told.forwarded != Forwarded::default()).then_some(told.forwarded)
    }

    fn believes(&self, asker: &Asker) -> bool {
        match asker.address {
            Some(address) if asker.is_relayed => self.trusted.contains(address),
            address => self.trusted.has_peer(address),
        }
    }

    /// The values of the fields that count.
    fn lines<'h>(&self, head: &'h RequestHead) -> Lines<'h> {
        let mut lines = Lines::default();
        for (name, value) in head.fields() {
            // Most fields are none of these.
            if !matches!(name.first(), Some(b'x' | b'f')) {
                continue;
            }
            for (field, counts) in ForwardedField::ALL.into_iter().zip(self.counts) {
                if counts && field.name().as_bytes() == name {
                    lines.of(field).push(value);
                }
            }
        }
        lines
    }

    fn look_at_legacy(&self, lines: &Lines<'_>) -> Told {
        let (client, hops) = self.walk(&items(&lines.addresses));
        let is_secure = at(&items(&lines.schemes), hops).and_then(is_secure);
        let host = at(&items(&lines.hosts), hops).and_then(host);
        let prefixes = items(&lines.prefixes);
        let first = prefixes.len().saturating_sub(hops);
        Told {
            forwarded: Forwarded {
                client,
                is_secure,
                host,
                prefix: prefix(prefixes.get(first..).unwrap_or_default()),
            },
            hops,
        }
    }

    /// The client of these nodes, and the number of entries that are known to be true: one, if there are none.
    fn walk(&self, nodes: &[&[u8]]) -> (Option<SocketAddr>, usize) {
        let mut client = None;
        for (hop, node) in nodes.iter().rev().enumerate() {
            let Some(address) = node::address(node) else {
                return (client, hop + 1);
            };
            client = Some(address);
            if !self.trusted.contains(address.ip()) {
                return (client, hop + 1);
            }
        }
        (client, nodes.len().max(1))
    }

    fn look_at_elements(&self, lines: &[&[u8]]) -> Told {
        let mut forwarded = Forwarded::default();
        let mut hops = 0;
        'lines: for line in lines.iter().rev() {
            // Its beginning may be the client's own, made so that the rest is taken for a part of it.
            let Some(elements) = elements(line) else {
                break;
            };
            for element in elements.iter().rev() {
                hops += 1;
                if !self.take(element, &mut forwarded) {
                    break 'lines;
                }
            }
        }
        Told { forwarded, hops }
    }

    /// Takes what the element tells. True if the one to the left is true as well.
    fn take(&self, element: &Element<'_>, into: &mut Forwarded) -> bool {
        let scheme = element.scheme.as_deref().and_then(is_secure);
        into.is_secure = scheme.or(into.is_secure);
        let host = element.host.as_deref().and_then(host);
        into.host = host.or(into.host.take());
        let Some(address) = element.node.as_deref().and_then(node::address) else {
            return false;
        };
        into.client = Some(address);
        self.trusted.contains(address.ip())
    }
}

struct Told {
    forwarded: Forwarded,
    /// The number of entries of a list, counted from its right end, that proxies have appended which are believed.
    hops: usize,
}

/// The values of each field, in the order of their lines.
#[derive(Default)]
struct Lines<'h> {
    addresses: Vec<&'h [u8]>,
    schemes: Vec<&'h [u8]>,
    hosts: Vec<&'h [u8]>,
    ports: Vec<&'h [u8]>,
    prefixes: Vec<&'h [u8]>,
    elements: Vec<&'h [u8]>,
}

impl<'h> Lines<'h> {
    fn of(&mut self, field: ForwardedField) -> &mut Vec<&'h [u8]> {
        match field {
            ForwardedField::For => &mut self.addresses,
            ForwardedField::Proto => &mut self.schemes,
            ForwardedField::Host => &mut self.hosts,
            ForwardedField::Port => &mut self.ports,
            ForwardedField::Prefix => &mut self.prefixes,
            ForwardedField::Forwarded => &mut self.elements,
        }
    }

    /// True if there is a field of the older kind. A proxy speaks one kind and hands the other on as it came: both
    /// together cannot be believed, and the older one is the common one.
    fn is_legacy(&self) -> bool {
        let all = [
            &self.addresses,
            &self.schemes,
            &self.hosts,
            &self.ports,
            &self.prefixes,
        ];
        all.into_iter().any(|lines| !lines.is_empty())
    }

    fn port(&self, hops: usize) -> Option<u16> {
        let items = items(&self.ports);
        let digits = at(&items, hops)?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        let port = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (is_number && port > 0).then_some(port)
    }
}

/// The elements of a list in lines. Empty ones do not count (RFC 9110, 5.6.1.2).
fn items<'h>(lines: &[&'h [u8]]) -> Vec<&'h [u8]> {
    let parts = lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b','));
    let parts = parts.map(<[u8]>::trim_ascii);
    parts.filter(|part| !part.is_empty()).collect()
}

/// The item of the last hop. With fewer items than hops it is the first one: proxies behind the one that has set it
/// hand it on.
fn at<'h>(items: &[&'h [u8]], hops: usize) -> Option<&'h [u8]> {
    items.get(items.len().saturating_sub(hops)).copied()
}

fn is_secure(scheme: &[u8]) -> Option<bool> {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    if is(b"https") || is(b"wss") {
        Some(true)
    } else if is(b"http") || is(b"ws") {
        Some(false)
    } else {
        None
    }
}

fn host(value: &[u8]) -> Option<String> {
    if value.is_empty() || !is_host(value) {
        return None;
    }
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// `host` with the port, unless it has one or that is the default of its scheme.
fn with_port(host: &[u8], port: u16, is_secure: bool) -> Option<String> {
    let host = self::host(host)?;
    let name_end = host.rfind(']').unwrap_or(0);
    let has_port = host[name_end..].contains(':');
    let default = if is_secure { 443 } else { 80 };
    (!has_port && port != default).then(|| format!("{host}:{port}"))
}

/// One path of those that the hops have taken away, the outermost first. `None` if one is malformed.
fn prefix(parts: &[&[u8]]) -> Option<String> {
    let mut whole = String::new();
    for part in parts {
        let part = part.strip_suffix(b"/").unwrap_or(part);
        if part.is_empty() {
            continue;
        }
        if !is_prefix(part) {
            return None;
        }
        whole.push_str(std::str::from_utf8(part).ok()?);
    }
    (!whole.is_empty()).then_some(whole)
}

/// > path-absolute = "/" [ segment-nz *( "/" segment ) ] — RFC 3986, 3.3
///
/// Applications make links of the prefix, and `//host` is a link to a host. So empty segments, dots and
/// percent-encoding, which may hide both, are refused.
fn is_prefix(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else {
        return false;
    };
    let is_char = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte);
    segments
        .split(|byte| *byte == b'/')
        .all(|segment| !matches!(segment, b"" | b"." | b"..") && segment.iter().all(is_char))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{RequestHeadBuilder, Version};

    const PROXY: &str = "10.0.0.1";

    fn head(fields: &[(&str, &str)]) -> RequestHead {
        let mut builder = RequestHeadBuilder::new(Version::Http11, "GET", b"/");
        for (name, value) in fields {
            builder.append(name.as_bytes(), value.as_bytes());
        }
        builder.build()
    }

    fn forwarding(trusted: &str) -> Forwarding {
        Forwarding::new(
            Trusted::new(trusted.split(',')).unwrap(),
            &ForwardedField::ALL,
        )
    }

    fn asker(address: &str) -> Asker {
        Asker {
            address: address.parse().ok(),
            is_relayed: false,
            is_secure: false,
        }
    }

    fn look(trusted: &str, fields: &[(&str, &str)]) -> Forwarded {
        let found = forwarding(trusted).look(&asker(PROXY), &head(fields));
        found.unwrap_or_default()
    }

    /// The client, as text; empty if it is the peer.
    fn client(trusted: &str, fields: &[(&str, &str)]) -> String {
        let client = look(trusted, fields).client;
        client.map(|client| client.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_client_is_the_right_most_that_is_no_proxy() {
        for (trusted, addresses, expected) in [
            (PROXY, "1.2.3.4", "1.2.3.4:0"),
            (PROXY, "6.6.6.6, 1.2.3.4:99", "1.2.3.4:99"),
            (PROXY, "6.6.6.6,1.2.3.4 ,\t10.0.0.1", "1.2.3.4:0"),
            ("10.0.0.0/8", "1.2.3.4, 10.9.9.9", "1.2.3.4:0"),
            ("10.0.0.0/8", "10.1.1.1, 10.9.9.9", "10.1.1.1:0"),
            (
                "10.0.0.1,fd00::/8",
                "2001:db8::1, fd00::2",
                "[2001:db8::1]:0",
            ),
            (
                "10.0.0.1,fd00::/8",
                "[2001:db8::1]:7, [fd00::2]:8",
                "[2001:db8::1]:7",
            ),
            (PROXY, "", ""),
            (PROXY, " , ", ""),
            ("*", "6.6.6.6, 1.2.3.4", "1.2.3.4:0"),
            ("*,10.0.0.0/8", "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4:0"),
        ] {
            let fields = [("x-forwarded-for", addresses)];
            assert_eq!(client(trusted, &fields), expected, "{trusted} {addresses}");
        }
    }

    #[test]
    fn an_entry_without_an_address_ends_the_walk() {
        for (addresses, expected) in [
            ("unknown", ""),
            ("_hidden", ""),
            ("1.2.3.4, unknown", ""),
            ("1.2.3.4, \"10.9.9.9\"", ""),
            ("1.2.3.4, unknown, 10.9.9.9", "10.9.9.9:0"),
            ("6.6.6.6, garbage; DROP, 1.2.3.4", "1.2.3.4:0"),
        ] {
            let legacy = [("x-forwarded-for", addresses)];
            assert_eq!(client("10.0.0.0/8", &legacy), expected, "{addresses}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let fields = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "1.2.3.4, 10.9.9.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "http"),
        ];
        let told = look("10.0.0.0/8", &fields);
        assert_eq!(told.client, Some(([1, 2, 3, 4], 0).into()));
        assert_eq!(told.is_secure, Some(true));
    }

    #[test]
    fn the_scheme_is_that_of_the_same_hop() {
        for (addresses, schemes, expected) in [
            ("1.2.3.4", "https", Some(true)),
            ("1.2.3.4", "HTTPS", Some(true)),
            ("1.2.3.4", "wss", Some(true)),
            ("1.2.3.4", "ws", Some(false)),
            ("1.2.3.4", "https, http", Some(false)),
            ("1.2.3.4, 10.9.9.9", "https, http", Some(true)),
            ("1.2.3.4, 10.9.9.9", "http, https, http", Some(true)),
            ("1.2.3.4, 10.9.9.9", "https", Some(true)),
            ("", "https", Some(true)),
            ("", "http, https", Some(true)),
            ("", "https, http", Some(false)),
            ("1.2.3.4", "gopher", None),
            ("1.2.3.4", "https, gopher", None),
        ] {
            let fields = [
                ("x-forwarded-for", addresses),
                ("x-forwarded-proto", schemes),
            ];
            let told = look("10.0.0.0/8", &fields);
            assert_eq!(told.is_secure, expected, "{addresses} {schemes}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        for (fields, expected) in [
            (vec![("x-forwarded-host", "a.example")], Some("a.example")),
            (
                vec![("x-forwarded-host", "a.example:8443")],
                Some("a.example:8443"),
            ),
            (
                vec![("x-forwarded-host", "evil, a.example")],
                Some("a.example"),
            ),
            (vec![("x-forwarded-host", "a b")], None),
            (vec![("x-forwarded-host", "a/b")], None),
            (vec![("x-forwarded-host", "user@a")], None),
            (
                vec![("host", "h"), ("x-forwarded-port", "8443")],
                Some("h:8443"),
            ),
            (vec![("host", "h"), ("x-forwarded-port", "80")], None),
            (
                vec![("host", "h"), ("x-forwarded-port", "443")],
                Some("h:443"),
            ),
            (
                vec![
                    ("host", "h"),
                    ("x-forwarded-port", "443"),
                    ("x-forwarded-proto", "https"),
                ],
                None,
            ),
            (vec![("host", "h:1"), ("x-forwarded-port", "8443")], None),
            (
                vec![("host", "[::1]"), ("x-forwarded-port", "8443")],
                Some("[::1]:8443"),
            ),
            (
                vec![("host", "[::1]:1"), ("x-forwarded-port", "8443")],
                None,
            ),
            (
                vec![
                    ("host", "h"),
                    ("x-forwarded-host", "a"),
                    ("x-forwarded-port", "99"),
                ],
                Some("a:99"),
            ),
            (vec![("x-forwarded-port", "8443")], None),
        ] {
            assert_eq!(look(PROXY, &fields).host.as_deref(), expected, "{fields:?}");
        }
        for port in ["0", "65536", "+80", "", "-1", "https"] {
            let told = look(PROXY, &[("host", "h"), ("x-forwarded-port", port)]);
            assert_eq!(told.host, None, "{port}");
        }
    }

    #[test]
    fn prefixes() {
        for (addresses, prefixes, expected) in [
            ("1.2.3.4", "/api", Some("/api")),
            ("1.2.3.4", "/api/", Some("/api")),
            ("1.2.3.4", "/api/v1", Some("/api/v1")),
            ("1.2.3.4", "/evil, /api", Some("/api")),
            (
                "1.2.3.4, 10.9.9.9",
                "/evil, /outer, /inner",
                Some("/outer/inner"),
            ),
            ("1.2.3.4, 10.9.9.9", "/outer", Some("/outer")),
            ("1.2.3.4, 10.9.9.9", "/outer, /", Some("/outer")),
            ("", "/api", Some("/api")),
            ("", "/", None),
            ("", "api", None),
            ("", "//evil", None),
            ("", "/a//b", None),
            ("", "/a/../b", None),
            ("", "/a?b", None),
            ("", "/a\\b", None),
            ("", "/%2fevil", None),
            ("", "https://evil", None),
        ] {
            let fields = [
                ("x-forwarded-for", addresses),
                ("x-forwarded-prefix", prefixes),
            ];
            let found = look("10.0.0.0/8", &fields).prefix;
            assert_eq!(found.as_deref(), expected, "{prefixes}");
        }
    }

    #[test]
    fn the_field_of_the_rfc() {
        let told = look(
            "10.0.0.0/8",
            &[
                ("forwarded", "for=6.6.6.6;proto=http;host=evil"),
                (
                    "forwarded",
                    "for=\"[2001:db8::1]:99\";proto=https;host=a.example",
                ),
                (
                    "forwarded",
                    "for=10.9.9.9, for=10.8.8.8;proto=http;by=10.0.0.1",
                ),
            ],
        );
        let expected = Forwarded {
            client: Some("[2001:db8::1]:99".parse().unwrap()),
            is_secure: Some(true),
            host: Some("a.example".to_owned()),
            prefix: None,
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn nodes_of_the_rfc_without_an_address_end_the_walk() {
        for (value, expected) in [
            ("for=unknown", ""),
            ("for=_gazonk", ""),
            ("for=\"_gazonk:99\"", ""),
            ("for=1.2.3.4, for=_hop", ""),
            ("for=1.2.3.4, proto=https", ""),
            ("for=1.2.3.4, for=unknown, for=10.9.9.9", "10.9.9.9:0"),
            ("for=1.2.3.4, for=\"10.9.9.9:_port\"", "1.2.3.4:0"),
            // The client has opened a quote that hides what its proxy has appended.
            ("for=\"6.6.6.6, for=1.2.3.4", ""),
        ] {
            assert_eq!(
                client("10.0.0.0/8", &[("forwarded", value)]),
                expected,
                "{value}"
            );
        }
        let told = look(PROXY, &[("forwarded", "proto=https;host=a")]);
        assert_eq!((told.client, told.is_secure), (None, Some(true)));
        let lines = [
            ("forwarded", "for=\"6.6.6.6"),
            ("forwarded", "for=10.9.9.9"),
        ];
        assert_eq!(client("10.0.0.0/8", &lines), "10.9.9.9:0");
    }

    #[test]
    fn of_two_kinds_the_older_one_counts() {
        let fields = [
            ("forwarded", "for=6.6.6.6;host=evil"),
            ("x-forwarded-proto", "https"),
        ];
        let told = look(PROXY, &fields);
        let expected = Forwarded {
            is_secure: Some(true),
            ..Forwarded::default()
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn only_fields_that_were_named_count() {
        let trusted = Trusted::new([PROXY]).unwrap();
        let fields = head(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-prefix", "/evil"),
            ("forwarded", "for=6.6.6.6"),
        ]);
        let only = Forwarding::new(trusted.clone(), &[ForwardedField::For]);
        let told = only.look(&asker(PROXY), &fields).unwrap();
        assert_eq!(told.client, Some(([1, 2, 3, 4], 0).into()));
        assert_eq!((told.host, told.prefix), (None, None));
        let rfc = Forwarding::new(trusted, &[ForwardedField::Forwarded]);
        let told = rfc.look(&asker(PROXY), &fields).unwrap();
        assert_eq!(told.client, Some(([6, 6, 6, 6], 0).into()));
    }

    #[test]
    fn strangers_are_not_believed() {
        let told = head(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-host", "evil")]);
        let looks = |trusted: &str, asker: Asker| forwarding(trusted).look(&asker, &told).is_some();
        assert!(!looks(PROXY, asker("9.9.9.9")));
        assert!(looks(PROXY, asker("::ffff:10.0.0.1")));
        assert!(looks("*", asker("9.9.9.9")));
        assert!(looks("unix", asker("")), "a Unix socket");
        assert!(!looks("unix", asker("127.0.0.1")));
        // Behind the PROXY protocol the peer is a client, unless it was named as a proxy.
        let relayed = |address: &str| Asker {
            is_relayed: true,
            ..asker(address)
        };
        assert!(!looks("*", relayed("9.9.9.9")));
        assert!(looks("*,9.9.9.9", relayed("9.9.9.9")));
    }

    #[test]
    fn nothing_is_told() {
        let nothing = head(&[
            ("host", "h"),
            ("x-forwarded-for", "unknown"),
            ("x-forwarded", "for=1.2.3.4"),
        ]);
        assert_eq!(forwarding("*").look(&asker(PROXY), &nothing), None);
    }
}
