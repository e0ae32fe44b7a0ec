//! Messages that an ASGI application sends on a WebSocket connection, parsed.

use bytes::Bytes;
use granian_proto::ResponseHead;
use granian_proto::ws::code;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::message;
use super::message::{body, given, start, unsupported};
use crate::app::fields;
use crate::app::payload::{bytes_of, text_of};
use crate::app::ws_rules::{close_code, close_reason};
use granian_net::exchange::messages::Message;

/// A valid message.
pub(crate) enum Command {
    /// `websocket.send`
    Send(Message),
    /// `websocket.accept`
    Accept {
        subprotocol: Option<String>,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// `websocket.close`
    Close { code: i64, reason: Bytes },
    /// `websocket.http.response.start`
    DenialStart(ResponseHead),
    /// `websocket.http.response.body`
    DenialBody { data: Bytes, more: bool },
}

/// Parses the argument of `send`.
///
/// # Errors
/// `TypeError` and `ValueError` for wrong types and values, `RuntimeError` for an unknown type.
pub(crate) fn parse(message: &Bound<'_, PyAny>) -> PyResult<Command> {
    let py = message.py();
    let message = message.cast::<PyDict>()?;
    let kind = message
        .get_item(intern!(py, "type"))?
        .ok_or_else(unsupported)?;
    let command = match kind.cast::<PyString>()?.to_str()? {
        "websocket.send" => return send(message).map(Command::Send),
        "websocket.accept" => return accept(message),
        "websocket.close" => return close(message),
        "websocket.http.response.start" | "http.response.start" => start(message)?,
        "websocket.http.response.body" | "http.response.body" => body(message)?,
        _ => return Err(unsupported()),
    };
    match command {
        message::Message::Start { head, .. } => Ok(Command::DenialStart(head)),
        message::Message::Body { data, more } => Ok(Command::DenialBody { data, more }),
        _ => Err(unsupported()),
    }
}

/// > One of bytes or text, and only one, may be set — ASGI, Send event
fn send(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let py = message.py();
    let text = given(message, intern!(py, "text"))?;
    let bytes = given(message, intern!(py, "bytes"))?;
    match (text, bytes) {
        (Some(text), None) => Ok(Message {
            data: text_of(text.cast()?)?,
            is_text: true,
        }),
        (None, Some(bytes)) => Ok(Message {
            data: bytes_of(&bytes)?,
            is_text: false,
        }),
        _ => Err(unsupported()),
    }
}

fn accept(message: &Bound<'_, PyDict>) -> PyResult<Command> {
    let py = message.py();
    let subprotocol = given(message, intern!(py, "subprotocol"))?;
    let mut headers = Vec::new();
    if let Some(pairs) = given(message, intern!(py, "headers"))? {
        fields::for_each_pair(&pairs, |pair| {
            headers.push(fields::owned_pair(pair)?);
            Ok(())
        })?;
    }
    Ok(Command::Accept {
        subprotocol: subprotocol.map(|name| name.extract()).transpose()?,
        headers,
    })
}

fn close(message: &Bound<'_, PyDict>) -> PyResult<Command> {
    let py = message.py();
    let code = match given(message, intern!(py, "code"))? {
        Some(code) => close_code(&code)?,
        None => i64::from(code::NORMAL),
    };
    let reason = match given(message, intern!(py, "reason"))? {
        Some(reason) => close_reason(reason.cast()?)?,
        None => Bytes::new(),
    };
    Ok(Command::Close { code, reason })
}
