"""`MetricsOptions`: where a worker's numbers go, in the form that the core reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class MetricsOptions:
    """The page of one worker."""

    # The descriptor of its memory; the core maps it at once.
    descriptor: int
    # Requests that take so long are kept on the page.
    slow: timedelta


# A request that takes so long is shown among the slow ones.
SLOW_REQUEST = timedelta(seconds=1)
