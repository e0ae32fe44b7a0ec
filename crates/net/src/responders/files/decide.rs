//! From the fields of a request to what of a file goes out.

use std::ops::Range;

use granian_proto::RequestHead;
use granian_proto::file::{Precondition, Ranges, Validators};

/// The parts of a file that are sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// 200.
    Whole,
    /// 206 with one range.
    Part(Range<u64>),
    /// 206 with several, as `multipart/byteranges`.
    Parts(Vec<Range<u64>>),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

/// The answer for a file of `len` bytes with these validators.
pub(super) fn decide(head: &RequestHead, validators: &Validators, len: u64) -> Decision {
    let asks_more = |(name, _): (&[u8], &[u8])| name.starts_with(b"if-") || name == b"range";
    if !head.fields().any(asks_more) {
        return Decision::Whole;
    }
    match validators.check(head) {
        Precondition::NotModified => return Decision::NotModified,
        Precondition::Failed => return Decision::Failed,
        Precondition::Met => {}
    }
    // > A server MUST ignore a Range header field received with a request method that is unrecognized or for which
    // > range handling is not defined. For this specification, GET is the only method for which range handling is
    // > defined. — RFC 9110, 14.2 <https://www.rfc-editor.org/rfc/rfc9110#section-14.2>
    let range = head.field(b"range").filter(|_| head.method() == "GET");
    let Some(range) = range.filter(|_| validators.allows_range(head)) else {
        return Decision::Whole;
    };
    match Ranges::of(range, len) {
        Ranges::Whole => Decision::Whole,
        Ranges::Unsatisfiable => Decision::Unsatisfiable,
        Ranges::Parts(mut parts) => match parts.len() {
            1 => parts.pop().map_or(Decision::Whole, Decision::Part),
            _ => Decision::Parts(parts),
        },
    }
}
