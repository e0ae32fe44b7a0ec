"""The worker's end of the pipe to its supervisor."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
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
        """The socket that follows a command.

        # Errors
        `EOFError` if the supervisor is dead, `OSError` if there is no descriptor left for it.
        """
        with socket.fromfd(self.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            mark, descriptors, _, _ = socket.recv_fds(channel, len(MARK), 1, CLOSED_ON_EXEC)
        if not mark:
            raise EOFError
        if not descriptors:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return socket.socket(fileno=descriptors[0])


def send_socket(channel: socket.socket, listener: socket.socket) -> None:
    """Sends a copy of the listener for `WorkerPipe.listener`, and does not wait for that.

    multiprocessing's way waits for the worker's answer since CPython 3.14, and a worker may stand still.
    """
    socket.send_fds(channel, [MARK], [listener.fileno()])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keeps handlers of the application's from raising, as `sys.exit` does, in the middle of a message."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


# A descriptor travels with at least one byte.
MARK = b"."
# Programs that the application starts are not to have it.
CLOSED_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
