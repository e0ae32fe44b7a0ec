//! The accept loop of one listening socket.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};

use crate::close::Limit;
use crate::crowd::{Member, Room};
use crate::exchange::app::{Address, Peer};
use crate::protocol;
use crate::runtime::reactor::{Reactor, TaskHandle};
use crate::service::{Service, Stage};
use crate::stream::socket::{Io, Socket};

/// A listening socket of either family.
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A handle that ends an accept loop while its worker goes on.
pub struct Listening {
    reactor: Reactor,
    is_over: Rc<Cell<bool>>,
}

impl Listening {
    /// Stops accepting from the next turn on. Connections in the queue are left to other holders of
    /// the socket.
    pub fn end(self) {
        self.is_over.set(true);
        self.reactor.wake_all();
    }
}

/// Accepts on `listener` until the worker drains, or until `Listening::end`.
///
/// # Errors
/// When the poller refuses the socket.
pub fn listen(
    reactor: &Reactor,
    mut listener: Listener,
    service: Rc<Service>,
) -> io::Result<Listening> {
    let local = listener.local_address()?;
    if let Listener::Tcp(socket) = &listener
        && INHERITS_NODELAY
    {
        rustix::net::sockopt::set_tcp_nodelay(socket, true)?;
    }
    let is_over = Rc::new(Cell::new(false));
    let listening = Listening {
        reactor: reactor.clone(),
        is_over: Rc::clone(&is_over),
    };
    reactor.spawn(move |handle| {
        handle.watch(listener.source())?;
        let acceptor = Acceptor {
            listener,
            local,
            service,
            handle,
            is_over,
        };
        Ok(async move { poll_fn(|cx| acceptor.poll(cx)).await })
    })?;
    Ok(listening)
}

struct Acceptor {
    listener: Listener,
    local: Address,
    service: Rc<Service>,
    handle: TaskHandle,
    is_over: Rc<Cell<bool>>,
}

impl Acceptor {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_over.get() {
            return Poll::Ready(());
        }
        for count in 0..ACCEPTS_PER_TURN {
            // Most often there is one connection only.
            if count == 1 && !self.listener.has_queue() {
                return self.wait();
            }
            let Poll::Ready(room) = self.service.crowd.poll_room(cx) else {
                return self.make_room();
            };
            match self.listener.accept() {
                Ok((socket, remote)) => self.start(socket, remote, room),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.wait(),
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    // No descriptors or memory: the connections stay in the kernel's queue for a
                    // while.
                    self.complain(&error);
                    self.handle
                        .set_deadline(Some(self.handle.now() + ACCEPT_PAUSE));
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for a connection to end. The one that has been idle for longest is asked to, if the queue has another
    /// one for its place. With several threads an event of the queue comes to all of them, and one of them takes
    /// the last place: the order of the questions is that of its steps.
    fn make_room(&self) -> Poll<()> {
        let is_serving = self.service.stage.get() == Stage::Serving;
        if is_serving
            && self.service.crowd.is_full()
            && self.listener.has_queue()
            && let Some(key) = self.service.crowd.ask_for_room()
        {
            self.handle.reactor().wake(key);
        }
        self.wait()
    }

    /// Logs a shortage once in a while, so that it does not fill the log.
    fn complain(&self, error: &io::Error) {
        self.service.complain_of_accept(self.handle.now(), error);
    }

    /// A draining worker has accepted the queue by now.
    fn wait(&self) -> Poll<()> {
        if self.service.stage.get() == Stage::Serving {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn start(&self, socket: Socket, remote: Address, room: Room) {
        if let Socket::Tcp(stream) = &socket
            && !INHERITS_NODELAY
        {
            // An error is ignored: the first read of a lost connection shows it.
            let _ = stream.set_nodelay(true);
        }
        let peer = Peer {
            number: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            local: self.local_of(&socket),
            remote,
            scheme: "http",
            tls: None,
            is_relayed: false,
            memo: std::sync::OnceLock::new(),
        };
        let service = Rc::clone(&self.service);
        let client = (!service.is_proxy(&peer)).then_some(&peer.remote);
        let Some(mut member) = Member::join(room, client, service.metrics()) else {
            service.note_limit(&peer, Limit::MaxConnectionsPerClient);
            return;
        };
        // A connection that cannot be watched is dropped, which closes it.
        let _ = self.handle.reactor().spawn(move |handle| {
            let io = Io::new(socket, &handle)?;
            member.set_key(handle.key());
            Ok(protocol::serve(io, peer, member, service, handle))
        });
    }

    /// The local address of a connection. A wildcard listener has none of its own.
    fn local_of(&self, socket: &Socket) -> Address {
        match (&self.local, socket) {
            (Address::Ip(bound), Socket::Tcp(stream)) if bound.ip().is_unspecified() => stream
                .local_addr()
                .map_or_else(|_| self.local.clone(), Address::Ip),
            _ => self.local.clone(),
        }
    }
}

impl Drop for Acceptor {
    /// The supervisor and other workers hold the same socket open, so the poller would still report
    /// clients that are theirs to accept (epoll(7), "closing a file descriptor").
    fn drop(&mut self) {
        self.handle.unwatch(self.listener.source());
    }
}

impl Listener {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(socket) => socket,
            Self::Unix(socket) => socket,
        }
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(socket) => Address::Ip(socket.local_addr()?),
            Self::Unix(socket) => Address::Unix(socket.local_addr()?.as_pathname().map(Into::into)),
        })
    }

    /// Whether a client waits, as far as the poller can tell. An accept in vain costs a socket,
    /// which the kernel makes beforehand (2 % of a plain connection for one request, one at a
    /// time).
    fn has_queue(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut polled = [PollFd::new(self, PollFlags::IN)];
        !matches!(poll(&mut polled, Some(&Timespec::default())), Ok(0))
    }

    fn accept(&self) -> io::Result<(Socket, Address)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, remote) = socket.accept()?;
                Ok((Socket::Tcp(stream), Address::Ip(remote)))
            }
            Self::Unix(socket) => {
                let (stream, remote) = socket.accept()?;
                Ok((
                    Socket::Unix(stream),
                    Address::Unix(remote.as_pathname().map(Into::into)),
                ))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Errors of the one connection that was about to be accepted (accept(2)).
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
    )
}

/// Accepted sockets inherit this option from their listener, which saves a system call for each.
const INHERITS_NODELAY: bool = cfg!(target_os = "linux");
/// Connections of this process so far; workers may be its threads.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
const ACCEPTS_PER_TURN: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
