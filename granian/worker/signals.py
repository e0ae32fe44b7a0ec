"""The signals of a worker process: during the load, while it serves, and for a dump of its stacks."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import socket
import sys
from types import FrameType

from ..forks import install
from ..log import logger
from ..tasks import stack_of
from .life import WorkerLife
from .logfiles import reopen_log_files


def reset_signals() -> None:
    """Undoes the supervisor's handlers: until the application is loaded, a signal ends this process at once."""
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(signum, signal.SIG_DFL)
    for signum in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
        # Meant for the supervisor, even if the whole group gets it. Programs that the application starts would inherit
        # SIG_IGN; they do not inherit a handler.
        install(signum, ignore)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def ignore(signum: int, frame: FrameType | None) -> None:
    """The handler of signals that this process ignores or learns of by its wake-up descriptor."""


class SignalAlarm:
    """Wakes an event loop for every signal.

    Python runs handlers between its own steps. Without the alarm a signal that comes just before the loop sleeps would
    wait until something else wakes the loop.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        loop.add_reader(self._reader.fileno(), self._reader.recv, 4096)


def handle_signals(life: WorkerLife, alarm: SignalAlarm) -> None:
    if life.loop is not None:
        alarm.watch(life.loop)

    def handle_stop(signum: int, frame: FrameType | None) -> None:
        # A second signal does nothing: one to the process group arrives from its sender and from the supervisor.
        delay = life.spec.config.shutdown_delay
        if not delay:
            return life.request_stop()
        # The whole group may have got it, and the supervisor mean its workers to serve on. What the supervisor asks for
        # itself comes by the pipe as well, and is done at once.
        life.call_soon(lambda: life.loop and life.loop.call_later(delay + MARGIN, life.request_stop))

    for signum in (signal.SIGTERM, signal.SIGINT):
        install(signum, handle_stop)
    install(signal.SIGUSR1, lambda signum, frame: life.call_soon(reopen_log_files))


def handle_dumps(life: WorkerLife) -> None:
    """Makes USR2 write the stacks of all threads, even of those that never return to Python, and of all tasks."""

    def handle_dump(signum: int, frame: FrameType | None) -> None:
        try:
            _dump(life)
        except Exception:
            # The interrupted code may have been writing to the same stream, which refuses a second writer, and the
            # representation of a task runs code of the application. The interrupted code gets no error from here.
            pass

    install(signal.SIGUSR2, handle_dump)
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


# Seconds that the supervisor has to end the delay before a worker does it by itself.
MARGIN = 1.0
