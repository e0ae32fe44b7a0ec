//! `HandOff`: an application around the user's whose responses may name a file in place of a body, in the
//! field `x-sendfile` or `x-accel-redirect`. Only files below the folders of its mounts are sent.

use std::ffi::OsStr;
use std::future::poll_fn;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use granian_proto::{HeadError, RequestHead, ResponseHead};

use super::heads;
use super::mount::{Found, Mount};
use super::options::MountOptions;
use super::respond;
use super::stored::Stored;
use crate::exchange::Exchange;
use crate::exchange::app::{App, Request, Source};
use crate::exchange::hand_off::{Errand, FileSender, names_file};
use crate::exchange::reply::Reply;
use crate::responders::layer::Layer;
use crate::runtime::reactor::Reactor;
use crate::runtime::ready::Ready;

/// See the module's documentation.
pub struct HandOff {
    inner: Rc<dyn App>,
    sender: Arc<dyn FileSender>,
}

/// The part that the threads have.
struct Sender {
    mounts: Vec<Mount>,
    ready: Ready<News>,
}

/// What the connections' thread is told.
enum News {
    /// The call has ended before its file was found.
    Ended(Arc<Exchange>),
    /// There is no such file to send.
    Unsent(String),
}

impl HandOff {
    /// Sends the files that responses of `inner` name below `mounts`, whose routes are the prefixes of
    /// `x-accel-redirect`.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub fn new(mounts: Vec<Mount>, inner: Rc<dyn App>, reactor: &Reactor) -> io::Result<Self> {
        let sender = Arc::new(Sender {
            mounts,
            ready: Ready::new(),
        });
        let (this, app) = (Arc::clone(&sender), Rc::clone(&inner));
        reactor.spawn(|_| {
            Ok(poll_fn(move |cx| {
                for news in this.ready.take(cx) {
                    match news {
                        News::Ended(exchange) => exchange.end_call(app.journal()),
                        News::Unsent(name) => app.journal().unsent(&name),
                    }
                }
                Poll::<()>::Pending
            }))
        })?;
        Ok(Self { inner, sender })
    }
}

impl Layer for HandOff {
    fn inner(&self) -> &dyn App {
        &*self.inner
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        if request.websocket.is_none() {
            request.exchange.begin_hand_off(&self.sender);
        }
        self.inner.call(request)
    }
}

impl FileSender for Sender {
    fn send(&self, errand: &Errand) {
        let Some((name, value)) = errand.head.fields().find(|(name, _)| names_file(name)) else {
            return;
        };
        let exchange = &errand.request.exchange;
        let answered = match self.find(name, value, errand.request.head()) {
            Found::File(stored) => answer(errand, *stored),
            Found::Folder | Found::Missing | Found::Refused => {
                let name = format!("{}: {}", name.escape_ascii(), value.escape_ascii());
                self.ready.push(News::Unsent(name));
                not_found(exchange)
            }
        };
        if answered.is_err() {
            // Out of the bytes of a name came no field value.
            exchange.send(Reply::Abort);
        }
    }

    fn end_late(&self, exchange: Arc<Exchange>) {
        self.ready.push(News::Ended(exchange));
    }
}

impl Sender {
    /// The file of a path of the system (`x-sendfile`), or of the path of a URI (`x-accel-redirect`).
    fn find(&self, name: &[u8], value: &[u8], head: &RequestHead) -> Found {
        if name == b"x-sendfile" {
            let path = Path::new(OsStr::from_bytes(value));
            let mut mounts = self.mounts.iter();
            return mounts
                .find_map(|mount| mount.file_named(path, head))
                .unwrap_or(Found::Refused);
        }
        let end = value.iter().position(|byte| *byte == b'?');
        let path = &value[..end.unwrap_or(value.len())];
        let mut mounts = self.mounts.iter();
        mounts
            .find(|mount| mount.is_below(path))
            .map_or(Found::Refused, |mount| mount.file_at(path, head))
    }
}

/// Answers with the file, and with the application's fields in place of the server's.
fn answer(errand: &Errand, mut stored: Stored) -> Result<(), HeadError> {
    let mut options = MountOptions::default();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    for (name, value) in errand.head.fields() {
        match name {
            b"content-type" => stored.description.content_type = Some(text(value)),
            b"etag" => stored.validators.etag = text(value),
            b"last-modified" => {
                let date = httpdate::parse_http_date(&text(value)).ok();
                let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
                if let Some(since) = since {
                    stored.validators.modified = since.as_secs();
                }
            }
            b"content-range" | b"accept-ranges" => {}
            name if names_file(name) => {}
            name => options.headers.push((name.to_vec(), value.to_vec())),
        }
    }
    if errand.head.asks_close() {
        options
            .headers
            .push((b"connection".to_vec(), b"close".to_vec()));
    }
    let Stored {
        description,
        validators,
        len,
        ..
    } = &stored;
    let (whole, not_modified) = heads::heads(&options, description, validators, *len)?;
    (stored.whole, stored.not_modified) = (whole, not_modified);
    respond::send(&options, &errand.request, &stored)
}

fn not_found(exchange: &Exchange) -> Result<(), HeadError> {
    let body = Bytes::from_static(b"Not found");
    exchange.send_whole(ResponseHead::new(404)?, body);
    Ok(())
}
