//! `Peer`: a connection as its client sees it, with a clock of its own.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use granian_proto::{
    Content, Event, PaceBounds, PeerError, ResponseHead, SendError, Timeout, Trailers, h1,
};

pub(crate) const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// The limits of the server, as they are by default; each timeout another one.
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

/// A body in these chunks.
pub(crate) fn chunked(chunks: &[&str]) -> String {
    let chunks = chunks
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    chunks.collect::<String>() + "0\r\n\r\n"
}

pub(crate) struct Peer {
    pub(crate) connection: h1::Connection,
    pub(crate) input: BytesMut,
    pub(crate) output: Vec<u8>,
    now: Instant,
}

impl Peer {
    pub(crate) fn new(options: h1::Options) -> Self {
        let now = Instant::now();
        Self {
            connection: h1::Connection::new(options, now),
            input: BytesMut::new(),
            output: Vec::new(),
            now,
        }
    }

    /// The events that come of this.
    pub(crate) fn says(&mut self, text: &str) -> Vec<String> {
        self.input.extend_from_slice(text.as_bytes());
        self.polls()
    }

    pub(crate) fn polls(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.polls_once()).collect()
    }

    pub(crate) fn polls_once(&mut self) -> Option<String> {
        self.connection
            .poll_event(self.now, &mut self.input)
            .map(describe)
    }

    pub(crate) fn ends(&mut self) -> Vec<String> {
        let event = self.connection.handle_eof(&self.input).map(describe);
        event.into_iter().chain(self.polls()).collect()
    }

    pub(crate) fn gets_head(
        &mut self,
        head: &ResponseHead,
        content: Content,
    ) -> Result<(), SendError> {
        self.connection
            .send_head(head, content, DATE, &mut self.output)
    }

    pub(crate) fn gets_data(&mut self, data: &str) -> Result<(), SendError> {
        let len = self
            .connection
            .begin_data(data.len() as u64, &mut self.output)?;
        self.output
            .extend_from_slice(&data.as_bytes()[..len as usize]);
        self.connection.end_data(&mut self.output);
        Ok(())
    }

    pub(crate) fn gets_end(&mut self, trailers: Option<&Trailers>) -> Result<(), SendError> {
        self.connection.send_end(trailers, &mut self.output)
    }

    pub(crate) fn gets_refusal(&mut self, error: PeerError) {
        self.connection.send_refusal(error, DATE, &mut self.output);
    }

    /// Gets an empty response; returns it.
    pub(crate) fn answers(&mut self) -> String {
        self.gets_head(&ResponseHead::new(200).unwrap(), Content::None)
            .unwrap();
        self.gets_end(None).unwrap();
        self.heard()
    }

    pub(crate) fn hears_continue(&mut self, expected: &str) {
        self.connection.send_continue(&mut self.output);
        assert_eq!(self.heard(), expected);
    }

    /// What went out since this was asked last.
    pub(crate) fn heard(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.output)).unwrap()
    }

    /// In how many seconds the next deadline is.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.connection
            .poll_timeout()
            .map(|at| (at - self.now).as_secs())
    }

    pub(crate) fn waits(&mut self, seconds: u64) -> Option<Timeout> {
        self.now += Duration::from_secs(seconds);
        self.connection.handle_timeout(self.now)
    }
}

fn describe(event: Event) -> String {
    match event {
        Event::Request(request) => {
            let upgrade = if request.upgrade { " upgrade" } else { "" };
            format!(
                "request {}{upgrade}",
                String::from_utf8_lossy(request.head.target())
            )
        }
        Event::Data(data) => format!("data {}", String::from_utf8_lossy(&data)),
        Event::End(None) => String::from("end"),
        Event::End(Some(trailers)) => format!("end with {} trailers", trailers.fields().count()),
        Event::Refused(error) => format!("refused {}", error.status()),
    }
}
