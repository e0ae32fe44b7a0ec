//! `Atom`: a fact of a record that a line may name.

use std::net::IpAddr;

use granian_proto::{RequestHead, Version, percent};

use super::clock::Second;
use super::escape::is_plain;
use super::forms::Form;
use crate::exchange::app::Address;
use crate::exchange::record::Record;

/// See the module's documentation; the names are those of formats.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Atom {
    /// `addr`
    Addr,
    /// `time`
    Time,
    /// `dt_ms`
    DtMs,
    /// `status`
    Status,
    /// `path`
    Path,
    /// `query_string`
    QueryString,
    /// `method`
    Method,
    /// `scheme`
    Scheme,
    /// `protocol`
    Protocol,
    /// `body_bytes`
    BodyBytes,
    /// `request_bytes`
    RequestBytes,
    /// `ttfb_ms`
    TtfbMs,
    /// `wait_ms`
    WaitMs,
    /// `tls`
    Tls,
    /// `connection`
    Connection,
    /// `request_id`
    RequestId,
    /// `reason`
    Reason,
    /// `close_code`
    CloseCode,
    /// `worker`
    Worker,
    /// `pid`
    Pid,
    /// `header{Name}`, in lower case.
    Header(Box<str>),
    /// `response_header{Name}`, in lower case.
    ResponseHeader(Box<str>),
}

/// Facts of the worker.
#[derive(Clone, Debug)]
pub struct Context {
    /// The worker's number.
    pub worker: u32,
    /// The process's number.
    pub pid: u32,
}

impl Atom {
    /// The atom of this name in a format; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(rest) = name.strip_suffix('}') {
            let (kind, header) = rest.split_once('{')?;
            let header = header.trim().to_ascii_lowercase();
            return match kind {
                _ if header.is_empty() => None,
                "header" => Some(Self::Header(header.into())),
                "response_header" => Some(Self::ResponseHeader(header.into())),
                _ => None,
            };
        }
        let found = NAMES.iter().find(|(other, _)| *other == name);
        found.map(|(_, atom)| atom.clone())
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::ResponseHeader(name) => name,
            plain => {
                let found = NAMES.iter().find(|(_, other)| other == plain);
                found.map_or("", |(name, _)| name)
            }
        }
    }

    /// Writes its value for this record in `form`.
    pub(super) fn write(
        &self,
        form: &mut impl Form,
        record: &Record<'_>,
        context: &Context,
        second: &Second,
    ) {
        let Record { peer, answer, .. } = record;
        match self {
            Self::Addr => write_address(form, &peer.remote),
            Self::Time => form.plain(second.text.as_bytes()),
            Self::DtMs => form.time(answer.duration()),
            Self::Status => form.whole(answer.status.into()),
            Self::Scheme => form.plain(peer.scheme.as_bytes()),
            Self::Protocol => form.plain(protocol(answer.version).as_bytes()),
            Self::BodyBytes => form.whole(answer.sent),
            Self::RequestBytes => form.whole(answer.received),
            Self::TtfbMs => form.time(answer.first_byte().unwrap_or_default()),
            Self::WaitMs => form.time(answer.waited()),
            Self::Tls => write_text(form, peer.tls.as_ref().map(|tls| tls.protocol())),
            Self::Connection => form.plain(format!("{}-{}", context.pid, peer.number).as_bytes()),
            Self::RequestId => write_text(form, record.request_id()),
            Self::Reason => {
                let reason = answer.reason.as_ref().map(ToString::to_string);
                write_text(form, reason.as_deref());
            }
            Self::CloseCode => match answer.close_code {
                Some(code) => form.whole(code.into()),
                None => form.nothing(),
            },
            Self::Worker => form.whole(context.worker.into()),
            Self::Pid => form.whole(context.pid.into()),
            Self::ResponseHeader(name) => {
                let fields = answer.response.iter().flat_map(|head| head.fields());
                write_joined(form, fields, name);
            }
            Self::Path | Self::QueryString | Self::Method | Self::Header(_) => {
                self.write_of_head(form, record.head.map(|head| &**head));
            }
        }
    }

    /// Writes a value that is in the request's head.
    fn write_of_head(&self, form: &mut impl Form, head: Option<&RequestHead>) {
        match (self, head) {
            // A token (RFC 9110, 9.1) has no character that needs an escape.
            (Self::Method, Some(head)) => form.plain(head.method_bytes()),
            (Self::Path, Some(head)) if is_same(head.path()) => form.plain(head.path()),
            (Self::Path, Some(head)) => form.text(&percent::decode_lossy(head.path())),
            (Self::QueryString, Some(head)) => form.text(&String::from_utf8_lossy(head.query())),
            (Self::QueryString, None) => form.text(""),
            (Self::Header(name), Some(head)) => write_joined(form, head.fields(), name),
            _ => form.nothing(),
        }
    }
}

/// True for a path that says the same decoded and escaped.
fn is_same(path: &[u8]) -> bool {
    // Not `all`, which looks at one byte after the other.
    path.iter()
        .fold(true, |all, byte| all & (is_plain(*byte) && *byte != b'%'))
}

/// The client's address.
fn write_address(form: &mut impl Form, address: &Address) {
    match address {
        Address::Ip(address) => match address.ip() {
            IpAddr::V4(ip) => form.ip4(ip.octets()),
            IpAddr::V6(ip) => form.plain(ip.to_string().as_bytes()),
        },
        Address::Unix(_) => form.nothing(),
    }
}

/// The values of all fields of this name, as latin-1; nothing if they are empty.
fn write_joined<'a>(
    form: &mut impl Form,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    name: &str,
) {
    let mut values = String::new();
    for (_, value) in fields.filter(|(other, value)| *other == name.as_bytes() && !value.is_empty())
    {
        if !values.is_empty() {
            values.push_str(", ");
        }
        values.extend(value.iter().map(|byte| char::from(*byte)));
    }
    write_text(form, Some(&*values).filter(|values| !values.is_empty()));
}

fn write_text(form: &mut impl Form, text: Option<&str>) {
    match text {
        Some(text) => form.text(text),
        None => form.nothing(),
    }
}

pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

const NAMES: [(&str, Atom); 20] = [
    ("addr", Atom::Addr),
    ("time", Atom::Time),
    ("dt_ms", Atom::DtMs),
    ("status", Atom::Status),
    ("path", Atom::Path),
    ("query_string", Atom::QueryString),
    ("method", Atom::Method),
    ("scheme", Atom::Scheme),
    ("protocol", Atom::Protocol),
    ("body_bytes", Atom::BodyBytes),
    ("request_bytes", Atom::RequestBytes),
    ("ttfb_ms", Atom::TtfbMs),
    ("wait_ms", Atom::WaitMs),
    ("tls", Atom::Tls),
    ("connection", Atom::Connection),
    ("request_id", Atom::RequestId),
    ("reason", Atom::Reason),
    ("close_code", Atom::CloseCode),
    ("worker", Atom::Worker),
    ("pid", Atom::Pid),
];
