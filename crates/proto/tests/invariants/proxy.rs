//! The invariants of what proxies tell.

use granian_proto::h1::is_host;
use granian_proto::proxy::{
    Asker, ForwardedField, Forwarding, HeaderError, MAX_HEADER, ProxyHeader, Trusted,
};
use granian_proto::{RequestHeadBuilder, Version};

/// Any bytes give a header or an error, the same as soon as there is one and whatever follows.
pub(crate) fn proxy_header(data: &[u8]) {
    let mut first: Option<Result<ProxyHeader, HeaderError>> = None;
    for len in 0..=data.len() {
        let found = ProxyHeader::parse(&data[..len]).transpose();
        if let Some(Ok(header)) = found {
            assert!(header.len <= len && header.len <= MAX_HEADER);
        }
        match first {
            Some(_) => assert_eq!(found, first, "{len} bytes"),
            None => first = found,
        }
    }
    assert!(first.is_some() || data.len() < MAX_HEADER);
}

/// Any values of the fields give what may stand in a Host field and in front of a path, and a stranger gives nothing.
/// The first byte of each line names the field, the rest is its value.
pub(crate) fn forwarded(data: &[u8]) {
    let mut head = RequestHeadBuilder::new(Version::Http11, "GET", b"/");
    head.append(b"host", b"a");
    for line in data.split(|byte| *byte == b'\n') {
        if let [kind, value @ ..] = line {
            let field = ForwardedField::ALL[usize::from(*kind) % ForwardedField::ALL.len()];
            head.append(field.name().as_bytes(), value);
        }
    }
    let head = head.build();
    let trusted = Trusted::new(["10.0.0.0/8"]).unwrap();
    let forwarding = Forwarding::new(trusted, &ForwardedField::ALL);
    let asker = |address: &str| Asker {
        address: address.parse().ok(),
        is_relayed: false,
        is_secure: false,
    };
    assert_eq!(forwarding.look(&asker("9.9.9.9"), &head), None);
    assert_eq!(forwarding.look(&asker("none"), &head), None);
    let Some(told) = forwarding.look(&asker("10.0.0.1"), &head) else {
        return;
    };
    let host = told.host.as_deref();
    assert!(host.is_none_or(|host| !host.is_empty() && is_host(host.as_bytes())));
    let prefix = told.prefix.as_deref();
    assert!(prefix.is_none_or(|prefix| {
        prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains("//")
    }));
}
