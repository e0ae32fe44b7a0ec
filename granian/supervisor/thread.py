"""A worker that is a thread of this process, for builds of Python without a GIL."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from multiprocessing.connection import Connection
from typing import Any

from ..formatters import name_worker
from ..log import logger
from ..worker.life import WorkerLife
from ..worker.report import Command, Report
from ..worker.signals import dump
from ..worker.spec import WorkerSpec
from .handle import WorkerHandle


class ThreadHandle(WorkerHandle):
    """Starts a thread at once. It cannot be killed: one that does not end is left behind."""

    def __init__(self, spec: WorkerSpec) -> None:
        super().__init__(spec)
        self.pipe, theirs = multiprocessing.Pipe()
        # Readable when the thread has ended: nobody ever writes to it.
        self._ended, mark = os.pipe()
        self._code: int | None = None
        self._abandoned = False
        self._life: WorkerLife | None = None
        self._thread = threading.Thread(target=self._run, args=(theirs, mark), name="granian-worker", daemon=True)
        self._thread.start()

    @property
    def inner(self) -> threading.Thread:
        return self._thread

    @property
    def pid(self) -> int:
        return os.getpid()

    @property
    def spawn_line(self) -> str:
        return f"Spawning {self.name} with TID: {self._thread.native_id}"

    def waitables(self) -> list[Any]:
        return [self._ended, *([self.pipe] if self.pipe is not None else [])]

    def is_alive(self) -> bool:
        return self._thread.is_alive() and self._code is None and not self._abandoned

    def exit_code(self) -> int | None:
        return self._code

    def stop(self) -> None:
        self.send(Command.STOP)

    def kill(self) -> None:
        self._abandoned = True

    def dump(self) -> None:
        if self._life is not None:
            dump(self._life, None)

    def reopen_logs(self) -> None:
        self.send(Command.REOPEN_LOGS)

    def _listen(self, position: int, listener: socket.socket) -> bool:
        self.send(Command.LISTEN, (position, listener.fileno()))
        return True

    def release(self) -> None:
        if not self._abandoned:
            self._thread.join()
        os.close(self._ended)
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _run(self, pipe: Connection, mark: int) -> None:
        code = 1
        name_worker(self.spec.number, is_thread=True)
        try:
            pipe.send((Report.BOOTING, None))
            self._life = WorkerLife(self.spec, pipe)
            code = self._life.run()
        except BaseException as error:
            logger.error("%s has failed", self.name, exc_info=error)
        finally:
            self._code = code
            pipe.close()
            os.close(mark)
