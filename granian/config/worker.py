"""`WorkerOptions`: what the core reads of the options, once per worker."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..constants import HTTPModes, Interfaces
from ..log import AccessLog

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class WorkerOptions:
    """Attributes that the core reads by name."""

    # asgi, rsgi or wsgi
    interface: str
    # The application's lifespan state, if it has one.
    state: dict[str, Any] | None
    blocking_threads: int
    # s
    blocking_threads_idle_timeout: int
    backpressure: int
    root_path: str
    # auto, 1 or 2
    http: str
    websockets: bool
    # s; 0 for never
    ws_ping_interval: float
    ws_ping_timeout: float
    # bytes
    ws_max_size: int
    ws_queue_size: int
    ws_deflate: bool
    # s; 0 for never
    ws_idle_timeout: float
    ws_close_timeout: float
    # ms
    http1_header_read_timeout: int
    http1_keep_alive: bool
    # bytes
    http1_max_buffer_size: int
    http1_pipeline_flush: bool
    multiprocess: bool
    access_log: AccessLog | None
    on_exception: Callable[[BaseException], None]

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        interface: Interfaces,
        state: dict[str, Any] | None,
        access_log: AccessLog | None,
        on_exception: Callable[[BaseException], None],
    ) -> WorkerOptions:
        """The options of a worker whose application speaks `interface`."""
        http1 = config.http1_settings
        return cls(
            interface=str(Interfaces.ASGI if interface == Interfaces.ASGINL else interface),
            state=state,
            blocking_threads=config.blocking_threads_for(interface),
            blocking_threads_idle_timeout=math.ceil(config.blocking_threads_idle_timeout),
            backpressure=config.backpressure_effective,
            root_path=config.url_path_prefix or "",
            http=str(config.http),
            websockets=config.websockets and interface != Interfaces.WSGI and config.http != HTTPModes.http2,
            ws_ping_interval=config.ws_ping_interval,
            ws_ping_timeout=config.ws_ping_timeout,
            ws_max_size=config.ws_max_size,
            ws_queue_size=config.ws_queue_size,
            ws_deflate=config.ws_deflate,
            ws_idle_timeout=config.ws_idle_timeout,
            ws_close_timeout=config.ws_close_timeout,
            http1_header_read_timeout=http1.header_read_timeout,
            http1_keep_alive=http1.keep_alive,
            http1_max_buffer_size=http1.max_buffer_size,
            http1_pipeline_flush=http1.pipeline_flush,
            multiprocess=config.workers > 1,
            access_log=access_log,
            on_exception=on_exception,
        )


__all__ = ["AccessLog", "WorkerOptions"]
