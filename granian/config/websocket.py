"""`WebSocketOptions`: the `ws_*` options in the form that the core reads, under their names without the prefix."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..constants import Interfaces
from .times import duration, limit

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class WebSocketOptions:
    """Websockets; sizes in bytes, `None` for no limit."""

    # False: a request for a websocket is a request like others.
    enabled: bool
    ping_interval: timedelta | None
    ping_timeout: timedelta | None
    max_size: int
    queue_size: int
    deflate: bool
    idle_timeout: timedelta | None
    close_timeout: timedelta

    @classmethod
    def from_config(cls, config: Config, interface: Interfaces) -> WebSocketOptions:
        """The group for an application that speaks `interface`; WSGI has no websockets."""
        return cls(
            enabled=config.websockets and interface != Interfaces.WSGI,
            ping_interval=limit(config.ws_ping_interval),
            ping_timeout=limit(config.ws_ping_timeout),
            max_size=config.ws_max_size,
            queue_size=config.ws_queue_size,
            deflate=config.ws_deflate,
            idle_timeout=limit(config.ws_idle_timeout),
            close_timeout=duration(config.ws_close_timeout),
        )
