"""Workers on their way out, and the deadlines by which they are killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from ..log import logger
from .handle import WorkerHandle
from .timers import Timer, Timers


class Leaving:
    """The leaving workers. A worker that was added never serves again."""

    def __init__(self, timers: Timers, drain_timeout: float, kill_timeout: float | None) -> None:
        self._timers = timers
        own = drain_timeout + KILL_GRACE
        self._time = min(own, kill_timeout or own)
        self._deadlines: dict[WorkerHandle, Timer] = {}

    def __iter__(self) -> Iterator[WorkerHandle]:
        return iter(self._deadlines)

    def add(self, worker: WorkerHandle, within: float | None = None) -> None:
        """`worker` is killed unless it has gone in time."""
        seconds = self._time if within is None else within
        self._deadlines[worker] = self._timers.after(seconds, partial(self._expire, worker))

    def remove(self, worker: WorkerHandle) -> bool:
        """`worker` has ended; whether it was leaving."""
        timer = self._deadlines.pop(worker, None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def hurry(self) -> None:
        """Ends the drain of every leaving worker. A second call does not prolong it."""
        for worker, timer in list(self._deadlines.items()):
            worker.hurry()
            if timer.when > time.monotonic() + HURRY:
                timer.cancel()
                self.add(worker, HURRY)

    def kill(self, worker: WorkerHandle) -> None:
        """Ends a worker, leaving or not."""
        worker.kill()
        # A thread that is given up makes no descriptor ready, so a timer wakes the loop.
        self._timers.after(0, lambda: None)

    def _expire(self, worker: WorkerHandle) -> None:
        logger.warning("Killing %s after it refused to gracefully stop", worker.full_name)
        self.kill(worker)


# Workers end by themselves a moment before this.
KILL_GRACE = 0.95
HURRY = 0.7
