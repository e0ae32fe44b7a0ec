"""`StatusListener`: a few short connections of HTTP, served on the supervisor's own thread without ever waiting.

No thread of its own: the supervisor forks, and what a fork copies of other threads may be locked for good.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..log import logger
from .http import BadRequest, Request, Response, parse, serialize

Answer = Callable[[Request], Response]
# Calls a function after so many seconds.
After = Callable[[float, Callable[[], None]], Any]


class _Client:
    """One connection."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.received = b""
        self.unsent: bytes | None = None


class StatusListener:
    """Answers on listening sockets, which it closes in the end.

    `own` gets each descriptor that is to stay in this process.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        answer: Answer,
        after: After,
        own: Callable[[Any], None],
    ) -> None:
        self._sockets = list(sockets)
        self._answer = answer
        self._after = after
        self._own = own
        self._clients: dict[socket.socket, _Client] = {}
        self._selector = selectors.DefaultSelector()
        own(self._selector)
        for listener in sockets:
            own(listener)
            self._selector.register(listener, selectors.EVENT_READ)

    def waitables(self) -> list[Any]:
        """Objects for `multiprocessing.connection.wait`: ready when `turn` has something to do."""
        # Those of epoll and kqueue are readable themselves, for writing as well.
        return [self._selector] if self._sockets else []

    def turn(self) -> None:
        """Does what can be done now."""
        if not self._sockets:
            return
        for key, _ in self._selector.select(0):
            channel: Any = key.fileobj
            if channel in self._sockets:
                self._accept(channel)
            elif client := self._clients.get(channel):
                self._serve(client)

    def close(self) -> None:
        """Cuts every connection."""
        for client in [*self._clients.values()]:
            self._drop(client)
        while self._sockets:
            self._sockets.pop().close()
        self._selector.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            channel, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptors, say: it stays readable, so it is left alone for a moment.
            self._selector.unregister(listener)
            self._after(PAUSE, lambda: self._listen_again(listener))
            return
        if len(self._clients) >= MOST_CLIENTS:
            self._drop(next(iter(self._clients.values())))
        self._own(channel)
        channel.setblocking(False)
        client = self._clients[channel] = _Client(channel)
        self._selector.register(channel, selectors.EVENT_READ)
        # Not by a look at the clock: timers of some loops ring a little early.
        self._after(TIMEOUT, lambda: self._drop(client))
        self._serve(client)

    def _listen_again(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._selector.register(listener, selectors.EVENT_READ)

    def _serve(self, client: _Client) -> None:
        try:
            if client.unsent is None:
                self._receive(client)
            if client.unsent is not None:
                self._send(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _receive(self, client: _Client) -> None:
        data = client.channel.recv(READ_SIZE)
        client.received += data
        request: Request | None = None
        try:
            request = parse(client.received)
            if request is not None:
                response = self._answer(request)
        except BadRequest as error:
            response = error.response
        except Exception as error:
            # The service is more than the look at it.
            logger.error("The status listener could not answer", exc_info=error)
            response = Response("this could not be answered; the log says why\n", 500)
        else:
            if request is None:
                # More of it is to come, unless the client has left.
                return None if data else self._drop(client)
        client.unsent = serialize(response, request is not None and request.method == "HEAD")
        self._selector.modify(client.channel, selectors.EVENT_WRITE)

    def _send(self, client: _Client) -> None:
        assert client.unsent is not None
        client.unsent = client.unsent[client.channel.send(client.unsent) :]
        if not client.unsent:
            with suppress(OSError):
                client.channel.shutdown(socket.SHUT_WR)
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.channel, None) is not None:
            self._selector.unregister(client.channel)
            client.channel.close()


MOST_CLIENTS = 32
# Seconds for a request and its answer.
TIMEOUT = 10.0
# Seconds without accepting after a failure to.
PAUSE = 0.5
READ_SIZE = 4096
