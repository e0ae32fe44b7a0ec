"""A worker that is a process: starting it without inheriting what is the parent's, and ending it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import sendfds
from typing import Any, Protocol

from ..worker.child import run_worker
from ..worker.report import Command
from ..worker.spec import WorkerSpec
from .handle import WorkerHandle

Target = Callable[[WorkerSpec, Connection, list[int]], None]


class HasDescriptor(Protocol):
    """A pipe or a socket."""

    def fileno(self) -> int: ...


class ProcessHandle(WorkerHandle):
    """Starts a process at once."""

    def __init__(self, spec: WorkerSpec, target: Target = run_worker) -> None:
        super().__init__(spec)
        self.pipe, theirs = multiprocessing.Pipe()
        keep_from_workers(self.pipe)
        try:
            self._process = start_process(target, (spec, theirs), "granian-worker")
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()
        self._sentinel = Sentinel(self._process)
        keep_from_workers(self._sentinel)

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
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def dump(self) -> None:
        self._signal(signal.SIGUSR2)

    def reopen_logs(self) -> None:
        self._signal(signal.SIGUSR1)

    def _listen(self, position: int, listener: socket.socket) -> bool:
        if self.pipe is None:
            return False
        try:
            # Before the command, since it may fail for want of descriptors: after the command the worker waits.
            with socket.fromfd(self.pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                self.send(Command.LISTEN, (position, None))
                sendfds(channel, [listener.fileno()])
            return True
        except OSError:
            # The worker is ending, or there are no descriptors. The next change of the crew picks another one.
            return False

    def release(self) -> None:
        self._process.join()
        self._process.close()
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _signal(self, signum: int) -> None:
        if self._process.is_alive():
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                pass


def start_process(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> BaseProcess:
    """Starts a process by the method that is set; `target` also gets the descriptors that it must close."""
    context: Any = multiprocessing.get_context()
    is_fork = context.get_start_method() == "fork"
    process: BaseProcess = context.Process(
        target=target, name=name, args=(*arguments, _parents_own() if is_fork else [])
    )
    # Until the child has handlers of its own, the parent's must not run in it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED) if is_fork else None
    try:
        process.start()
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return process


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
