//! Heads between the `http` crate's form, which codecs of HTTP/2 and HTTP/3 speak, and the one that all
//! protocols share, with the rules of RFC 9113, 8 that a codec leaves to its user. Those of RFC 9114, 4 are the same.

use std::sync::Arc;

use granian_proto::h1::is_host;
use granian_proto::h2::Promise;
use granian_proto::{
    RequestHead, RequestHeadBuilder, ResponseHead, Trailers, Version, retry_after,
};
use http::header::{
    CONTENT_LENGTH, COOKIE, DATE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SERVER,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};

/// A request that no application gets to see.
pub(crate) enum Malformed {
    /// Its target has bytes that no URI has. The answer is 400, as over HTTP/1.
    Target,
    /// It breaks a rule of the protocol (RFC 9113, 8.1.1): its stream is reset with `PROTOCOL_ERROR`.
    Message,
}

/// The head of a request, as the interfaces see it.
pub(crate) fn request(version: Version, parts: &Parts) -> Result<Arc<RequestHead>, Malformed> {
    let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    // > The ":path" pseudo-header field [...] MUST NOT be empty for "http" or "https" URIs [...]
    // > The exceptions [...] are an OPTIONS request [...] with a value of '*'
    // > — RFC 9113, 8.3.1 <https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1>
    let is_asterisk = target == "*" && parts.method == Method::OPTIONS;
    if !target.starts_with('/') && !is_asterisk {
        return Err(Malformed::Message);
    }
    if !target.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Err(Malformed::Target);
    }
    let method = parts.method.as_str();
    let mut head = RequestHeadBuilder::new(version, method, target.as_bytes());
    let authority = authority(parts)?;
    if let Some(authority) = authority {
        head.set_authority(authority);
    }
    let mut cookies = Vec::new();
    for (name, value) in &parts.headers {
        if !is_bare(value.as_bytes()) {
            return Err(Malformed::Message);
        }
        if name == HOST && authority.is_some() {
            continue; // the same, or it would have been refused
        }
        if name == COOKIE {
            // > If there are multiple Cookie header fields after decompression, these MUST be
            // > concatenated into a single octet string using the two-octet delimiter [...] "; "
            // > — RFC 9113, 8.2.3 <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3>
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
            continue;
        }
        head.append(name.as_str().as_bytes(), value.as_bytes());
    }
    if !cookies.is_empty() {
        head.append(b"cookie", &cookies);
    }
    Ok(Arc::new(head.build()))
}

/// A request that is made in the client's place, for the origin of one of its own. `None` if it can't
/// be made for that.
pub(crate) fn promised(promise: &Promise, scheme: &str, authority: &str) -> Option<Request<()>> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(promise.target())
        .build()
        .ok()?;
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    *request.headers_mut() = fields(promise.fields(), 0)?;
    Some(request)
}

/// The head of a CONNECT that no WebSocket connection follows, as records have it: its target is an authority, and
/// it has no path (RFC 9113, 8.5).
pub(crate) fn connect(version: Version, parts: &Parts) -> RequestHead {
    let target = parts.uri.authority().map_or("", |target| target.as_str());
    RequestHeadBuilder::new(version, parts.method.as_str(), target.as_bytes()).build()
}

/// > [...] a server SHOULD treat a request as malformed if it contains a Host header field that
/// > identifies an entity that differs from the entity in the ":authority" pseudo-header field.
/// > — RFC 9113, 8.3.1 <https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1>
fn authority(parts: &Parts) -> Result<Option<&str>, Malformed> {
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    // > ":authority" MUST NOT include the deprecated userinfo subcomponent
    if authority.is_some_and(|authority| !is_host(authority.as_bytes())) {
        return Err(Malformed::Message);
    }
    for (index, host) in parts.headers.get_all(HOST).iter().enumerate() {
        let host = host.as_bytes();
        let same =
            authority.is_none_or(|authority| authority.as_bytes().eq_ignore_ascii_case(host));
        if index > 0 || !same || !is_host(host) {
            return Err(Malformed::Message);
        }
    }
    Ok(authority)
}

/// > A field value MUST NOT start or end with an ASCII whitespace character (ASCII SP or HTAB, 0x20 or
/// > 0x09). — RFC 9113, 8.2.1 <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1>
fn is_bare(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.first()) && !is_space(value.last())
}

/// Declared lengths that `head` is to have, whatever it says itself. `None` for more fields than a `HeaderMap` holds.
pub(crate) fn response(
    head: &ResponseHead,
    length: Option<u64>,
    date: HeaderValue,
) -> Option<Response<()>> {
    let mut fields = fields(head.fields(), OWN_FIELDS)?;
    if let Some(length) = length {
        // The crate's own conversion of numbers makes two allocations.
        let length = HeaderValue::from_str(itoa::Buffer::new().format(length)).ok()?;
        fields.try_insert(CONTENT_LENGTH, length).ok()?;
    }
    if !head.has_server() {
        let server = HeaderValue::from_static("granian");
        fields.try_insert(SERVER, server).ok()?;
    }
    if !head.has_date() {
        fields.try_insert(DATE, date).ok()?;
    }
    Some(with_status(head.status(), fields))
}

/// `None` for more fields than a `HeaderMap` holds.
pub(crate) fn informational(head: &ResponseHead) -> Option<Response<()>> {
    Some(with_status(head.status(), fields(head.fields(), 0)?))
}

/// `None` for more fields than a `HeaderMap` holds.
pub(crate) fn trailers(trailers: &Trailers) -> Option<HeaderMap> {
    fields(trailers.fields(), 0)
}

/// A response without a body, in place of the application's.
pub(crate) fn empty(status: StatusCode) -> Response<()> {
    let mut fields = HeaderMap::new();
    if let Some(seconds) = retry_after(status.as_u16()) {
        fields.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    with_status(status.as_u16(), fields)
}

fn with_status(status: u16, fields: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    // Heads are validated when they are made: there is no other status in them.
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = fields;
    response
}

/// A map of the `lines`, with room for some `more`. `None` if it cannot hold them: it ends at 24,576 names.
fn fields<'a>(
    lines: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    more: usize,
) -> Option<HeaderMap> {
    // Room for more than is used would be an allocation that the system's allocator keeps no list of.
    let count = lines.clone().count() + more;
    let mut fields = HeaderMap::with_capacity(count.min(FORESEEN));
    for (name, value) in lines {
        // > TE [...] MUST NOT contain any value other than "trailers" — and says nothing in a
        // > response. RFC 9113, 8.2.2
        if name == b"te" {
            continue;
        }
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.try_append(name, value).ok()?;
        }
    }
    Some(fields)
}

/// Fields that `response` may add: `content-length`, `server` and `date`.
const OWN_FIELDS: usize = 3;
/// Most fields that a map has room for before they are there.
const FORESEEN: usize = 64;
