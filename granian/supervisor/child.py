"""A worker process from the inside: its signals, its title, its tie to the parent, its certain end.

What it does between beginning and end is `granian.worker`'s.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType

from ..log import configure_logging, logger
from ..tasks import stack_of
from ..worker import WorkerLife
from .logfiles import reopen_log_files
from .report import Boot, Report
from .title import set_title


def run_worker(boot: Boot, pipe: Connection, inherited: list[int]) -> None:
    """The target of a worker's process; leaves by `sys.exit`."""
    reset_signals()
    for descriptor in inherited:
        # Other workers' pipes, which must end with the parent alone.
        os.close(descriptor)
    die_with_parent(boot.supervisor)
    os.environ.update(boot.environment)
    set_title(boot.title)
    config = boot.config
    configure_logging(config.log_level, config.log_dictconfig, config.log_enabled)

    life = WorkerLife(boot, pipe)
    guard = ExitGuard(lambda: life.exit_code)
    life.on_stopping = guard.arm
    alarm = SignalAlarm()
    life.on_loaded = lambda: _handle_signals(life, alarm)
    _handle_dumps(life)
    pipe.send((Report.BOOTING, None))
    code = life.run()
    guard.arm(THREADS_TIMEOUT if guard.deadline is None else guard.left())
    sys.exit(code)


def reset_signals() -> None:
    """Undoes the supervisor's handlers: until the application is loaded, a signal ends this process at once."""
    signal.set_wakeup_fd(-1)
    for name in ("SIGTERM", "SIGINT", "SIGCHLD", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    for name in ("SIGHUP", "SIGTTIN", "SIGTTOU"):
        # Meant for the supervisor, even if the whole group gets it. SIG_IGN would go on to what the application starts.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), ignore)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def ignore(signum: int, frame: FrameType | None) -> None:
    """The handler of signals that are somebody else's, or are told otherwise."""


def die_with_parent(parent: int) -> None:
    """Linux sends SIGTERM when the parent dies; everywhere the pipe's end tells the same a little later."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if parent and os.getppid() != parent and multiprocessing.get_start_method(allow_none=True) == "fork":
        # It died before this was set.
        os._exit(0)


class ExitGuard:
    """A thread that ends the process at a deadline, whatever is still running in it."""

    def __init__(self, exit_code: Callable[[], int]) -> None:
        self.deadline: float | None = None
        self._exit_code = exit_code
        self._changed = threading.Condition()

    def arm(self, seconds: float) -> None:
        """Sets the deadline, or brings it forward."""
        deadline = time.monotonic() + seconds
        start = self.deadline is None
        # A signal's handler may come while this thread has the lock.
        self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)
        if start:
            threading.Thread(target=self._watch, name="granian-exit-guard", daemon=True).start()

    def left(self) -> float:
        """Seconds until the deadline."""
        return 0.0 if self.deadline is None else max(self.deadline - time.monotonic(), 0)

    def _watch(self) -> None:
        while left := self.left():
            with self._changed:
                self._changed.wait(min(left, GUARD_STEP))
        # Whoever is stuck may hold a lock of the log: the last words have a thread of their own.
        speaker = threading.Thread(target=_say_last_words, daemon=True)
        speaker.start()
        speaker.join(MOMENT)
        os._exit(self._exit_code())


def _say_last_words() -> None:
    names = [item.name for item in threading.enumerate() if not item.daemon and item is not threading.main_thread()]
    logger.warning("Leaving without waiting for %s", ", ".join(names) or "the event loop")
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


class SignalAlarm:
    """Wakes an event loop for every signal.

    Python runs handlers between its own steps: a signal that comes when the loop is about to sleep, and has
    looked already, would wait until something else wakes it.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        loop.add_reader(self._reader.fileno(), self._reader.recv, 4096)


def _handle_signals(life: WorkerLife, alarm: SignalAlarm) -> None:
    if life.loop is not None:
        alarm.watch(life.loop)

    def handle_stop(signum: int, frame: FrameType | None) -> None:
        # Again means nothing: a signal to the process group comes here from its sender and from the supervisor.
        life.request_stop()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, handle_stop)
    if hasattr(signal, "SIGBREAK"):
        signal.signal(signal.SIGBREAK, handle_stop)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda signum, frame: life.call_soon(reopen_log_files))


def _handle_dumps(life: WorkerLife) -> None:
    """USR2 writes the stacks of all threads, even of those that never come back to Python, and of all tasks."""
    if not hasattr(signal, "SIGUSR2"):
        return

    def handle_dump(signum: int, frame: FrameType | None) -> None:
        try:
            _dump(life)
        except Exception:
            # It may have interrupted somebody who was just writing there, which is refused; and what tasks wait for may
            # be anything. Whoever was interrupted has no part in this.
            pass

    signal.signal(signal.SIGUSR2, handle_dump)
    if sys.stderr is not None:
        try:
            faulthandler.register(signal.SIGUSR2, file=sys.stderr, all_threads=True, chain=True)
        except (ValueError, OSError):
            # The standard error is no file: the tasks must do.
            pass


def _dump(life: WorkerLife) -> None:
    worker, loop = life.worker, life.loop
    if worker is not None:
        logger.warning("%d connections, %d requests in flight", worker.connections, worker.requests)
    if loop is None or sys.stderr is None:
        return
    print(*map(stack_of, asyncio.all_tasks(loop)), sep="\n", file=sys.stderr, flush=True)


PR_SET_PDEATHSIG = 1
# What non-daemon threads get after a worker has left without being asked.
THREADS_TIMEOUT = 5.0
GUARD_STEP = 0.2
MOMENT = 0.1
