//! `Form`: how values stand in a line: as they are, in JSON, or as a conversion of Python's `%` has them.

use std::io::Write;
use std::time::Duration;

use super::escape::{push_json, push_text};

/// A form in which values are written.
pub(super) trait Form {
    /// A text of anybody's.
    fn text(&mut self, text: &str);

    /// A text that needs no escape.
    fn plain(&mut self, text: &[u8]);

    /// An address, with dots.
    fn ip4(&mut self, octets: [u8; 4]);

    /// A text that is not there.
    fn nothing(&mut self);

    fn whole(&mut self, number: u64);

    /// As milliseconds.
    fn time(&mut self, time: Duration);
}

/// A conversion: `%(name)` and this.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Spec {
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

impl Spec {
    /// The conversion that `text` begins with, and the rest.
    pub(super) fn parse(text: &str) -> Option<(Self, &str)> {
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

    /// True for a conversion that leaves values as they are, those of times or those of others.
    pub(super) fn is_plain(self, is_time: bool) -> bool {
        let is_as_it_is = match is_time {
            true => self.is_thousandths(),
            false => self.precision.is_none() && self.conversion != Conversion::Real,
        };
        is_as_it_is && self.width == 0
    }

    /// Times are written so unless they are asked for otherwise.
    fn is_thousandths(self) -> bool {
        self.conversion == Conversion::Real && self.precision == Some(3)
    }
}

/// Values as they are.
pub(super) struct Plain<'a>(pub(super) &'a mut Vec<u8>);

impl Form for Plain<'_> {
    fn text(&mut self, text: &str) {
        push_text(self.0, text);
    }

    fn plain(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    fn ip4(&mut self, octets: [u8; 4]) {
        push_ip4(self.0, octets);
    }

    fn nothing(&mut self) {
        self.0.push(b'-');
    }

    fn whole(&mut self, number: u64) {
        push_whole(self.0, number);
    }

    fn time(&mut self, time: Duration) {
        push_millis(self.0, time);
    }
}

/// Values of JSON.
pub(super) struct Json<'a>(pub(super) &'a mut Vec<u8>);

impl Form for Json<'_> {
    fn text(&mut self, text: &str) {
        push_json(self.0, text);
    }

    fn plain(&mut self, text: &[u8]) {
        self.0.push(b'"');
        self.0.extend_from_slice(text);
        self.0.push(b'"');
    }

    fn ip4(&mut self, octets: [u8; 4]) {
        self.0.push(b'"');
        push_ip4(self.0, octets);
        self.0.push(b'"');
    }

    fn nothing(&mut self) {
        self.0.extend_from_slice(b"null");
    }

    fn whole(&mut self, number: u64) {
        push_whole(self.0, number);
    }

    fn time(&mut self, time: Duration) {
        push_millis(self.0, time);
    }
}

/// A value as a conversion has it.
pub(super) struct Shaped<'a> {
    out: &'a mut Vec<u8>,
    spec: Spec,
    start: usize,
    is_number: bool,
}

impl<'a> Shaped<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, spec: Spec) -> Self {
        Self {
            start: out.len(),
            out,
            spec,
            is_number: false,
        }
    }

    /// Cuts and pads what was written.
    pub(super) fn finish(self) {
        let Self { out, spec, .. } = self;
        if spec.conversion == Conversion::Text
            && let Some(most) = spec.precision
        {
            cut(out, self.start, most);
        }
        let missing = spec
            .width
            .saturating_sub(characters(&out[self.start..]).count());
        if missing == 0 {
            return;
        }
        if spec.is_left {
            out.extend(std::iter::repeat_n(b' ', missing));
            return;
        }
        let takes_zeros = self.is_number && spec.conversion != Conversion::Text;
        let filler = if spec.has_zeros && takes_zeros {
            b'0'
        } else {
            b' '
        };
        let filler = std::iter::repeat_n(filler, missing);
        out.splice(self.start..self.start, filler);
    }
}

impl Form for Shaped<'_> {
    fn text(&mut self, text: &str) {
        push_text(self.out, text);
    }

    fn plain(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    fn ip4(&mut self, octets: [u8; 4]) {
        push_ip4(self.out, octets);
    }

    fn nothing(&mut self) {
        self.out.push(b'-');
    }

    fn whole(&mut self, number: u64) {
        self.is_number = true;
        push_whole(self.out, number);
        if self.spec.conversion == Conversion::Real {
            let precision = self.spec.precision.unwrap_or(6);
            let _ = write!(self.out, ".{:0<precision$}", "");
        }
    }

    fn time(&mut self, time: Duration) {
        self.is_number = true;
        if self.spec.is_thousandths() {
            return push_millis(self.out, time);
        }
        let (out, number) = (&mut *self.out, time.as_secs_f64() * 1000.0);
        // To memory, which takes all.
        let _ = match self.spec.conversion {
            Conversion::Text => write!(out, "{number:?}"),
            Conversion::Whole => write!(out, "{}", number.trunc()),
            Conversion::Real => write!(out, "{number:.*}", self.spec.precision.unwrap_or(6)),
        };
    }
}

pub(super) fn push_whole(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=9 => out.push(b'0' + number as u8),
        100..=999 => out.extend_from_slice(&digits(number as u32)),
        _ => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

fn push_ip4(out: &mut Vec<u8>, octets: [u8; 4]) {
    let mut text = [b'.'; 16];
    let mut end = 0;
    for octet in octets {
        let [hundreds, tens, ones] = digits(octet.into());
        if octet >= 100 {
            text[end] = hundreds;
            end += 1;
        }
        if octet >= 10 {
            text[end] = tens;
            end += 1;
        }
        text[end] = ones;
        end += 2;
    }
    out.extend_from_slice(&text[..end - 1]);
}

/// Milliseconds with three digits behind the point; faster than `{:.3}`.
fn push_millis(out: &mut Vec<u8>, time: Duration) {
    let rounded = (u64::from(time.subsec_nanos()) + 500) / 1000;
    let micros = time
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(rounded);
    push_whole(out, micros / 1000);
    push_fraction(out, (micros % 1000) as u32);
}

/// The point, and a number below a thousand in three digits.
pub(super) fn push_fraction(out: &mut Vec<u8>, thousandths: u32) {
    let [first, second, third] = digits(thousandths);
    out.extend_from_slice(&[b'.', first, second, third]);
}

/// The three digits of a number below a thousand.
fn digits(number: u32) -> [u8; 3] {
    [100, 10, 1].map(|power| b'0' + (number / power % 10) as u8)
}

/// Where the characters begin.
fn characters(text: &[u8]) -> impl Iterator<Item = usize> {
    let starts = text.iter().enumerate();
    starts.filter_map(|(at, byte)| (byte & 0xc0 != 0x80).then_some(at))
}

/// Leaves `most` characters behind `start`.
fn cut(out: &mut Vec<u8>, start: usize, most: usize) {
    let end = characters(&out[start..]).nth(most);
    if let Some(at) = end {
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

/// Most characters that a value is padded to.
const WIDEST: usize = 1000;
