"""Deadlines of the supervisor's loop."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Timer:
    """One scheduled call."""

    def __init__(self, when: float, function: Callable[[], None]) -> None:
        self.when = when
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        self.function = None


class Timers:
    """Calls at times, in order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def after(self, seconds: float, function: Callable[[], None]) -> Timer:
        timer = Timer(time.monotonic() + seconds, function)
        heapq.heappush(self._heap, (timer.when, next(self._count), timer))
        return timer

    def left(self) -> float | None:
        """Seconds until the next call, None without any."""
        while self._heap and self._heap[0][2].function is None:
            heapq.heappop(self._heap)
        return max(self._heap[0][0] - time.monotonic(), 0) if self._heap else None

    def run(self) -> None:
        """Makes the calls that are due. Calls that they add wait for the next turn at least."""
        now = time.monotonic()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for timer in due:
            function, timer.function = timer.function, None
            if function is not None:
                function()
