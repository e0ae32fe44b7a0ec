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
use crate::exchange::hand_off::{Errand, FileSender, Lane, names_file};
use crate::exchange::reply::Reply;
use crate::metrics::Page;
use crate::metrics::layout::at;
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
    /// Where refusals are counted.
    page: Option<Arc<Page>>,
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
    /// `x-accel-redirect`. Requests that too many others wait before are counted on `page`.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub fn new(
        mounts: Vec<Mount>,
        inner: Rc<dyn App>,
        reactor: &Reactor,
        page: Option<Arc<Page>>,
    ) -> io::Result<Self> {
        let sender = Arc::new(Sender {
            mounts,
            ready: Ready::new(),
            page,
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
    fn lane(&self, head: &ResponseHead) -> Lane {
        let mut named = head.fields().filter(|(name, _)| names_file(name));
        let mount = named
            .next()
            .and_then(|(name, value)| self.mount(name, value));
        mount.map_or(Lane::Unknown, |mount| Lane::below(&mount.options.folder))
    }

    fn refuse(&self, errand: &Errand) {
        if let Some(page) = &self.page {
            page.add(at::STATIC_BUSY, 1);
        }
        respond::refuse_busy(&errand.request.exchange);
    }

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
    /// The mount of a path of the system (`x-sendfile`), or of the path of a URI (`x-accel-redirect`).
    fn mount(&self, name: &[u8], value: &[u8]) -> Option<&Mount> {
        let path = Path::new(OsStr::from_bytes(value));
        let is_its = |mount: &&Mount| match name {
            b"x-sendfile" => mount.place_of(path).is_some(),
            _ => mount.is_below(without_query(value)),
        };
        self.mounts.iter().find(is_its)
    }

    fn find(&self, name: &[u8], value: &[u8], head: &RequestHead) -> Found {
        let Some(mount) = self.mount(name, value) else {
            return Found::Refused;
        };
        if name != b"x-sendfile" {
            return mount.file_at(without_query(value), head);
        }
        let place = mount.place_of(Path::new(OsStr::from_bytes(value)));
        place.map_or(Found::Refused, |place| mount.file_in_place(place, head))
    }
}

fn without_query(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| *byte == b'?');
    &target[..end.unwrap_or(target.len())]
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
