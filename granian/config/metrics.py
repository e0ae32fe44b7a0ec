"""`MetricsOptions`: where a worker's numbers go, in the form that the core reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from .times import duration

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class MetricsOptions:
    """The page of one worker."""

    # The descriptor of its memory; the core maps it at once.
    descriptor: int
    # Requests that take so long are kept on the page.
    slow: timedelta
    # Numbers by the routes that applications name.
    routes: bool

    @classmethod
    def from_config(cls, config: Config, descriptor: int) -> MetricsOptions:
        """The page of this descriptor; `slow_request` says what is slow, without it a second."""
        slow = SLOW_REQUEST if config.slow_request is None else duration(config.slow_request)
        return cls(descriptor, slow, config.metrics_routes)


SLOW_REQUEST = timedelta(seconds=1)
