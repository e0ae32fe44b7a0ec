"""The signals of a worker process: during the load, while it serves, and for a dump of its stacks."""

from __future__ import annotations

import _thread
import asyncio
import faulthandler
import signal
import socket
import sys
from types import FrameType

from ..forks import install
from ..log import logger
from .life import WorkerLife
from .logfiles import reopen_log_files
from .stacks import describe_task


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
    install(signal.SIGUSR1, lambda signum, frame: life.call_soon(lambda: reopen_log_files(life.serving)))


def handle_dumps(life: WorkerLife) -> None:
    """Makes USR2 describe all requests in flight in the log, and write the stacks of all threads, even of those that
    never return to Python, and of all tasks.
    """

    def handle_dump(signum: int, frame: FrameType | None) -> None:
        # On a thread: the interrupted code may have been writing to the same stream, which refuses a second writer. The
        # module `threading` would take locks that the interrupted code may hold.
        worker = life.serving.worker if life.serving is not None else None
        counts = (worker.connections, worker.requests) if worker is not None else None
        _thread.start_new_thread(dump, (life, counts))

    install(signal.SIGUSR2, handle_dump)
    if sys.stderr is not None:
        try:
            faulthandler.register(signal.SIGUSR2, file=sys.stderr, all_threads=True, chain=True)
        except (ValueError, OSError):
            # The standard error is no file: the tasks must do.
            pass


def dump(life: WorkerLife, counts: tuple[int, int] | None) -> None:
    """Describes the worker in the log, and all tasks on the standard error; from any thread."""
    serving, loop = life.serving, life.loop
    try:
        if counts is not None:
            logger.warning("%d connections, %d requests in flight", *counts)
        if serving is not None:
            serving.watch.describe()
        if loop is not None and sys.stderr is not None:
            print(*map(describe_task, asyncio.all_tasks(loop)), sep="\n", file=sys.stderr, flush=True)
    except Exception as error:
        # The application's objects are looked at while they change.
        logger.debug("The picture has a hole: %r", error)


# Seconds that the supervisor has to end the delay before a worker does it by itself.
MARGIN = 1.0
