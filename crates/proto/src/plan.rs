//! `ResponsePlan`: whether a response has a body, how long that is, and what its head says of the
//! length. Decided here once, for every protocol and for whoever counts what leaves.

/// The body of a final response: whether one follows, and its length as the head announces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponsePlan {
    /// The length of the body as the head announces it.
    pub announced: Announced,
    /// No byte of the body goes out, whatever the application sends.
    pub is_bodiless: bool,
}

/// The length of a body as its head announces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announced {
    /// No length and no framing.
    Nothing,
    /// A Content-Length, in bytes.
    Length(u64),
    /// A length that is not known yet: `Transfer-Encoding: chunked` where the protocol has it,
    /// otherwise no field.
    Stream,
}

impl ResponsePlan {
    /// The plan for a response with this `status` (200 to 999).
    ///
    /// `declared` is the Content-Length that the application gave, in bytes; `whole` is the length
    /// of the body, if all of it is known when the head leaves.
    pub fn of(
        is_head_request: bool,
        status: u16,
        declared: Option<u64>,
        whole: Option<u64>,
    ) -> Self {
        let (announced, is_bodiless) = match status {
            // > A server MUST NOT send a Content-Length header field in any response with a status
            // > code of 1xx (Informational) or 204 (No Content).
            // > — RFC 9110, 8.6 <https://www.rfc-editor.org/rfc/rfc9110#section-8.6>
            204 => (Announced::Nothing, true),
            // > a server MUST NOT generate content in a 205 response
            // > — RFC 9110, 15.3.6 <https://www.rfc-editor.org/rfc/rfc9110#section-15.3.6>
            205 => (Announced::Length(0), true),
            // > a server MUST NOT send Content-Length in such a response unless its field value
            // > equals the decimal number of octets that would have been sent in the content of a
            // > 200 (OK) response to the same request — RFC 9110, 8.6
            304 => (declared.map_or(Announced::Nothing, Announced::Length), true),
            _ => {
                let length = declared.or(whole);
                let announced = match length {
                    // That holds for HEAD, too: a body that the application has left out is not
                    // known to be empty.
                    Some(0) if is_head_request && declared.is_none() => Announced::Nothing,
                    Some(length) => Announced::Length(length),
                    None => Announced::Stream,
                };
                (announced, is_head_request)
            }
        };
        Self {
            announced,
            is_bodiless,
        }
    }

    /// The Content-Length of the head, in bytes.
    pub fn content_length(&self) -> Option<u64> {
        match self.announced {
            Announced::Length(length) => Some(length),
            Announced::Nothing | Announced::Stream => None,
        }
    }

    /// Bytes of body that must go out. `None` if the length is not known, or no body goes out.
    pub fn body_length(&self) -> Option<u64> {
        self.content_length().filter(|_| !self.is_bodiless)
    }
}

#[cfg(test)]
mod tests {
    use super::Announced::{Length, Nothing, Stream};
    use super::*;

    /// HEAD, status, declared, whole; what the head says, whether a body follows.
    type Case = (bool, u16, Option<u64>, Option<u64>, Announced, bool);

    const CASES: &[Case] = &[
        (false, 200, None, Some(5), Length(5), true),
        (false, 200, None, Some(0), Length(0), true),
        (false, 200, None, None, Stream, true),
        (false, 200, Some(5), None, Length(5), true),
        (false, 200, Some(0), None, Length(0), true),
        // The declared length wins; a body of another length is the application's error.
        (false, 200, Some(5), Some(9), Length(5), true),
        (false, 404, None, Some(5), Length(5), true),
        (false, 999, None, None, Stream, true),
        (true, 200, None, Some(5), Length(5), false),
        (true, 200, None, Some(0), Nothing, false),
        (true, 200, None, None, Stream, false),
        (true, 200, Some(9), Some(0), Length(9), false),
        (true, 200, Some(0), Some(0), Length(0), false),
        (true, 500, Some(9), None, Length(9), false),
        (false, 204, None, None, Nothing, false),
        (false, 204, Some(5), Some(5), Nothing, false),
        (true, 204, Some(5), None, Nothing, false),
        (false, 205, None, None, Length(0), false),
        (false, 205, Some(5), Some(5), Length(0), false),
        (true, 205, Some(5), None, Length(0), false),
        (false, 304, None, None, Nothing, false),
        (false, 304, None, Some(5), Nothing, false),
        (false, 304, Some(5), Some(0), Length(5), false),
        (true, 304, Some(5), None, Length(5), false),
    ];

    #[test]
    fn every_case() {
        for &(is_head, status, declared, whole, announced, has_body) in CASES {
            let plan = ResponsePlan::of(is_head, status, declared, whole);
            let case = format!("HEAD {is_head}, {status}, {declared:?}, {whole:?}");
            assert_eq!(plan.announced, announced, "{case}");
            assert_eq!(plan.is_bodiless, !has_body, "{case}");
            let length = match announced {
                Length(length) => Some(length),
                Nothing | Stream => None,
            };
            assert_eq!(plan.content_length(), length, "{case}");
            assert_eq!(plan.body_length(), length.filter(|_| has_body), "{case}");
        }
    }

    #[test]
    fn what_has_a_body_says_how_it_ends() {
        for status in 200..=999 {
            for declared in [None, Some(0), Some(5)] {
                for whole in [None, Some(0), Some(5)] {
                    let plan = ResponsePlan::of(false, status, declared, whole);
                    assert!(plan.is_bodiless || plan.announced != Nothing, "{status}");
                    let head = ResponsePlan::of(true, status, declared, whole);
                    assert!(head.is_bodiless, "{status}");
                }
            }
        }
    }
}
