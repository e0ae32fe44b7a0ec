//! `RequestHead`: method, target and fields of a request in one allocation of bytes.
//!
//! The bytes are a copy, so that no request keeps a connection's receive buffer alive.

use std::ops::Range;

/// The protocol version of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// Method, target and fields of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    version: Version,
    bytes: Vec<u8>,
    method: Span,
    target: Target,
    /// Four numbers for each field: start and end of the name, start and end of the value.
    fields: Vec<u32>,
}

impl RequestHead {
    /// The protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The method, as received.
    pub fn method(&self) -> &str {
        self.text(self.method)
    }

    /// The bytes of the method.
    pub fn method_bytes(&self) -> &[u8] {
        self.slice(self.method)
    }

    /// True for the method HEAD.
    pub fn is_head(&self) -> bool {
        self.method_bytes() == b"HEAD"
    }

    /// The request target, as received.
    pub fn target(&self) -> &[u8] {
        self.slice(self.target.whole)
    }

    /// The path, still percent-encoded; `*` if the request is for the server as a whole.
    pub fn path(&self) -> &[u8] {
        match self.slice(self.target.path) {
            [] => b"/",
            path => path,
        }
    }

    /// The query, still percent-encoded; empty if there is none.
    pub fn query(&self) -> &[u8] {
        self.slice(self.target.query)
    }

    /// Host and port, if the target names them. The Host field is not looked at.
    pub fn authority(&self) -> Option<&str> {
        self.target.authority.map(|span| self.text(span))
    }

    /// The scheme, if the target names one.
    pub fn scheme(&self) -> Option<&str> {
        self.target.scheme.map(|span| self.text(span))
    }

    /// Bytes in memory, beside those of the value itself.
    pub fn weight(&self) -> usize {
        self.bytes.len() + size_of_val(self.fields.as_slice())
    }

    /// All fields in order: names in lower case, values without surrounding white space.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.fields.chunks_exact(4).map(|ends| {
            let name = Span {
                start: ends[0],
                end: ends[1],
            };
            (
                self.slice(name),
                self.slice(Span {
                    start: ends[2],
                    end: ends[3],
                }),
            )
        })
    }

    /// The value of the first field of this name, which is in lower case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Makes `host` the host that the request is for, in its Host field and in its target if that names one.
    pub fn set_host(&mut self, host: &str) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(host.as_bytes());
        let value = Span::new(start..self.bytes.len());
        if let Some(authority) = &mut self.target.authority {
            *authority = value;
        }
        let Self { bytes, fields, .. } = self;
        let is_host = |ends: &[u32]| bytes.get(ends[0] as usize..ends[1] as usize) == Some(b"host");
        match fields.chunks_exact_mut(4).find(|ends| is_host(ends)) {
            Some(ends) => ends[2..].copy_from_slice(&[value.start, value.end]),
            None if self.target.authority.is_none() => {
                let name = Span::new(self.bytes.len()..self.bytes.len() + 4);
                self.bytes.extend_from_slice(b"host");
                self.fields
                    .extend([name.start, name.end, value.start, value.end]);
            }
            None => {}
        }
    }

    /// The values of all fields of this name, which is in lower case.
    pub(crate) fn values(&self, name: &'static [u8]) -> impl Iterator<Item = &[u8]> {
        self.fields()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<u32>()
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }
}

/// Puts a `RequestHead` together from values that were validated before.
#[derive(Debug)]
pub struct RequestHeadBuilder(RequestHead);

impl RequestHeadBuilder {
    /// A head without fields. `target` is path and query.
    pub fn new(version: Version, method: &str, target: &[u8]) -> Self {
        let mut builder = Self::from_block(version, Vec::with_capacity(256), 16);
        builder.0.method = builder.push(method.as_bytes());
        let whole = builder.push(target);
        let query = target.iter().position(|byte| *byte == b'?');
        let path = whole.start + query.map_or(target.len(), |at| at) as u32;
        let query = query.map_or(whole.end, |at| whole.start + at as u32 + 1);
        builder.0.target = Target {
            whole,
            path: Span {
                start: whole.start,
                end: path,
            },
            query: Span {
                start: query,
                end: whole.end,
            },
            authority: None,
            scheme: None,
        };
        builder
    }

    /// The host and port that the target names.
    pub fn set_authority(&mut self, authority: &str) {
        self.0.target.authority = Some(self.push(authority.as_bytes()));
    }

    /// The scheme that the target names.
    pub fn set_scheme(&mut self, scheme: &str) {
        self.0.target.scheme = Some(self.push(scheme.as_bytes()));
    }

    /// Appends a field; `name` is in lower case.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        let name = self.push(name);
        let value = self.push(value);
        self.0
            .fields
            .extend([name.start, name.end, value.start, value.end]);
    }

    /// The parts of `head` without its fields of these names, which are in lower case.
    pub fn without(head: &RequestHead, names: &[&[u8]]) -> Self {
        let fields = head.fields().zip(head.fields.chunks_exact(4));
        let kept = fields.filter(|((name, _), _)| !names.contains(name));
        let kept = kept.flat_map(|(_, ends)| ends.iter().copied()).collect();
        Self(RequestHead {
            version: head.version,
            bytes: head.bytes.clone(),
            method: head.method,
            target: head.target,
            fields: kept,
        })
    }

    /// The head.
    pub fn build(self) -> RequestHead {
        self.0
    }

    /// A head whose parts stand in `bytes` already.
    pub(crate) fn from_block(version: Version, bytes: Vec<u8>, fields: usize) -> Self {
        Self(RequestHead {
            version,
            bytes,
            method: Span::default(),
            target: Target::default(),
            fields: Vec::with_capacity(4 * fields),
        })
    }

    /// Sets the places of method and target in the block.
    pub(crate) fn set_line(&mut self, method: Span, target: Target) {
        self.0.method = method;
        self.0.target = target;
    }

    /// Adds a field by its places in the block. Makes the name lower-case; returns name and value.
    pub(crate) fn append_spans(&mut self, name: Span, value: Span) -> (&[u8], &[u8]) {
        self.0
            .fields
            .extend([name.start, name.end, value.start, value.end]);
        if let Some(name) = self.0.bytes.get_mut(name.range()) {
            name.make_ascii_lowercase();
        }
        (self.0.slice(name), self.0.slice(value))
    }

    fn push(&mut self, part: &[u8]) -> Span {
        let start = self.0.bytes.len();
        self.0.bytes.extend_from_slice(part);
        Span::new(start..self.0.bytes.len())
    }
}

/// The places of the parts of a request target.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Target {
    pub(crate) whole: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
    pub(crate) authority: Option<Span>,
    pub(crate) scheme: Option<Span>,
}

/// A place in a block of bytes. A `u32` is enough: `Options::max_head_size` bounds a block.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder() {
        let mut builder = RequestHeadBuilder::new(Version::Http2, "GET", b"/a%20b?c=d?e");
        builder.set_scheme("https");
        builder.set_authority("example.com:8443");
        builder.append(b"accept", b"*/*");
        builder.append(b"cookie", b"a=b");
        builder.append(b"cookie", b"c=d");
        let head = builder.build();
        assert_eq!(head.version(), Version::Http2);
        assert_eq!(head.method(), "GET");
        assert_eq!(head.target(), b"/a%20b?c=d?e");
        assert_eq!(head.path(), b"/a%20b");
        assert_eq!(head.query(), b"c=d?e");
        assert_eq!(head.scheme(), Some("https"));
        assert_eq!(head.authority(), Some("example.com:8443"));
        assert_eq!(head.fields().len(), 3);
        assert_eq!(head.field(b"cookie"), Some(&b"a=b"[..]));
        assert_eq!(head.field(b"host"), None);
    }

    #[test]
    fn another_host() {
        let mut builder = RequestHeadBuilder::new(Version::Http11, "GET", b"/");
        builder.append(b"accept", b"*/*");
        let mut head = builder.build();
        head.set_host("a");
        head.set_host("b.example:99");
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(
            fields,
            [(&b"accept"[..], &b"*/*"[..]), (b"host", b"b.example:99")]
        );
        assert_eq!((head.authority(), head.target()), (None, &b"/"[..]));
        let mut builder = RequestHeadBuilder::new(Version::Http2, "GET", b"/");
        builder.set_authority("inner");
        let mut head = builder.build();
        head.set_host("outer");
        assert_eq!((head.authority(), head.fields().len()), (Some("outer"), 0));
        let mut builder = RequestHeadBuilder::new(Version::Http11, "GET", b"/");
        builder.set_authority("inner");
        builder.append(b"host", b"inner");
        let mut head = builder.build();
        head.set_host("outer");
        assert_eq!(head.authority(), Some("outer"));
        assert_eq!(head.field(b"host"), Some(&b"outer"[..]));
    }

    #[test]
    fn builder_without_query() {
        let head = RequestHeadBuilder::new(Version::Http2, "OPTIONS", b"*").build();
        assert_eq!((head.path(), head.query()), (&b"*"[..], &b""[..]));
        assert_eq!((head.scheme(), head.authority()), (None, None));
    }
}
