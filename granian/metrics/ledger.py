"""`Ledger`: the pages of all workers, and the sums of those that have ended, so that no counter ever goes back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .exchanges import Exchange, ended_exchanges, exchanges_in_progress
from .layout import Words, layout
from .page import Page


class Watched(Protocol):
    """A worker, as the ledger needs it: `granian.supervisor.handle.WorkerHandle` is one."""

    number: int
    ready_at: float | None
    is_draining: bool

    @property
    def pid(self) -> int: ...

    @property
    def full_name(self) -> str: ...

    @property
    def interrupt_by_parent(self) -> bool:
        """It was told to end."""


@dataclass(frozen=True)
class WorkerReading:
    """One worker at one moment. Times are seconds, memory is bytes."""

    number: int
    name: str
    pid: int
    # starting, serving or draining
    state: str
    age: float
    words: Words
    # How late its event loop is: at the last tick, or by now if that is more.
    loop_lag: float
    # None if the system does not tell.
    memory: int | None

    def value(self, name: str) -> int:
        """One of its numbers."""
        return layout().value(self.words, name)


@dataclass(frozen=True)
class Reading:
    """All workers at one moment."""

    workers: list[WorkerReading]
    # By slots: the sums over all their workers. Gauges are those of the workers that live.
    slots: dict[int, Words]
    total: Words
    # Starts of workers by their cause.
    starts: Counter[str]

    def value(self, name: str) -> int:
        """One of the service's numbers."""
        return layout().value(self.total, name)


@dataclass
class _Entry:
    worker: Watched
    page: Page
    since: float
    memory: int | None = None
    measured_at: float = float("-inf")


class Ledger:
    """Keeps a page for each worker. Everything on the supervisor's thread.

    `measure` gives the resident memory of a process; it is asked every `interval` seconds at most.
    """

    def __init__(self, measure: Callable[[int], int | None], interval: float) -> None:
        self.starts: Counter[str] = Counter()
        self._measure = measure
        self._interval = interval
        self._entries: list[_Entry] = []
        self._bases: dict[int, list[int]] = {}
        self._ended: list[Exchange] = []
        # By their names, in the order in which they were seen; those that have ended.
        self._routes: dict[str, list[int]] = {}

    def open(self) -> Page:
        """A page for a worker that is about to start; `add` or its `close` follows."""
        return Page()

    def add(self, worker: Watched, page: Page, cause: str) -> None:
        """`worker` was started for this cause, and writes to `page`."""
        self.starts[cause] += 1
        self._entries.append(_Entry(worker, page, time.monotonic()))

    def remove(self, worker: Watched) -> None:
        """`worker` has ended; its numbers stay in the sums. Nothing for one that has no page."""
        for entry in [entry for entry in self._entries if entry.worker is worker]:
            base = self._base(worker.number)
            words = entry.page.words()
            for place in layout().accumulating:
                base[place] += words[place]
            self._add_routes(self._routes, entry.page)
            self._ended = self._latest(ended_exchanges([(worker.number, entry.page)], KEPT))
            self._entries.remove(entry)
            entry.page.close()

    def read(self) -> Reading:
        """The numbers now."""
        workers = [self._read(entry) for entry in self._entries]
        slots: dict[int, Words] = {number: list(base) for number, base in self._bases.items()}
        for worker in workers:
            slot = slots.setdefault(worker.number, [0] * len(worker.words))
            slots[worker.number] = [before + more for before, more in zip(slot, worker.words, strict=True)]
        total = [sum(values) for values in zip(*slots.values(), strict=True)] if slots else _zeros()
        return Reading(workers, slots, total, Counter(self.starts))

    def routes(self) -> dict[str, Words]:
        """The words of each route, summed over all workers that have ever been. At most a hundred have names."""
        for entry in self._entries:
            for name, _ in entry.page.routes():
                self._admitted(name)
        found = {name: [*words] for name, words in self._routes.items()}
        for entry in self._entries:
            self._add_routes(found, entry.page)
        return {name: words for name, words in found.items() if any(words)}

    def in_progress(self, most: int) -> list[Exchange]:
        """So many requests in progress, the oldest first; each worker shows a few hundred at most."""
        return exchanges_in_progress(self._pages(), most)

    def ended(self) -> list[Exchange]:
        """The last requests that were slow or failed, the newest first; of workers that have ended as well."""
        return self._latest(ended_exchanges(self._pages(), KEPT))

    def lags(self) -> dict[str, float]:
        """How late the event loop of each serving worker is, in seconds, by the workers' names."""
        now = time.monotonic()
        return {
            entry.worker.full_name: _lag(entry.page.words(), now)
            for entry in self._entries
            if state_of(entry.worker) == "serving"
        }

    def states(self) -> Counter[str]:
        """How many workers are in each state."""
        return Counter(state_of(entry.worker) for entry in self._entries)

    def close(self) -> None:
        """Gives all pages back."""
        for entry in self._entries:
            entry.page.close()
        self._entries.clear()

    def _add_routes(self, sums: dict[str, list[int]], page: Page) -> None:
        first = layout().places["route_statuses"]
        for name, words in page.routes():
            name = self._admitted(name)
            base = sums.setdefault(name, [0] * len(words))
            base[first:] = [before + more for before, more in zip(base[first:], words[first:], strict=True)]

    def _admitted(self, name: str) -> str:
        """The name under which a route is counted: always the same one."""
        if name not in self._routes:
            if len(self._routes) >= layout().places["route_count"] - 1:
                name = OTHERS
            self._routes.setdefault(name, [0] * layout().places["route_words"])
        return name

    def _pages(self) -> list[tuple[int, Page]]:
        return [(entry.worker.number, entry.page) for entry in self._entries]

    def _latest(self, more: list[Exchange]) -> list[Exchange]:
        """Those of workers that have ended, and `more`; the newest first."""
        return sorted([*self._ended, *more], key=lambda exchange: exchange.ended_at or 0, reverse=True)[:KEPT]

    def _read(self, entry: _Entry) -> WorkerReading:
        worker, now = entry.worker, time.monotonic()
        words = entry.page.words()
        if now - entry.measured_at >= self._interval:
            entry.memory, entry.measured_at = self._measure(worker.pid), now
        return WorkerReading(
            number=worker.number,
            name=worker.full_name,
            pid=worker.pid,
            state=state_of(worker),
            age=now - entry.since,
            words=words,
            loop_lag=_lag(words, now),
            memory=entry.memory,
        )

    def _base(self, number: int) -> list[int]:
        return self._bases.setdefault(number, _zeros())


def state_of(worker: Watched) -> str:
    """starting, serving or draining."""
    if worker.is_draining or worker.interrupt_by_parent:
        return "draining"
    return "serving" if worker.ready_at is not None else "starting"


def _lag(words: Words, now: float) -> float:
    fields = layout()
    due = fields.value(words, "tick_due") / NANOSECONDS
    late = max(now - due, 0) if due else 0
    return max(fields.value(words, "loop_lag") / NANOSECONDS, late)


def _zeros() -> list[int]:
    return [0] * layout().places["numbers"]


NANOSECONDS = 1e9
# Routes that are too many.
OTHERS = "other"
# Slow and failed exchanges that are remembered.
KEPT = 100
