//! `Atom`: a fact of a record that a line may name.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use granian_proto::{RequestHead, Version, percent};

use super::clock::Second;
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

/// A fact's value.
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// A text of the server's own, which needs no escape.
    Plain(&'a str),
    /// An address, with dots.
    Ip4([u8; 4]),
    /// A text that is not there.
    Nothing,
    Whole(u64),
    Real(f64),
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

    /// Its value for this record.
    pub(super) fn value<'a>(
        &self,
        record: &'a Record,
        context: &Context,
        second: &'a Second,
    ) -> Value<'a> {
        let head = record.head.as_deref();
        match self {
            Self::Addr => address(&record.peer.remote),
            Self::Time => Value::Plain(&second.text),
            Self::DtMs => millis(record.duration),
            Self::Status => Value::Whole(record.status.into()),
            Self::Path => head.map_or(Value::Nothing, |head| {
                Value::Text(percent::decode_lossy(head.path()))
            }),
            Self::QueryString => text(head.map_or(Cow::Borrowed(""), |head| {
                String::from_utf8_lossy(head.query())
            })),
            Self::Method => head.map_or(Value::Nothing, |head| text(head.method())),
            Self::Scheme => Value::Plain(record.peer.scheme),
            Self::Protocol => Value::Plain(protocol(record.version)),
            Self::BodyBytes => Value::Whole(record.sent),
            Self::RequestBytes => Value::Whole(record.received),
            Self::TtfbMs => millis(record.first_byte.unwrap_or_default()),
            Self::WaitMs => millis(record.waited),
            Self::Tls => match &record.peer.tls {
                Some(tls) => text(tls.protocol()),
                None => Value::Nothing,
            },
            Self::Connection => text(format!("{}-{}", context.pid, record.peer.number)),
            Self::RequestId => record.request_id().map_or(Value::Nothing, text),
            Self::Reason => match &record.reason {
                Some(reason) => text(reason.to_string()),
                None => Value::Nothing,
            },
            Self::CloseCode => match record.close_code {
                Some(code) => Value::Whole(code.into()),
                None => Value::Nothing,
            },
            Self::Worker => Value::Whole(context.worker.into()),
            Self::Pid => Value::Whole(context.pid.into()),
            Self::Header(name) => {
                let fields = head.into_iter().flat_map(RequestHead::fields);
                joined(fields, name)
            }
            Self::ResponseHeader(name) => {
                let fields = record.response.iter().flat_map(|head| head.fields());
                joined(fields, name)
            }
        }
    }
}

/// The client's address.
fn address(address: &Address) -> Value<'static> {
    match address {
        Address::Ip(address) => match address.ip() {
            IpAddr::V4(ip) => Value::Ip4(ip.octets()),
            IpAddr::V6(ip) => text(ip.to_string()),
        },
        Address::Unix(_) => Value::Nothing,
    }
}

/// The values of all fields of this name, as latin-1; nothing if they are empty.
fn joined<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, name: &str) -> Value<'static> {
    let mut values = String::new();
    for (_, value) in fields.filter(|(other, value)| *other == name.as_bytes() && !value.is_empty())
    {
        if !values.is_empty() {
            values.push_str(", ");
        }
        values.extend(value.iter().map(|byte| char::from(*byte)));
    }
    match values.is_empty() {
        true => Value::Nothing,
        false => text(values),
    }
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

fn millis(time: Duration) -> Value<'static> {
    Value::Real(time.as_secs_f64() * 1000.0)
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
