//! `Driver`: a connection that is fed bytes and answers every request the same way, and the
//! transcript of what came of them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use granian_proto::{BodyLength, Content, Event, PaceBounds, Request, ResponseHead, Trailers, h1};

pub(crate) const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// The limits of the server, as they are by default.
pub(crate) fn options() -> h1::Options {
    h1::Options {
        max_head_size: 417_792,
        max_target_size: 65_534,
        max_fields: 256,
        max_body_size: None,
        head_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(15),
        discard_timeout: Duration::from_secs(15),
        body_pace: PaceBounds {
            timeout: Duration::from_secs(60),
            min_rate: None,
        },
        keep_alive: true,
    }
}

/// When a request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Policy {
    /// When all of it is there.
    AtEnd,
    /// When its head is there, whatever comes of its body.
    AtRequest,
}

/// What comes of `pieces` and then the end, in a form that does not depend on where they are cut.
pub(crate) fn transcript(pieces: &[&[u8]], options: h1::Options, policy: Policy) -> String {
    let mut driver = Driver::new(options, policy);
    for piece in pieces {
        driver.feed(piece);
    }
    driver.finish()
}

pub(crate) struct Driver {
    connection: h1::Connection,
    policy: Policy,
    now: Instant,
    input: BytesMut,
    output: Vec<u8>,
    data: Vec<u8>,
    text: String,
}

impl Driver {
    pub(crate) fn new(options: h1::Options, policy: Policy) -> Self {
        let now = Instant::now();
        Self {
            connection: h1::Connection::new(options, now),
            policy,
            now,
            input: BytesMut::new(),
            output: Vec::new(),
            data: Vec::new(),
            text: String::new(),
        }
    }

    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
        self.poll();
    }

    pub(crate) fn finish(mut self) -> String {
        if let Some(event) = self.connection.handle_eof(&self.input) {
            self.note(event);
        }
        self.poll();
        assert!(self.connection.is_closing(), "nothing is left to wait for");
        assert_eq!(self.connection.poll_timeout(), None);
        let mut responses = String::new();
        for line in self.output.split(|byte| *byte == b'\n') {
            let _ = writeln!(responses, "> {}", line.trim_ascii_end().escape_ascii());
        }
        self.text + responses.trim_end_matches("> \n")
    }

    fn poll(&mut self) {
        while let Some(event) = self.connection.poll_event(self.now, &mut self.input) {
            self.note(event);
        }
    }

    fn note(&mut self, event: Event) {
        if !matches!(event, Event::Data(_)) && !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            let _ = writeln!(self.text, "data {}", data.escape_ascii());
        }
        match event {
            Event::Request(request) => {
                self.note_request(&request);
                if self.policy == Policy::AtRequest {
                    self.answer();
                } else {
                    self.connection.send_continue(&mut self.output);
                }
            }
            Event::Data(data) => {
                assert!(!data.is_empty());
                self.data.extend_from_slice(&data);
            }
            Event::End(trailers) => {
                self.text += "end\n";
                for (name, value) in trailers.iter().flat_map(Trailers::fields) {
                    self.note_field(name, value);
                }
                if self.policy == Policy::AtEnd {
                    self.answer();
                }
            }
            Event::Refused(error) => {
                let _ = writeln!(self.text, "refused {} {error}", error.status());
                self.connection.send_refusal(error, DATE, &mut self.output);
                assert!(self.connection.is_closing());
            }
        }
    }

    fn note_request(&mut self, request: &Request) {
        let head = &request.head;
        let body = match request.body {
            BodyLength::Empty => String::from("empty"),
            BodyLength::Sized(length) => length.to_string(),
            BodyLength::Chunked => String::from("chunked"),
        };
        let _ = writeln!(
            self.text,
            "request {} {} {:?} path={} query={} scheme={} authority={} body={body}{}{}",
            head.method(),
            head.target().escape_ascii(),
            head.version(),
            head.path().escape_ascii(),
            head.query().escape_ascii(),
            head.scheme().unwrap_or("-"),
            head.authority().unwrap_or("-"),
            if request.expect_continue {
                " continue"
            } else {
                ""
            },
            if request.upgrade { " upgrade" } else { "" },
        );
        for (name, value) in head.fields() {
            self.note_field(name, value);
        }
    }

    fn note_field(&mut self, name: &[u8], value: &[u8]) {
        let _ = writeln!(
            self.text,
            "  {}: {}",
            name.escape_ascii(),
            value.escape_ascii()
        );
    }

    fn answer(&mut self) {
        let Self {
            connection, output, ..
        } = self;
        let head = ResponseHead::new(204).unwrap();
        connection
            .send_head(&head, Content::None, DATE, output)
            .unwrap();
        connection.send_end(None, output).unwrap();
    }
}
