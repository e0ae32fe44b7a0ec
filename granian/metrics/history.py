"""`History`: readings of the last minute, for rates and latencies of late."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from .layout import Field, Words, layout
from .ledger import Reading


@dataclass(frozen=True)
class Late:
    """How one worker, or all of them, did of late. Times are seconds; `None` where there was no request."""

    requests_per_second: float
    errors_per_second: float
    median: float | None
    p95: float | None
    p99: float | None


class History:
    """Keeps a reading every `INTERVAL` seconds, as `note` is called with them."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Reading]] = deque(maxlen=KEPT)

    def note(self, reading: Reading) -> None:
        self._readings.append((time.monotonic(), reading))

    def late(self, now: Reading, slot: int | None = None) -> Late:
        """From the first reading that is kept to `now`, of a slot or of all."""
        then, before = self._readings[0] if self._readings else (time.monotonic(), now)
        seconds = max(time.monotonic() - then, MOMENT)
        old = _words(before, slot)
        words = _words(now, slot)
        # A slot that was not there then began with nothing.
        passed = [new - was for new, was in zip(words, old or [0] * len(words), strict=True)]
        fields = layout().fields
        errors = sum(count for labels, count in fields["requests"].values(passed) if labels["status"] == "5xx")
        answers = sum(count for _, count in fields["requests"].values(passed))
        median, p95, p99 = (quantile(fields["duration"], passed, share) for share in (0.5, 0.95, 0.99))
        return Late(answers / seconds, errors / seconds, median, p95, p99)


def quantile(field: Field, words: Words, share: float) -> float | None:
    """The time, in seconds, below which this share of a histogram's observations are, as far as its buckets tell."""
    counts, _ = field.buckets(words)
    if counts[-1] <= 0:
        return None
    wanted = counts[-1] * share
    below, bound_below = 0, 0
    for count, bound in zip(counts, field.bounds, strict=False):
        if count >= wanted:
            part = (wanted - below) / max(count - below, 1)
            return (bound_below + (bound - bound_below) * part) / NANOSECONDS
        below, bound_below = count, bound
    return field.bounds[-1] / NANOSECONDS


def _words(reading: Reading, slot: int | None) -> Words:
    return reading.total if slot is None else reading.slots.get(slot, ())


INTERVAL = 5.0
# Readings of a minute.
KEPT = 13
MOMENT = 0.5
NANOSECONDS = 1e9
