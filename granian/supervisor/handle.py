"""`WorkerHandle`: the supervisor's side of one worker, whether a process or a thread."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..worker.report import Command, Report
from ..worker.spec import WorkerSpec


class WorkerHandle(ABC):
    """One worker from start to end; never started twice."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.number = spec.number
        # The reason of a failed start, or of an end that nobody asked for.
        self.failure: str | None = None
        self.replaced = False
        self._is_leaving = False
        # The worker has stopped accepting.
        self.is_draining = False
        self.ready_at: float | None = None
        self.last_beat: float | None = None
        self.pipe: Connection | None = None
        # Numbers of the sockets that it accepts on.
        self.listening = set(spec.sockets)

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    @property
    def full_name(self) -> str:
        """With `old` for one that has a successor."""
        return f"old {self.name}" if self.replaced else self.name

    def retire(self, replaced: bool) -> None:
        """Notes that the worker is to end; `replaced` if it has a successor."""
        self.replaced = replaced
        self._is_leaving = True
        if replaced:
            self.send(Command.REPLACED)

    @property
    def interrupt_by_parent(self) -> bool:
        """Whether it was asked to end; granian 2's name."""
        return self._is_leaving

    @property
    def inner(self) -> Any:
        """The process or thread itself, if it is one; granian 2's name."""
        return None

    def _watcher(self) -> None:  # noqa: B027
        """Granian 2's function that waits for the end in a thread; here the supervisor waits, and nothing calls it."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The id of the worker's process; a thread has that of this process."""

    @property
    @abstractmethod
    def spawn_line(self) -> str:
        """`Spawning worker-1 with PID: 1`, for the log."""

    @abstractmethod
    def waitables(self) -> list[Any]:
        """Objects for `multiprocessing.connection.wait`: ready when the worker reports or ends."""

    @abstractmethod
    def is_alive(self) -> bool: ...

    @abstractmethod
    def exit_code(self) -> int | None: ...

    @abstractmethod
    def stop(self) -> None:
        """Asks it to drain."""

    def hurry(self) -> None:
        """Ends its drain, by a command: a second signal to the whole process group would look the same."""
        self.send(Command.CANCEL)

    @abstractmethod
    def kill(self) -> None:
        """Ends it at once."""

    @abstractmethod
    def dump(self) -> None:
        """Makes it write its stacks."""

    @abstractmethod
    def reopen_logs(self) -> None:
        """Makes it open its log files anew."""

    @abstractmethod
    def release(self) -> None:
        """Closes the pipes of a worker that has ended."""

    def listen(self, position: int, listener: socket.socket) -> None:
        """Makes it accept on one more socket."""
        if self._listen(position, listener):
            self.listening.add(position)

    def unlisten(self, position: int) -> None:
        """Makes it leave a socket to others."""
        self.listening.discard(position)
        self.send(Command.UNLISTEN, position)

    @abstractmethod
    def _listen(self, position: int, listener: socket.socket) -> bool:
        """Passes the socket; whether that was possible."""

    def send(self, command: Command, value: Any = None) -> None:
        if self.pipe is not None:
            try:
                self.pipe.send((command, value))
            except OSError:
                pass

    def reports(self) -> Iterator[tuple[Report, str | None]]:
        """The reports since the last call."""
        while self.pipe is not None:
            try:
                if not self.pipe.poll():
                    return
                report, text = self.pipe.recv()
            except (EOFError, OSError):
                self.pipe.close()
                self.pipe = None
                return
            self._note(report, text)
            yield report, text

    def _note(self, report: Report, text: str | None) -> None:
        now = time.monotonic()
        match report:
            case Report.READY:
                self.ready_at = self.last_beat = now
            case Report.BEAT:
                self.last_beat = now
            case Report.DRAINING:
                self.is_draining = True
                self.failure = text
            case Report.FAILED:
                self.failure = text


@dataclass(frozen=True)
class Event:
    """The new reports of one worker, and whether it has ended."""

    worker: WorkerHandle
    reports: list[Report]
    ended: bool
