//! `Template`: the format of a line, Python's `%` with names, or an object of JSON with a member for each name.

use std::fmt::Write;

use super::atom::{Atom, Context, Value};
use super::clock::Second;
use super::escape::{push_json, push_text};
use crate::exchange::record::Record;

/// See the module's documentation.
pub struct Template {
    parts: Vec<Part>,
    style: Style,
    /// Each atom once, as a member of the object: what is in front of its value, and the atom.
    members: Vec<(Box<str>, Atom)>,
}

/// The form of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As the format says.
    Text,
    /// One object of JSON a line, whose members are the atoms of the format.
    Json,
}

enum Part {
    Literal(Box<str>),
    Atom(Atom, Spec),
}

/// A conversion: `%(name)` and this.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Spec {
    is_left: bool,
    has_zeros: bool,
    width: usize,
    precision: Option<usize>,
    conversion: Conversion,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Conversion {
    #[default]
    Text,
    Whole,
    Real,
}

impl Template {
    /// The template of a `format`; `None` for one that only Python understands.
    pub fn parse(format: &str, style: Style) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = format;
        let mut literal = String::new();
        while let Some((before, behind)) = rest.split_once('%') {
            literal.push_str(before);
            if let Some(behind) = behind.strip_prefix('%') {
                literal.push('%');
                rest = behind;
                continue;
            }
            let (name, behind) = behind.strip_prefix('(')?.split_once(')')?;
            let (spec, behind) = Spec::parse(behind)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Atom(Atom::parse(name)?, spec));
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        let members = members(&parts);
        Some(Self {
            parts,
            style,
            members,
        })
    }

    /// True if lines have fields of answers.
    pub fn reads_response(&self) -> bool {
        let mut atoms = self.members.iter().map(|(_, atom)| atom);
        atoms.any(|atom| matches!(atom, Atom::ResponseHeader(_)))
    }

    /// Appends the line about `record`, which ends at `second` and `millis`.
    pub fn write(
        &self,
        out: &mut String,
        record: &Record,
        context: &Context,
        (second, millis): (&Second, u32),
    ) {
        match self.style {
            Style::Text => self.write_text(out, record, context, second),
            Style::Json => {
                out.push_str("{\"time\":\"");
                out.push_str(&second.iso);
                out.push('.');
                push_padded(out, millis);
                out.push_str(&second.offset);
                out.push_str("\",\"level\":\"info\",\"logger\":\"granian.access\",\"process\":");
                push_whole(out, context.pid.into());
                out.push_str(",\"worker\":");
                push_whole(out, context.worker.into());
                self.write_members(out, record, context, second);
                out.push('}');
            }
        }
        out.push('\n');
    }

    fn write_text(&self, out: &mut String, record: &Record, context: &Context, second: &Second) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Atom(atom, spec) => spec.write(out, &atom.value(record, context, second)),
            }
        }
    }

    fn write_members(&self, out: &mut String, record: &Record, context: &Context, second: &Second) {
        let mut is_open = false;
        for (front, atom) in &self.members {
            // Headers are members of an object of their own, at the end.
            if is_open && front.starts_with(RESPONSE_HEADERS) {
                out.push('}');
            }
            is_open = matches!(atom, Atom::Header(_) | Atom::ResponseHeader(_));
            out.push_str(front);
            push_value(out, &atom.value(record, context, second));
        }
        if is_open {
            out.push('}');
        }
    }
}

/// See `Template::members`. Those in front of all others are left out.
fn members(parts: &[Part]) -> Vec<(Box<str>, Atom)> {
    let mut plain: Vec<(Box<str>, Atom)> = Vec::new();
    let mut headers: [Vec<Atom>; 2] = Default::default();
    for part in parts {
        match part {
            Part::Literal(_) | Part::Atom(Atom::Time | Atom::Worker | Atom::Pid, _) => {}
            Part::Atom(atom @ Atom::Header(_), _) => headers[0].push(atom.clone()),
            Part::Atom(atom @ Atom::ResponseHeader(_), _) => headers[1].push(atom.clone()),
            Part::Atom(atom, _) => {
                plain.push((format!(",\"{}\":", atom.name()).into(), atom.clone()))
            }
        }
    }
    for (object, atoms) in ["request_headers", "response_headers"].iter().zip(headers) {
        for (at, atom) in atoms.into_iter().enumerate() {
            let mut front = match at {
                0 => format!(",\"{object}\":{{"),
                _ => ",".to_owned(),
            };
            push_json(&mut front, atom.name());
            front.push(':');
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

impl Spec {
    /// The conversion that `text` begins with, and the rest.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let mut spec = Self::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next().filter(|char| "-0".contains(*char)) {
            spec.is_left |= flag == '-';
            spec.has_zeros |= flag == '0';
            rest = &rest[1..];
        }
        (spec.width, rest) = number(rest);
        if let Some(behind) = rest.strip_prefix('.') {
            let (precision, behind) = number(behind);
            spec.precision = Some(precision);
            rest = behind;
        }
        let conversion = rest.chars().next()?;
        spec.conversion = match conversion {
            's' => Conversion::Text,
            'd' | 'i' if spec.precision.is_none() => Conversion::Whole,
            'f' => Conversion::Real,
            _ => return None,
        };
        let is_bounded = spec.width <= WIDEST && spec.precision.is_none_or(|most| most <= WIDEST);
        is_bounded.then(|| (spec, &rest[1..]))
    }

    fn write(self, out: &mut String, value: &Value<'_>) {
        let start = out.len();
        let is_number = match value {
            Value::Nothing => {
                out.push('-');
                false
            }
            Value::Text(text) => {
                push_text(out, text);
                false
            }
            Value::Plain(text) => {
                out.push_str(text);
                false
            }
            Value::Ip4(octets) => {
                push_ip4(out, *octets);
                false
            }
            Value::Whole(number) => self.write_whole(out, *number),
            Value::Real(number) => self.write_real(out, *number),
        };
        if self.conversion == Conversion::Text
            && let Some(most) = self.precision
        {
            cut(out, start, most);
        }
        if self.width > 0 {
            self.pad(out, start, is_number && self.conversion != Conversion::Text);
        }
    }

    fn write_whole(self, out: &mut String, number: u64) -> bool {
        let _ = match self.conversion {
            Conversion::Text | Conversion::Whole => {
                push_whole(out, number);
                Ok(())
            }
            Conversion::Real => write!(out, "{number}.{:0<1$}", "", self.precision.unwrap_or(6)),
        };
        true
    }

    fn write_real(self, out: &mut String, number: f64) -> bool {
        let _ = match self.conversion {
            Conversion::Text => write!(out, "{number:?}"),
            Conversion::Whole => write!(out, "{}", number.trunc()),
            Conversion::Real if self.precision == Some(3) => {
                push_thousandths(out, number);
                Ok(())
            }
            Conversion::Real => write!(out, "{number:.*}", self.precision.unwrap_or(6)),
        };
        true
    }

    fn pad(self, out: &mut String, start: usize, takes_zeros: bool) {
        let length = out[start..].chars().count();
        let missing = self.width.saturating_sub(length);
        if missing == 0 {
            return;
        }
        if self.is_left {
            out.extend(std::iter::repeat_n(' ', missing));
        } else {
            let filler = if self.has_zeros && takes_zeros {
                "0"
            } else {
                " "
            };
            out.insert_str(start, &filler.repeat(missing));
        }
    }
}

fn push_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Nothing => out.push_str("null"),
        Value::Text(text) => push_json(out, text),
        Value::Plain(text) => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
        Value::Ip4(octets) => {
            out.push('"');
            push_ip4(out, *octets);
            out.push('"');
        }
        Value::Whole(number) => push_whole(out, *number),
        Value::Real(number) => push_thousandths(out, *number),
    }
}

fn push_whole(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

fn push_ip4(out: &mut String, octets: [u8; 4]) {
    for (at, octet) in octets.into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        push_whole(out, octet.into());
    }
}

/// With three digits behind the point; faster than `{:.3}`.
fn push_thousandths(out: &mut String, number: f64) {
    // A cast of what is too large, or no number, gives the nearest one.
    let thousandths = (number * 1000.0).round() as u64;
    push_whole(out, thousandths / 1000);
    out.push('.');
    push_padded(out, (thousandths % 1000) as u32);
}

/// A number below a thousand, in three digits.
fn push_padded(out: &mut String, number: u32) {
    for power in [100, 10, 1] {
        out.push(char::from(b'0' + (number / power % 10) as u8));
    }
}

/// Leaves `most` characters behind `start`.
fn cut(out: &mut String, start: usize, most: usize) {
    if let Some((at, _)) = out[start..].char_indices().nth(most) {
        out.truncate(start + at);
    }
}

/// The number that `text` begins with, 0 without one, and the rest.
fn number(text: &str) -> (usize, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    (
        number
            .parse()
            .unwrap_or(if digits > 0 { usize::MAX } else { 0 }),
        rest,
    )
}

/// The front of the first one of the answer's headers.
const RESPONSE_HEADERS: &str = ",\"response_headers\":{";
/// Most characters that a value is padded to.
const WIDEST: usize = 1000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use granian_proto::{RequestHeadBuilder, ResponseHead, Version};

    use super::super::clock::Clock;
    use super::*;
    use crate::exchange::messages::MessageQueue;
    use crate::service::Service;
    use crate::testing::{Bench, peer};

    const CONTEXT: Context = Context {
        worker: 2,
        pid: 1234,
    };

    /// The record of a POST that was answered with 201.
    fn record(path: &str, agent: &str) -> Record {
        let bench = Bench::new();
        let mut head = RequestHeadBuilder::new(Version::Http11, "POST", path.as_bytes());
        head.append(b"user-agent", agent.as_bytes());
        head.append(b"x-two", b"1");
        head.append(b"x-two", b"2");
        head.append(b"x-empty", b"");
        let service: &Service = &bench.service;
        let exchange = service.receive(head.build(), &peer(), true, std::time::Instant::now());
        exchange.begin_record(true);
        exchange.push_body(Bytes::from_static(b"12345"));
        let mut head = ResponseHead::new(201).unwrap();
        head.append(b"x-cache", b"hit").unwrap();
        exchange.send_whole(head, Bytes::from_static(b"hello, you"));
        let mut record = exchange.end_record().unwrap();
        record.duration = Duration::from_micros(1500);
        *record
    }

    fn line_of(record: &Record, format: &str, style: Style) -> String {
        let template = Template::parse(format, style).unwrap();
        let (second, millis) = Clock::default().now();
        let mut out = String::new();
        template.write(&mut out, record, &CONTEXT, (&second, millis));
        assert_eq!(out.pop(), Some('\n'));
        out
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
            let clock = Clock::default();
            let mut spent = Duration::ZERO;
            for _ in 0..100 {
                let begun = std::time::Instant::now();
                for _ in 0..1000 {
                    let (second, millis) = clock.now();
                    let now = (&*second, millis);
                    lines.add(|line| template.write(line, &record, &CONTEXT, now));
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
        record.close_code = messages.ended().map(|ended| ended.code);
        assert_eq!(line_of(&record, "%(close_code)s", Style::Text), "1001");
        assert!(line_of(&record, "%(close_code)s", Style::Json).ends_with(",\"close_code\":1001}"));
    }
}
