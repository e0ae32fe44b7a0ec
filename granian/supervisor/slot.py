"""`Slot`: one worker's place, with the worker that serves, its successor, and the waits after failed starts.

    EMPTY -> BOOTING -> SERVING <-> REPLACING
                ^  |       |          |
                |  v       v          v
               WAITING <- (crash)  RETRYING (the old worker serves on)

A slot keeps the state; the crew starts, stops and logs.
"""

from __future__ import annotations

from enum import Enum

from .handle import WorkerHandle
from .timers import Timer


class SlotState(Enum):
    """The worker that serves, and the one to come."""

    EMPTY = "empty"
    # The first worker, or one after a crash, is starting; nobody serves.
    BOOTING = "booting"
    SERVING = "serving"
    # The successor is starting, the old worker serves.
    REPLACING = "replacing"
    # Nobody serves; the next start comes after a while.
    WAITING = "waiting"
    # The old worker serves; the next successor comes after a while.
    RETRYING = "retrying"
    CLOSED = "closed"


class Slot:
    """The place of `worker-N`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = SlotState.EMPTY
        self.serving: WorkerHandle | None = None
        self.coming: WorkerHandle | None = None
        # Failed starts and early deaths in a row.
        self.failures = 0
        self.retry: Timer | None = None
        # Why it is to be replaced, for the log.
        self.reason: str | None = None
        # Why the next worker is started, for the metrics.
        self.cause = "start"

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    def is_serving(self) -> bool:
        return self.serving is not None

    def workers(self) -> list[WorkerHandle]:
        return [worker for worker in (self.serving, self.coming) if worker is not None]

    def boot(self, worker: WorkerHandle) -> None:
        """`worker` is starting for this place."""
        self._drop_retry()
        assert self.coming is None and self.state is not SlotState.CLOSED, self.state
        self.coming = worker
        self.state = SlotState.REPLACING if self.serving else SlotState.BOOTING

    def promote(self) -> WorkerHandle | None:
        """The worker that was starting is ready; gives the one that it replaces."""
        assert self.state in (SlotState.BOOTING, SlotState.REPLACING), self.state
        old, self.serving, self.coming = self.serving, self.coming, None
        self.state = SlotState.SERVING
        return old

    def abandon(self) -> WorkerHandle | None:
        """Gives up the worker that is starting, and returns it."""
        self._drop_retry()
        dropped, self.coming = self.coming, None
        self._settle()
        return dropped

    def lose(self, worker: WorkerHandle) -> None:
        """`worker` has ended."""
        if worker is self.coming:
            self.coming = None
        if worker is self.serving:
            self.serving = None
        self._settle()

    def wait(self, retry: Timer) -> None:
        """The next start comes with the timer."""
        self._drop_retry()
        self.retry = retry
        self.state = SlotState.RETRYING if self.serving else SlotState.WAITING

    def close(self) -> list[WorkerHandle]:
        """Closes the place, and returns its workers, which are to stop."""
        self._drop_retry()
        workers = self.workers()
        self.serving = self.coming = None
        self.state = SlotState.CLOSED
        return workers

    def back_off(self) -> float:
        """Seconds until the next start, twice as many with every failure in a row."""
        self.failures += 1
        return float(min(FIRST_WAIT * 2 ** min(self.failures - 1, MAX_DOUBLINGS), LONGEST_WAIT))

    def _settle(self) -> None:
        match self.serving, self.coming:
            case None, None:
                self.state = SlotState.EMPTY
            case None, _:
                self.state = SlotState.BOOTING
            case _, None:
                self.state = SlotState.SERVING
            case _:
                self.state = SlotState.REPLACING

    def _drop_retry(self) -> None:
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None


FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
MAX_DOUBLINGS = 10
