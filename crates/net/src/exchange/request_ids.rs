//! `RequestIds`: the names that requests are given, their own if they bring a valid one.

use std::cell::Cell;
use std::fmt::Write;
use std::sync::Arc;

use granian_proto::{RequestHead, RequestHeadBuilder, is_request_id, trace_id};

/// One worker's.
pub struct RequestIds {
    /// The field that names come in and go out by, in lower case.
    field: Arc<[u8]>,
    /// The field is `traceparent`: a name is its trace.
    is_trace: bool,
    /// The state of the generator. Names need not be secret, and must not repeat.
    state: Cell<[u64; 2]>,
}

/// The name of one request.
#[derive(Clone)]
pub struct RequestId {
    /// The field that it is told by.
    pub(super) field: Arc<[u8]>,
    /// See `granian_proto::is_request_id`.
    pub(super) text: Arc<str>,
    /// The field's value, where that is not the name alone.
    value: Option<Arc<str>>,
}

impl RequestId {
    /// The field's value.
    pub(super) fn value(&self) -> &str {
        self.value.as_ref().unwrap_or(&self.text)
    }

    /// The name.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }
}

impl RequestIds {
    /// Names in the field `field`, which is in lower case.
    pub fn new(field: &[u8]) -> Self {
        let mut seed = [0; 16];
        // Not from the time or the process: workers are forked at the same moment.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        let (low, high) = seed.split_at(8);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Self {
            field: field.into(),
            is_trace: field == TRACE,
            state: Cell::new([number(low), number(high) | 1]),
        }
    }

    /// The request's name: that in its field, else that of its trace, else a new one. The field then has it, and no
    /// other value.
    pub(crate) fn name(&self, head: RequestHead) -> (RequestHead, RequestId) {
        if self.is_trace {
            return self.trace(head);
        }
        let mut given = head.fields().filter(|(name, _)| **name == *self.field);
        let own = given.next().map(|(_, value)| value);
        let is_single = given.next().is_none();
        let own = own.filter(|value| is_single && is_request_id(value));
        let text: Arc<str> = match own.and_then(|value| std::str::from_utf8(value).ok()) {
            Some(text) => {
                let text = text.into();
                drop(given);
                return (head, self.id(text));
            }
            None => match head.field(TRACE).and_then(trace_id) {
                Some(trace) => trace.into(),
                None => self.make().into(),
            },
        };
        drop(given);
        let mut builder = RequestHeadBuilder::without(&head, &[&self.field]);
        builder.append(&self.field, text.as_bytes());
        (builder.build(), self.id(text))
    }

    /// The request's trace: that of its `traceparent`, if that is one valid value, else a new one. "If the vendor failed
    /// to parse traceparent, it MUST NOT attempt to parse tracestate" (<https://www.w3.org/TR/trace-context-1/>, 4.3).
    fn trace(&self, head: RequestHead) -> (RequestHead, RequestId) {
        if let Some((value, trace)) = trace_of(&head) {
            let id = self.traced(trace, value);
            return (head, id);
        }
        let (trace, parent) = (self.make(), self.next().max(1));
        let value = format!("00-{trace}-{parent:016x}-{SAMPLED}");
        let mut builder = RequestHeadBuilder::without(&head, &[TRACE, b"tracestate"]);
        builder.append(TRACE, value.as_bytes());
        (builder.build(), self.traced(&trace, &value))
    }

    fn traced(&self, trace: &str, value: &str) -> RequestId {
        RequestId {
            value: Some(value.into()),
            ..self.id(trace.into())
        }
    }

    fn id(&self, text: Arc<str>) -> RequestId {
        RequestId {
            field: Arc::clone(&self.field),
            text,
            value: None,
        }
    }

    /// 32 hexadecimal digits, as a trace has: not all of them zeros.
    fn make(&self) -> String {
        let mut text = String::with_capacity(32);
        let _ = write!(text, "{:016x}{:016x}", self.next().max(1), self.next());
        text
    }

    /// xoroshiro128+ (<https://prng.di.unimi.it/xoroshiro128plus.c>).
    fn next(&self) -> u64 {
        let [first, mut second] = self.state.get();
        let result = first.wrapping_add(second);
        second ^= first;
        self.state.set([
            first.rotate_left(24) ^ second ^ (second << 16),
            second.rotate_left(37),
        ]);
        result
    }
}

/// The only `traceparent` of the request, if it is valid, and its trace.
fn trace_of(head: &RequestHead) -> Option<(&str, &str)> {
    let mut given = head.fields().filter(|(name, _)| *name == TRACE);
    let (_, value) = given.next()?;
    let is_single = given.next().is_none();
    let trace = trace_id(value).filter(|_| is_single)?;
    Some((std::str::from_utf8(value).ok()?, trace))
}

/// In lower case.
const TRACE: &[u8] = b"traceparent";
/// The flag of a `traceparent` that is made: with 00 a tracer that follows its parent, as most do, would record nothing.
const SAMPLED: &str = "01";

#[cfg(test)]
mod tests {
    use granian_proto::Version;

    use super::*;

    fn named(fields: &[(&str, &str)]) -> (RequestHead, String) {
        let mut builder = RequestHeadBuilder::new(Version::Http11, "GET", b"/a?b");
        for (name, value) in fields {
            builder.append(name.as_bytes(), value.as_bytes());
        }
        let (head, id) = RequestIds::new(b"x-request-id").name(builder.build());
        (head, id.text.to_string())
    }

    fn values(head: &RequestHead) -> Vec<&[u8]> {
        let fields = head.fields().filter(|(name, _)| *name == b"x-request-id");
        fields.map(|(_, value)| value).collect()
    }

    #[test]
    fn a_valid_name_is_kept() {
        let (head, id) = named(&[("host", "a"), ("x-request-id", "7b-1")]);
        assert_eq!(id, "7b-1");
        assert_eq!(values(&head), [b"7b-1"]);
    }

    #[test]
    fn any_other_one_is_replaced() {
        for fields in [
            &[("host", "a")][..],
            &[("x-request-id", "a b"), ("host", "a")],
            &[
                ("x-request-id", "one"),
                ("x-request-id", "two"),
                ("host", "a"),
            ],
        ] {
            let (head, id) = named(fields);
            assert_eq!(id.len(), 32);
            assert_eq!(values(&head), [id.as_bytes()]);
            assert_eq!(
                (head.method(), head.path(), head.query()),
                ("GET", &b"/a"[..], &b"b"[..])
            );
            assert_eq!(head.field(b"host"), Some(&b"a"[..]));
        }
    }

    #[test]
    fn a_trace_is_a_name() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let (head, id) = named(&[("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))]);
        assert_eq!(id, trace);
        assert_eq!(values(&head), [trace.as_bytes()]);
    }

    fn traced(fields: &[(&str, &str)]) -> (RequestHead, RequestId) {
        let mut builder = RequestHeadBuilder::new(Version::Http11, "GET", b"/a?b");
        for (name, value) in fields {
            builder.append(name.as_bytes(), value.as_bytes());
        }
        RequestIds::new(TRACE).name(builder.build())
    }

    #[test]
    fn a_valid_trace_is_kept_with_its_state() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for value in [
            format!("00-{trace}-b7ad6b7169203331-00"),
            format!("cc-{trace}-b7ad6b7169203331-01-more"),
        ] {
            let (head, id) = traced(&[("traceparent", &value), ("tracestate", "a=b")]);
            assert_eq!((&*id.text, id.value()), (trace, &*value));
            assert_eq!(head.field(TRACE), Some(value.as_bytes()));
            assert_eq!(head.field(b"tracestate"), Some(&b"a=b"[..]));
        }
    }

    #[test]
    fn any_other_one_is_made_anew() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for fields in [
            &[][..],
            &[("traceparent", "00-0af7-b7ad-01"), ("tracestate", "a=b")],
            &[("traceparent", valid), ("traceparent", valid)],
            &[("traceparent", &valid.to_uppercase())],
        ] {
            let (head, id) = traced(fields);
            let made: Vec<_> = head.fields().filter(|(name, _)| *name == TRACE).collect();
            assert_eq!(made, [(TRACE, id.value().as_bytes())]);
            assert_eq!(trace_id(id.value().as_bytes()), Some(&*id.text));
            assert_ne!(id.value(), valid);
            assert!(id.value().ends_with("-01"));
            assert_eq!(head.field(b"tracestate"), None);
        }
    }

    #[test]
    fn names_do_not_repeat() {
        let ids = RequestIds::new(b"x-request-id");
        let mut made: Vec<_> = (0..1000).map(|_| ids.make()).collect();
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 1000);
        assert_ne!(ids.make(), RequestIds::new(b"x-request-id").make());
    }
}
