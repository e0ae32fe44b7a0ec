"""`EmbeddedStatus`: the status listener of an embedded server, on the loop of the program."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..config import Config
from ..metrics import Ledger
from ..metrics.families import Service
from ..status import Endpoints, StatusListener
from ..status.address import bind_status, is_local, status_lines
from ..supervisor.health import resident_bytes
from ..worker.async_life import AsyncWorker


@dataclass(eq=False)
class Generation:
    """A worker as the ledger sees it."""

    number: int = 1
    pid: int = 0
    ready_at: float | None = None
    is_draining: bool = False
    interrupt_by_parent: bool = False
    full_name: str = "worker-1"


class EmbeddedStatus:
    """Does nothing without `metrics_enabled`. A stuck loop does not answer here: it is the application's own.

    # Errors
    `ConfigurationError` if the address cannot be had.
    """

    def __init__(self, config: Config) -> None:
        self.is_draining = False
        self._config = config
        self._sockets = bind_status(config)
        self._ledger = Ledger(resident_bytes, config.metrics_scrape_interval)
        self._listener: StatusListener | None = None

    def __enter__(self) -> EmbeddedStatus:
        """Answers from now on."""
        if not self._sockets:
            return self
        loop = asyncio.get_running_loop()
        endpoints = Endpoints(self._config, self._ledger, self._state, is_local(self._sockets))
        self._listener = StatusListener(self._sockets, endpoints.answer, self._after, lambda item: None)
        endpoints.keep_readings(self._after)
        for item in self._listener.waitables():
            loop.add_reader(item, self._listener.turn)
        return self

    def __exit__(self, *exception: object) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            for item in listener.waitables():
                asyncio.get_running_loop().remove_reader(item)
            listener.close()
        self._ledger.close()

    def lines(self) -> Iterator[str]:
        """Lines for the log: what is served where."""
        return status_lines(self._config, self._sockets)

    @contextmanager
    def watching(self, worker: AsyncWorker, cause: str) -> Iterator[None]:
        """Gives `worker`, which starts within, a page, until it has ended."""
        if not self._sockets:
            yield
            return
        generation = Generation(pid=os.getpid())
        worker.page = self._ledger.open()
        self._ledger.add(generation, worker.page, cause)

        def note(is_over: bool) -> None:
            generation.is_draining = True
            if is_over:
                self._ledger.remove(generation)

        worker.on_end = note
        try:
            yield
        except BaseException:
            note(is_over=True)
            raise
        generation.ready_at = time.monotonic()

    def _after(self, seconds: float, function: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, lambda: function() if self._listener is not None else None)

    def _state(self) -> Service:
        return Service(not self.is_draining and self._ledger.states()["serving"] > 0, self.is_draining)
