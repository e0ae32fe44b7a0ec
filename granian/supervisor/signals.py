"""Signals as something to wait for: a descriptor that becomes readable, and the numbers behind it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .process import keep_from_workers


class SignalWatch:
    """Takes the supervisor's signals over, on the main thread, and gives them back at the end."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._previous: dict[int, Any] = {}
        self._previous_descriptor = -1

    def __enter__(self) -> SignalWatch:
        # Elsewhere Python allows no handlers: a server on another thread is stopped by its methods.
        if threading.current_thread() is threading.main_thread():
            self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            for name in WATCHED:
                if hasattr(signal, name):
                    signum = getattr(signal, name)
                    self._previous[signum] = signal.signal(signum, _ignore)
        keep_from_workers(self._reader)
        keep_from_workers(self._writer)
        return self

    @property
    def is_complete(self) -> bool:
        """True if all signals come here, the end of a child among them."""
        return bool(self._previous)

    def __exit__(self, *exception: object) -> None:
        if self._previous:
            signal.set_wakeup_fd(self._previous_descriptor)
        for signum, handler in self._previous.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self, signum: int = 0) -> None:
        """As if the signal had come; 0 only wakes. From any thread."""
        try:
            self._writer.send(bytes([signum]))
        except OSError:
            pass

    def read(self) -> list[int]:
        """The signals since the last time, in order."""
        try:
            return [number for number in self._reader.recv(CHUNK) if number]
        except BlockingIOError:
            return []


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """While nobody watches yet, a signal to stop raises `SystemExit(0)`, and one to reload means nothing.

    On the main thread; elsewhere Python allows no handlers.
    """
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name, handler in (("SIGTERM", _leave), ("SIGINT", _leave), ("SIGBREAK", _leave), ("SIGHUP", _ignore)):
            if hasattr(signal, name):
                previous[getattr(signal, name)] = signal.signal(getattr(signal, name), handler)
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _ignore(signum: int, frame: FrameType | None) -> None:
    """The number has gone through the wake-up descriptor."""


WATCHED = (
    "SIGTERM",
    "SIGINT",
    "SIGBREAK",
    "SIGHUP",
    "SIGCHLD",
    "SIGTTIN",
    "SIGTTOU",
    "SIGUSR1",
    "SIGUSR2",
)
CHUNK = 4096
