"""A worker that is a process: starting it without inheriting what is the parent's, and ending it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ..worker.child import run_worker
from ..worker.pipe import send_socket
from ..worker.report import Command
from ..worker.spec import WorkerSpec
from ..worker.tie import Tie
from .handle import WorkerHandle

Target = Callable[[WorkerSpec, Connection, list[int]], None]


class HasDescriptor(Protocol):
    """A pipe or a socket."""

    def fileno(self) -> int: ...


class ProcessHandle(WorkerHandle):
    """Starts a process at once, by the method of that name."""

    def __init__(self, spec: WorkerSpec, target: Target = run_worker, method: str | None = None) -> None:
        super().__init__(spec)
        self.pipe, theirs = multiprocessing.Pipe()
        keep_from_workers(self.pipe)
        method = method or start_method()
        stdin = _standard_input() if spec.config.workers == 1 or spec.config.reload else None
        tie, self._lifeline = make_tie(method)
        spec = dataclasses.replace(
            spec,
            tie=tie,
            start_method=multiprocessing.get_start_method(allow_none=True),
            stdin=stdin,
        )
        try:
            self._process = start_process(target, (spec, theirs), "granian-worker", method)
            if spec.page is not None:
                # The worker has it, and later workers are not to inherit it.
                spec.page.close_descriptor()
        except BaseException:
            self.pipe.close()
            if self._lifeline is not None:
                self._lifeline.close()
            raise
        finally:
            theirs.close()
            tie.close()
            if stdin is not None:
                stdin.close()
        self._sentinel = Sentinel(self._process)
        keep_from_workers(self._sentinel)

    @property
    def inner(self) -> BaseProcess:
        return self._process

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    @property
    def spawn_line(self) -> str:
        return f"Spawning {self.name} with PID: {self.pid}"

    def waitables(self) -> list[Any]:
        return [self._process.sentinel, *([self.pipe] if self.pipe is not None else [])]

    def is_alive(self) -> bool:
        return bool(self._process.is_alive())

    def exit_code(self) -> int | None:
        return self._process.exitcode

    def stop(self) -> None:
        # The application may have taken the signal for itself, or blocked it. The pipe comes first: if a handler of the
        # application's ends the worker, the worker knows why.
        self.send(Command.STOP)
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def dump(self) -> None:
        self._signal(signal.SIGUSR2)

    def reopen_logs(self) -> None:
        # By the pipe, as the application may have taken the signal for itself.
        self.send(Command.REOPEN_LOGS)

    def _listen(self, position: int, listener: socket.socket) -> bool:
        if self.pipe is None:
            return False
        try:
            # Before the command, since it may fail for want of descriptors: after the command the worker waits.
            with socket.fromfd(self.pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                self.send(Command.LISTEN, (position, None))
                send_socket(channel, listener)
            return True
        except OSError:
            # The worker is ending, or there are no descriptors. The next change of the crew picks another one.
            return False

    def release(self) -> None:
        self._process.join()
        self._process.close()
        if self._lifeline is not None:
            self._lifeline.close()
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _signal(self, signum: int) -> None:
        if self._process.is_alive():
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                pass


def start_method() -> str:
    """The method that the program has set, or the platform's; it is not set thereby, the application may do that.

    A fork server, Linux's since Python 3.14, is there for programs with threads, which a fork may find holding a lock.
    A program of one thread forks: that takes no second import of this package, and anything can be passed to workers.
    """
    chosen: str | None = multiprocessing.get_start_method(allow_none=True)
    if chosen is not None:
        return chosen
    default, *others = multiprocessing.get_all_start_methods()
    return "fork" if default == "forkserver" and "fork" in others and not _has_threads() else default


def _has_threads() -> bool:
    """Whether this process has a second thread, Python's or that of a library."""
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return threading.active_count() > 1


def make_tie(method: str) -> tuple[Tie, Connection | None]:
    """The tie of a process that is started by the method, and the end of it that this process must keep open."""
    if method != "forkserver":
        return Tie(os.getpid()), None
    theirs, ours = multiprocessing.Pipe(duplex=False)
    keep_from_workers(ours)
    return Tie(lifeline=theirs), ours


def start_process(
    target: Callable[..., None], arguments: tuple[Any, ...], name: str, method: str | None = None
) -> BaseProcess:
    """Starts a process by the method of that name; `target` also gets the descriptors that it must close."""
    method = method or start_method()
    context: Any = multiprocessing.get_context(method)
    is_fork = method == "fork"
    process: BaseProcess = context.Process(
        target=target, name=name, args=(*arguments, _parents_own() if is_fork else []), daemon=False
    )
    # Until the child has handlers of its own, the parent's must not run in it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED) if is_fork else None
    try:
        with _undecided(), _allowed_children():
            process.start()
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return process


@contextmanager
def _undecided() -> Iterator[None]:
    """Leaves the default method open if it is: a start by any method but fork reads it, which settles it."""
    chosen: str | None = multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        if chosen is None:
            multiprocessing.set_start_method(None, force=True)


@contextmanager
def _allowed_children() -> Iterator[None]:
    """Lets a daemonic process have children.

    multiprocessing refuses that: it ends a daemonic process by a signal, and its children would stay behind. Workers
    end with their supervisor.
    """
    current = multiprocessing.current_process()
    is_daemonic = current.daemon
    if is_daemonic:
        current.daemon = False
    try:
        yield
    finally:
        if is_daemonic:
            current.daemon = True


def _standard_input() -> Connection | None:
    """A copy of this process's, in a form that any process can be given; multiprocessing closes it in children."""
    try:
        if sys.stdin is None or sys.stdin.closed or sys.stdin.fileno() != 0:
            return None
        return Connection(os.dup(0), writable=False)
    except (AttributeError, OSError, ValueError):
        # Closed, or put in the place of by something that is no file.
        return None


def keep_from_workers(item: HasDescriptor) -> None:
    """Makes forked workers close what is the parent's alone, so that it ends with the parent."""
    _PARENTS_OWN.add(item)


def _parents_own() -> list[int]:
    found = []
    for item in _PARENTS_OWN:
        try:
            found.append(item.fileno())
        except (OSError, ValueError):
            # It was closed meanwhile.
            continue
    return [descriptor for descriptor in found if descriptor >= 0]


class Sentinel:
    """The descriptor that is readable once a process has ended."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def fileno(self) -> int:
        return self._process.sentinel


_PARENTS_OWN: weakref.WeakSet[HasDescriptor] = weakref.WeakSet()
BLOCKED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)
