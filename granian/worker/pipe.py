"""The worker's end of the pipe to its supervisor."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from .report import Command, Report


class WorkerPipe:
    """Reports go out, commands and sockets come in; a dead supervisor is an `EOFError`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop: asyncio.AbstractEventLoop | None = None

    def fileno(self) -> int:
        return self._connection.fileno()

    def report(self, report: Report, text: str | None = None) -> None:
        try:
            self._connection.send((report, text))
        except OSError:
            pass

    def beat(self) -> None:
        """Sends a sign of life, unless the pipe is full: a supervisor that stands still must not stop its workers."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        if poll.poll(0):
            self.report(Report.BEAT)

    def watch(self, loop: asyncio.AbstractEventLoop, handle: Callable[[], Any]) -> None:
        self._loop = loop
        loop.add_reader(self.fileno(), handle)
        # uvloop makes a watched descriptor non-blocking, but messages are read and written whole.
        os.set_blocking(self.fileno(), True)

    def unwatch(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self.fileno())

    def commands(self) -> Iterator[tuple[Command, Any]]:
        """The commands that have arrived. Each is polled for first, since the loop's event may be out of date.

        # Errors
        `EOFError` if the supervisor is dead.
        """
        while True:
            try:
                if not self._connection.poll():
                    return
                command, value = self._connection.recv()
            except OSError as error:
                raise EOFError from error
            yield command, value

    def listener(self) -> socket.socket:
        """The socket that follows a command."""
        return socket.socket(fileno=recv_handle(self._connection))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keeps handlers of the application's from raising, as `sys.exit` does, in the middle of a message."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
