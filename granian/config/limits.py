"""`LimitOptions`: the limits and clocks of requests and connections, in the form that the core reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..constants import Overload
from .times import LONGEST, duration, limit

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class LimitOptions:
    """Whatever protocol is spoken; sizes in bytes, `None` for no limit."""

    keep_alive_timeout: timedelta
    request_body_timeout: timedelta
    # bytes a second
    request_body_min_rate: int | None
    write_timeout: timedelta
    request_timeout: timedelta | None
    cancel_on_disconnect: bool
    max_headers: int
    max_target_size: int
    max_body_size: int | None
    max_requests_per_connection: int | None
    max_connections: int | None
    max_connections_per_client: int | None
    max_queued_requests: int | None
    queue_timeout: timedelta | None
    # The time in a standing queue, and the time after which a queue is one; None: requests wait.
    overload: tuple[timedelta, timedelta] | None

    @classmethod
    def from_config(cls, config: Config) -> LimitOptions:
        """The group. A time of 0 is none, so it becomes one that nobody lives to see."""
        overload = None
        if config.overload != Overload.off:
            overload = duration(config.overload_target), duration(config.overload_interval)
        return cls(
            keep_alive_timeout=duration(config.keep_alive_timeout),
            request_body_timeout=duration(config.request_body_timeout or LONGEST),
            request_body_min_rate=config.request_body_min_rate or None,
            write_timeout=duration(config.write_timeout or LONGEST),
            request_timeout=limit(config.request_timeout),
            cancel_on_disconnect=config.cancel_on_disconnect,
            max_headers=config.max_headers,
            max_target_size=config.max_target_size,
            max_body_size=config.max_body_size,
            max_requests_per_connection=config.max_requests_per_connection,
            max_connections=config.max_connections,
            max_connections_per_client=config.max_connections_per_client,
            max_queued_requests=config.max_queued_requests,
            queue_timeout=limit(config.queue_timeout),
            overload=overload,
        )
