"""Signals as something to wait for: a descriptor that becomes readable, and the numbers behind it.

While the application is being loaded the descriptor is not watched, so a stop interrupts the loading.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..forks import install, uninstall
from ..worker.signals import ignore
from .process import keep_from_workers


class Interrupted(BaseException):
    """A stop was asked for while the application was being loaded."""


class SignalWatch:
    """Takes the supervisor's signals over, on the main thread, and gives them back at the end.

    It may be entered anew while it is entered; the first end is the end.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # Whether it has the signals.
        self.is_active = False
        self._previous: dict[int, Any] = {}
        self._previous_descriptor = -1

    def __enter__(self) -> SignalWatch:
        # Python allows handlers on the main thread only. A server on another thread is stopped by its methods.
        if threading.current_thread() is threading.main_thread() and not self.is_active:
            self.is_active = True
            self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            for signum in WATCHED:
                self._previous[signum] = install(signum, ignore)
        keep_from_workers(self._reader)
        keep_from_workers(self._writer)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.is_active:
            self.is_active = False
            signal.set_wakeup_fd(self._previous_descriptor)
        for signum, handler in self._previous.items():
            uninstall(signum, handler)
        self._previous.clear()
        self._reader.close()
        self._writer.close()

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A stop raises `Interrupted` in the code inside, which may run for long."""
        if not self.is_active:
            yield
            return
        noticed = threading.Event()

        def interrupt(signum: int, frame: FrameType | None) -> None:
            noticed.set()
            raise Interrupted

        for signum in STOPS:
            install(signum, interrupt)
        insisting = threading.Thread(target=self._insist, args=(noticed,), name="signals", daemon=True)
        insisting.start()
        try:
            yield
        finally:
            noticed.set()
            for signum in STOPS:
                install(signum, ignore)
            insisting.join()

    def _insist(self, noticed: threading.Event) -> None:
        """Sends a signal again that came right before a system call, since Python handles it only after the call."""
        main = threading.main_thread().ident
        while main is not None and not noticed.wait(INSIST_EVERY):
            came = self._receive(socket.MSG_PEEK)
            if (signum := next((number for number in came if number in STOPS), None)) is not None:
                signal.pthread_kill(main, signum)

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self, signum: int = 0) -> None:
        """Acts as if the signal had come, from any thread; 0 only wakes."""
        try:
            self._writer.send(bytes([signum]))
        except OSError:
            pass

    def read(self) -> list[int]:
        """The signals since the last time, in order."""
        return [number for number in self._receive() if number]

    def _receive(self, flags: int = 0) -> bytes:
        try:
            return self._reader.recv(CHUNK, flags)
        except BlockingIOError:
            return b""


STOPS = (signal.SIGTERM, signal.SIGINT)
WATCHED = (
    *STOPS,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
CHUNK = 4096
# Seconds.
INSIST_EVERY = 0.2
