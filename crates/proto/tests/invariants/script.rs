//! The invariant of a connection: operations in any order, against a record of what was answered.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use granian_proto::{Content, Event, PeerError, ResponseHead, SendError, Timeout, Trailers, h1};
use httparse::{EMPTY_HEADER, Response, Status};

use super::small_options;
use crate::driver::DATE;

/// Whatever the peer, the application and the clock do, what goes out is a row of well-formed
/// responses, at most one for each request, and none behind the last one.
pub(crate) fn connection(data: &[u8]) {
    let mut script = Script::new();
    let mut rest = data;
    while let [operation, tail @ ..] = rest {
        rest = script.step(*operation, tail);
        script.check_closing();
    }
    check_output(&script.output, &script.answers);
}

/// A response as it was asked for.
struct Answer {
    is_head: bool,
    status: u16,
    body: u64,
    is_ended: bool,
}

struct Script {
    connection: h1::Connection,
    now: Instant,
    input: BytesMut,
    output: Vec<u8>,
    answers: Vec<Answer>,
    /// Requests and refusals.
    questions: usize,
    is_head: bool,
    is_refused: bool,
}

impl Script {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            connection: h1::Connection::new(small_options(), now),
            now,
            input: BytesMut::new(),
            output: Vec::new(),
            answers: Vec::new(),
            questions: 0,
            is_head: false,
            is_refused: false,
        }
    }

    /// Does one operation; returns the operations left.
    fn step<'a>(&mut self, operation: u8, rest: &'a [u8]) -> &'a [u8] {
        let argument = rest.first().copied().unwrap_or_default();
        match operation % 16 {
            0..=2 => {
                let wire = REQUESTS[usize::from(argument) % REQUESTS.len()];
                self.input.extend_from_slice(wire);
                return rest.get(1..).unwrap_or_default();
            }
            3 => {
                let (bytes, tail) = rest.split_at(usize::from(operation / 16).min(rest.len()));
                self.input.extend_from_slice(bytes);
                return tail;
            }
            4..=6 => self.poll(),
            7 => {
                if let Some(event) = self.connection.handle_eof(&self.input) {
                    self.note(&event);
                }
            }
            8 => {
                self.now += Duration::from_secs(u64::from(operation / 16) * 8);
                self.handle_timeout();
            }
            9 | 10 => {
                self.send_head(argument);
                return rest.get(1..).unwrap_or_default();
            }
            11 => self.send_data(u64::from(operation / 16)),
            12 | 13 => self.send_end(operation / 16),
            14 => match operation / 16 {
                0..=7 => self.connection.send_continue(&mut self.output),
                8 => self.connection.disable_keep_alive(),
                _ => {
                    let mut head = ResponseHead::informational(103).unwrap();
                    head.append(b"link", b"</a>; rel=preload").unwrap();
                    let _ = self.connection.send_informational(&head, &mut self.output);
                }
            },
            _ => self.send_upgrade(operation / 16),
        }
        rest
    }

    fn poll(&mut self) {
        let was_closing = self.connection.is_closing();
        if let Some(event) = self.connection.poll_event(self.now, &mut self.input) {
            assert!(!was_closing, "nothing is received behind the end");
            self.note(&event);
        }
    }

    fn note(&mut self, event: &Event) {
        assert!(!self.is_refused, "nothing follows a refusal");
        match event {
            Event::Request(request) => {
                assert!(self.answers.iter().all(|answer| answer.is_ended));
                assert_eq!(self.answers.len(), self.questions, "one response at a time");
                self.questions += 1;
                self.is_head = request.head.method() == "HEAD";
            }
            Event::Refused(error) => self.refuse(*error),
            Event::Data(data) => assert!(!data.is_empty()),
            Event::End(_) => {}
        }
    }

    fn refuse(&mut self, error: PeerError) {
        self.is_refused = true;
        let before = self.output.len();
        self.connection.send_refusal(error, DATE, &mut self.output);
        assert!(self.connection.is_closing() || self.connection.is_upgraded());
        if self.output.len() > before {
            let status = error.status();
            self.answers.push(Answer {
                is_head: false,
                status,
                body: 0,
                is_ended: true,
            });
        }
    }

    fn handle_timeout(&mut self) {
        match self.connection.handle_timeout(self.now) {
            Some(Timeout::Idle) => assert!(self.connection.is_closing()),
            Some(Timeout::Refuse(error)) => {
                assert_eq!(error.status(), 408);
                self.refuse(error);
            }
            None => {}
        }
        assert!(
            self.connection
                .poll_timeout()
                .is_none_or(|deadline| deadline > self.now)
        );
    }

    fn send_head(&mut self, argument: u8) {
        let status = [200, 204, 205, 304, 404, 999][usize::from(argument) % 6];
        let mut head = ResponseHead::new(status).unwrap();
        head.append(b"X-Name", b"value").unwrap();
        if argument & 0x40 != 0 {
            head.append(b"content-length", b"12").unwrap();
        }
        if argument & 0x80 != 0 {
            head.append(b"connection", b"close").unwrap();
        }
        let content = match argument >> 4 & 3 {
            0 => Content::None,
            1 => Content::Length(12),
            _ => Content::Stream,
        };
        let before = self.output.len();
        match self
            .connection
            .send_head(&head, content, DATE, &mut self.output)
        {
            Ok(()) => {
                let is_head = self.is_head;
                self.answers.push(Answer {
                    is_head,
                    status,
                    body: 0,
                    is_ended: false,
                });
            }
            Err(_) => assert_eq!(self.output.len(), before, "a failed head leaves nothing"),
        }
    }

    fn send_data(&mut self, len: u64) {
        if let Ok(count) = self.connection.begin_data(len, &mut self.output) {
            assert!(count == len || count == 0);
            self.output.resize(self.output.len() + count as usize, b'x');
            self.connection.end_data(&mut self.output);
            self.answers.last_mut().unwrap().body += count;
        }
    }

    fn send_end(&mut self, argument: u8) {
        let mut trailers = Trailers::new();
        trailers.append(b"x-trailer", b"value").unwrap();
        let trailers = (argument & 1 == 0).then_some(&trailers);
        match self.connection.send_end(trailers, &mut self.output) {
            Ok(()) => {
                assert!(self.connection.is_response_complete());
                self.answers.last_mut().unwrap().is_ended = true;
            }
            Err(SendError::TooLittleBody) => assert!(self.connection.is_closing()),
            Err(_) => {}
        }
    }

    fn send_upgrade(&mut self, argument: u8) {
        if argument == 0 {
            let head = ResponseHead::switching_protocols();
            let sent = self
                .connection
                .send_upgrade(&head, "websocket", DATE, &mut self.output);
            assert_eq!(sent.is_ok(), self.connection.is_upgraded() && sent.is_ok());
        }
    }

    fn check_closing(&mut self) {
        if self.connection.is_closing() || self.connection.is_upgraded() {
            let before = self.output.len();
            self.poll();
            self.send_data(3);
            self.connection.end_data(&mut self.output);
            self.connection.send_continue(&mut self.output);
            assert_eq!(self.output.len(), before, "nothing goes out behind the end");
            assert_eq!(self.connection.poll_timeout(), None);
        }
        assert!(!self.connection.is_idle() || self.connection.is_response_complete());
        assert!(self.answers.len() <= self.questions + usize::from(self.is_refused));
    }
}

fn check_output(mut output: &[u8], answers: &[Answer]) {
    let mut answers = answers.iter();
    while !output.is_empty() {
        let mut slots = [EMPTY_HEADER; 16];
        let mut head = Response::new(&mut slots);
        let Ok(Status::Complete(len)) = head.parse(output) else {
            panic!("not a response: {}", output.escape_ascii());
        };
        output = &output[len..];
        match head.code {
            Some(101) => assert!(output.is_empty(), "the engine is done"),
            Some(100..=199) => {}
            code => {
                let answer = answers.next().unwrap();
                assert_eq!(code, Some(answer.status));
                output = check_body(&head, output, answer);
                assert!(answer.is_ended || output.is_empty());
            }
        }
    }
    assert!(answers.next().is_none(), "every answer is in the output");
}

/// Returns what follows the body.
fn check_body<'a>(head: &Response<'_, '_>, output: &'a [u8], answer: &Answer) -> &'a [u8] {
    let field = |name: &str| {
        let mut fields = head.headers.iter().filter(|field| field.name == name);
        let value = fields.next().map(|field| field.value);
        assert!(fields.next().is_none(), "{name} twice");
        value
    };
    let (length, coding) = (field("content-length"), field("transfer-encoding"));
    assert!(length.is_none() || coding.is_none());
    if answer.is_head || [204, 205, 304].contains(&answer.status) {
        assert_eq!(answer.body, 0);
        return output;
    }
    if coding.is_some() {
        let (body, rest) = chunked(output, answer.is_ended);
        assert_eq!(body, answer.body);
        return rest;
    }
    let Some(length) = length else {
        assert_eq!(field("connection"), Some(&b"close"[..]));
        assert_eq!(output.len() as u64, answer.body);
        return &[];
    };
    let length: u64 = std::str::from_utf8(length).unwrap().parse().unwrap();
    assert!(if answer.is_ended {
        answer.body == length
    } else {
        answer.body <= length
    });
    &output[answer.body as usize..]
}

/// The length of a chunked body, and what follows it.
fn chunked(mut output: &[u8], is_ended: bool) -> (u64, &[u8]) {
    let mut body = 0;
    while !output.is_empty() {
        let Ok(Status::Complete((len, size))) = httparse::parse_chunk_size(output) else {
            panic!("not a chunk: {}", output.escape_ascii());
        };
        output = &output[len..];
        if size == 0 {
            let trailers = [&b"x-trailer: value\r\n\r\n"[..], b"\r\n"];
            let trailers = trailers
                .iter()
                .find(|trailers| output.starts_with(trailers))
                .unwrap();
            return (body, &output[trailers.len()..]);
        }
        assert_eq!(&output[size as usize..][..2], b"\r\n");
        output = &output[size as usize + 2..];
        body += size;
    }
    assert!(!is_ended);
    (body, output)
}

const REQUESTS: [&[u8]; 13] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHo",
];
