//! `Template`: the format of a line, Python's `%` with names, or an object of JSON with a member for each name.

use std::ops::Range;

use super::atom::{Atom, Context};
use super::clock::Second;
use super::escape::push_json;
use super::forms::{Json, Plain, Shaped, Spec, push_fraction, push_whole};
use crate::exchange::record::{Interest, Record};

/// See the module's documentation.
pub struct Template {
    parts: Vec<Part>,
    /// What is between the values.
    literals: Vec<u8>,
    style: Style,
    /// Each atom once, as a member of the object: what is in front of its value, and the atom.
    members: Vec<(Box<[u8]>, Atom)>,
}

/// The form of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As the format says.
    Text,
    /// One object of JSON a line, whose members are the atoms of the format.
    Json,
}

/// A step of a line of text. Small, as every line goes through all of them.
enum Part {
    /// A piece of `Template::literals`.
    Literal(Range<u32>),
    /// An atom whose value is written as it is.
    Plain(Atom),
    Shaped(Box<(Atom, Spec)>),
}

impl Template {
    /// The template of a `format`; `None` for one that only Python understands.
    pub fn parse(format: &str, style: Style) -> Option<Self> {
        let mut parts = Parts::default();
        let mut rest = format;
        while let Some((before, behind)) = rest.split_once('%') {
            parts.push_literal(before);
            if let Some(behind) = behind.strip_prefix('%') {
                parts.push_literal("%");
                rest = behind;
                continue;
            }
            let (name, behind) = behind.strip_prefix('(')?.split_once(')')?;
            let (spec, behind) = Spec::parse(behind)?;
            parts.push_atom(Atom::parse(name)?, spec);
            rest = behind;
        }
        parts.push_literal(rest);
        let Parts { parts, literals } = parts;
        let members = members(&parts);
        Some(Self {
            parts,
            literals,
            style,
            members,
        })
    }

    /// What lines have of answers.
    pub fn interest(&self) -> Interest {
        let mut interest = Interest::default();
        for (_, atom) in &self.members {
            interest.responses |= matches!(atom, Atom::ResponseHeader(_));
            interest.first_byte |= *atom == Atom::TtfbMs;
        }
        interest
    }

    /// Appends the line about `record`, which ends at `second` and `millis`.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        context: &Context,
        (second, millis): (&Second, u32),
    ) {
        match self.style {
            Style::Text => self.write_text(out, record, context, second),
            Style::Json => {
                out.extend_from_slice(b"{\"time\":\"");
                out.extend_from_slice(second.iso.as_bytes());
                push_fraction(out, millis);
                out.extend_from_slice(second.offset.as_bytes());
                out.extend_from_slice(
                    b"\",\"level\":\"info\",\"logger\":\"granian.access\",\"process\":",
                );
                push_whole(out, context.pid.into());
                out.extend_from_slice(b",\"worker\":");
                push_whole(out, context.worker.into());
                self.write_members(out, record, context, second);
                out.push(b'}');
            }
        }
        out.push(b'\n');
    }

    fn write_text(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        context: &Context,
        second: &Second,
    ) {
        for part in &self.parts {
            match part {
                Part::Literal(piece) => {
                    let piece = piece.start as usize..piece.end as usize;
                    out.extend_from_slice(self.literals.get(piece).unwrap_or_default());
                }
                Part::Plain(atom) => atom.write(&mut Plain(out), record, context, second),
                Part::Shaped(of) => {
                    let (atom, spec) = &**of;
                    let mut shaped = Shaped::new(out, *spec);
                    atom.write(&mut shaped, record, context, second);
                    shaped.finish();
                }
            }
        }
    }

    fn write_members(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        context: &Context,
        second: &Second,
    ) {
        let mut is_open = false;
        for (front, atom) in &self.members {
            // Headers are members of an object of their own, at the end.
            if is_open && front.starts_with(RESPONSE_HEADERS) {
                out.push(b'}');
            }
            is_open = matches!(atom, Atom::Header(_) | Atom::ResponseHeader(_));
            out.extend_from_slice(front);
            atom.write(&mut Json(out), record, context, second);
        }
        if is_open {
            out.push(b'}');
        }
    }
}

/// A format on its way to a template.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    literals: Vec<u8>,
}

impl Parts {
    fn push_literal(&mut self, text: &str) {
        // A format has the length of an argument of a process at most.
        let start = self.literals.len() as u32;
        self.literals.extend_from_slice(text.as_bytes());
        let end = self.literals.len() as u32;
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Literal(piece)) => piece.end = end,
            _ => self.parts.push(Part::Literal(start..end)),
        }
    }

    fn push_atom(&mut self, atom: Atom, spec: Spec) {
        let is_time = matches!(atom, Atom::DtMs | Atom::TtfbMs | Atom::WaitMs);
        self.parts.push(match spec.is_plain(is_time) {
            true => Part::Plain(atom),
            false => Part::Shaped(Box::new((atom, spec))),
        });
    }
}

impl Part {
    fn atom(&self) -> Option<&Atom> {
        match self {
            Self::Literal(_) => None,
            Self::Plain(atom) => Some(atom),
            Self::Shaped(shaped) => Some(&shaped.0),
        }
    }
}

/// See `Template::members`. Those in front of all others are left out.
fn members(parts: &[Part]) -> Vec<(Box<[u8]>, Atom)> {
    let mut plain: Vec<(Box<[u8]>, Atom)> = Vec::new();
    let mut headers: [Vec<Atom>; 2] = Default::default();
    for part in parts {
        let Some(atom) = part.atom() else { continue };
        match atom {
            Atom::Time | Atom::Worker | Atom::Pid => {}
            Atom::Header(_) => headers[0].push(atom.clone()),
            Atom::ResponseHeader(_) => headers[1].push(atom.clone()),
            _ => {
                let front = format!(",\"{}\":", atom.name());
                plain.push((front.into_bytes().into(), atom.clone()));
            }
        }
    }
    for (object, atoms) in ["request_headers", "response_headers"].iter().zip(headers) {
        for (at, atom) in atoms.into_iter().enumerate() {
            let mut front = match at {
                0 => format!(",\"{object}\":{{").into_bytes(),
                _ => vec![b','],
            };
            push_json(&mut front, atom.name());
            front.push(b':');
            plain.push((front.into(), atom));
        }
    }
    let mut seen: Vec<Atom> = Vec::new();
    plain.retain(|(_, atom)| {
        let is_new = !seen.contains(atom);
        seen.push(atom.clone());
        is_new
    });
    plain
}

/// The front of the first one of the answer's headers.
const RESPONSE_HEADERS: &[u8] = b",\"response_headers\":{";
#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use granian_proto::{RequestHeadBuilder, ResponseHead, Version};

    use super::super::clock::Clock;
    use super::*;
    use crate::exchange::messages::MessageQueue;
    use crate::exchange::record::KeptRecord;
    use crate::service::Service;
    use crate::testing::{Bench, peer};

    const CONTEXT: Context = Context {
        worker: 2,
        pid: 1234,
    };

    /// The record of a POST that was answered with 201, after a call of 1.5 ms.
    fn record(path: &str, agent: &str) -> KeptRecord {
        let bench = Bench::new();
        let mut head = RequestHeadBuilder::new(Version::Http11, "POST", path.as_bytes());
        head.append(b"user-agent", agent.as_bytes());
        head.append(b"x-two", b"1");
        head.append(b"x-two", b"2");
        head.append(b"x-empty", b"");
        let service: &Service = &bench.service;
        let exchange = service.receive(head.build().into(), &peer(), true, Instant::now());
        exchange.note_answer();
        exchange.push_body(Bytes::from_static(b"12345"));
        let mut head = ResponseHead::new(201).unwrap();
        head.append(b"x-cache", b"hit").unwrap();
        exchange.send_whole(head, Bytes::from_static(b"hello, you"));
        let answer = exchange.end_answer().unwrap();
        let answer = answer.lasting(Duration::from_micros(1500));
        KeptRecord::of(&exchange.record(&answer))
    }

    fn line_of(record: &KeptRecord, format: &str, style: Style) -> String {
        let template = Template::parse(format, style).unwrap();
        let mut clock = Clock::default();
        let mut out = Vec::new();
        let now = clock.at(Instant::now());
        template.write(&mut out, &record.get(), &CONTEXT, now);
        assert_eq!(out.pop(), Some(b'\n'));
        String::from_utf8(out).unwrap()
    }

    fn line(format: &str) -> String {
        line_of(&record("/a%20b?q=1", "curl/8"), format, Style::Text)
    }

    #[test]
    fn atoms() {
        for (format, expected) in [
            ("%(addr)s", "127.0.0.1"),
            ("%(method)s %(path)s %(protocol)s", "POST /a b HTTP/1.1"),
            ("%(query_string)s %(scheme)s", "q=1 http"),
            (
                "%(status)d %(status)s %(status)6d|%(status)-6d|%(status)06d",
                "201 201    201|201   |000201",
            ),
            (
                "%(dt_ms).3f %(dt_ms).1f %(dt_ms)d %(dt_ms)s %(dt_ms)f",
                "1.500 1.5 1 1.5 1.500000",
            ),
            (
                "%(body_bytes)d %(request_bytes)d %(body_bytes).1f",
                "10 5 10.0",
            ),
            (
                "%(tls)s %(connection)s %(worker)d %(pid)d",
                "- 1234-1 2 1234",
            ),
            ("%(request_id)s %(reason)s %(close_code)s", "- - -"),
            ("%(header{User-Agent})s|%(header{x-two})s", "curl/8|1, 2"),
            (
                "%(header{X-Empty})s|%(header{X-None})s|%(header{user-agent}).2s",
                "-|-|cu",
            ),
            ("%(response_header{X-Cache})s", "hit"),
            ("100%% %(status)s%%", "100% 201%"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(line(format), expected, "{format}");
        }
        assert_eq!(line("%(time)s").len(), "2001-09-09 01:46:40 +0000".len());
    }

    #[test]
    fn formats_for_python_alone() {
        for format in [
            "%(path)r",
            "%(status)x",
            "%(status)+d",
            "%(nonsense)s",
            "%d",
            "%(addr",
            "%(addr)",
            "%",
            "%(status)9999d",
        ] {
            assert!(Template::parse(format, Style::Text).is_none(), "{format}");
        }
    }

    #[test]
    fn nobody_forges_a_line_or_a_member() {
        let record = record("/a%0aINJECTED%22%5c?a\"b", "x\" 500 \"y\\\u{85}");
        let format = "\"%(path)s\" \"%(query_string)s\" \"%(header{user-agent})s\"";
        let text = line_of(&record, format, Style::Text);
        assert_eq!(
            text,
            "\"/a\\nINJECTED\\\"\\\\\" \"a\\\"b\" \"x\\\" 500 \\\"y\\\\\u{c2}\\x85\""
        );
        let json = line_of(&record, format, Style::Json);
        assert!(
            json.ends_with(
                ",\"path\":\"/a\\nINJECTED\\\"\\\\\",\"query_string\":\"a\\\"b\",\
             \"request_headers\":{\"user-agent\":\"x\\\" 500 \\\"y\\\\\u{c2}\\u0085\"}}"
            ),
            "{json}"
        );
    }

    #[test]
    fn members_have_types() {
        let record = record("/", "curl/8");
        let format =
            "%(time)s %(status)s %(status)d %(dt_ms).1f %(tls)s %(response_header{X-Cache})s";
        let json = line_of(&record, format, Style::Json);
        assert!(json.starts_with("{\"time\":\"2"), "{json}");
        assert!(json.contains(
            ",\"level\":\"info\",\"logger\":\"granian.access\",\"process\":1234,\"worker\":2,\
             \"status\":201,\"dt_ms\":1.500,\"tls\":null,\"response_headers\":{\"x-cache\":\"hit\"}}"
        ), "{json}");
    }

    /// `cargo test --release -p granian-net a_line_costs -- --ignored --nocapture`
    #[test]
    #[ignore = "measures"]
    fn a_line_costs_less_than_a_microsecond() {
        use crate::log::{Destination, Lines};

        let null = std::fs::File::options()
            .write(true)
            .open("/dev/null")
            .unwrap();
        let record = record("/items/42?q=1", "curl/8.5.0");
        for (style, format) in [
            (
                Style::Text,
                "[%(time)s] %(addr)s - \"%(method)s %(path)s %(protocol)s\" %(status)d %(dt_ms).3f",
            ),
            (
                Style::Json,
                "%(addr)s %(dt_ms)s %(status)s %(path)s %(method)s %(scheme)s %(protocol)s %(body_bytes)s \
             %(request_bytes)s %(ttfb_ms)s %(wait_ms)s %(tls)s %(connection)s %(request_id)s %(reason)s %(close_code)s",
            ),
        ] {
            let template = Template::parse(format, style).unwrap();
            let descriptor = null.try_clone().unwrap().into();
            let lines = Lines::new(Destination::Descriptor(descriptor), style).unwrap();
            let mut spent = Duration::ZERO;
            for _ in 0..100 {
                let begun = Instant::now();
                for _ in 0..1000 {
                    let record = record.get();
                    lines.add(|line, clock| {
                        let now = clock.at(record.answer.ended);
                        template.write(line, &record, &CONTEXT, now);
                    });
                }
                spent += begun.elapsed();
                lines.flush(Duration::from_secs(10));
            }
            println!("{style:?}: {} ns a line", spent.as_nanos() / 100_000);
        }
    }

    #[test]
    fn headers_have_objects_of_their_own() {
        let record = record("/", "curl/8");
        let format = "%(header{Referer})s %(header{user-agent})s %(header{Referer})s %(response_header{x-cache})s \
                      %(reason)s %(response_header{retry-after})s";
        let json = line_of(&record, format, Style::Json);
        assert!(
            json.ends_with(
                ",\"reason\":null,\"request_headers\":{\"referer\":null,\"user-agent\":\"curl/8\"},\
             \"response_headers\":{\"x-cache\":\"hit\",\"retry-after\":null}}"
            ),
            "{json}"
        );
    }

    #[test]
    fn ends_of_websockets() {
        let messages = Arc::new(MessageQueue::new(1000, 1000));
        messages.close(1001, Bytes::new());
        let mut record = record("/ws", "");
        record.answer.close_code = messages.ended().map(|ended| ended.code);
        assert_eq!(line_of(&record, "%(close_code)s", Style::Text), "1001");
        assert!(line_of(&record, "%(close_code)s", Style::Json).ends_with(",\"close_code\":1001}"));
    }
}
