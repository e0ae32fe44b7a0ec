"""`WorkerOptions`: the options in the form that the core reads, once per worker."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..constants import Interfaces
from ..http import HTTP2Settings
from ..log import AccessLog
from .tls import TlsOptions

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
    http2_adaptive_window: bool
    # bytes
    http2_initial_connection_window_size: int
    http2_initial_stream_window_size: int
    # ms; None for no pings
    http2_keep_alive_interval: int | None
    # s
    http2_keep_alive_timeout: int
    http2_max_concurrent_streams: int
    # bytes
    http2_max_frame_size: int
    http2_max_headers_size: int
    http2_max_send_buffer_size: int
    # None: connections are not secured
    ssl: TlsOptions | None
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
        http2 = config.http2_settings
        return cls(
            interface=str(Interfaces.ASGI if interface == Interfaces.ASGINL else interface),
            state=state,
            blocking_threads=config.blocking_threads_for(interface),
            blocking_threads_idle_timeout=math.ceil(config.blocking_threads_idle_timeout),
            backpressure=config.backpressure_effective,
            root_path=config.url_path_prefix or "",
            http=str(config.http),
            websockets=config.websockets and interface != Interfaces.WSGI,
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
            http2_adaptive_window=http2.adaptive_window,
            http2_initial_connection_window_size=http2.initial_connection_window_size,
            http2_initial_stream_window_size=http2.initial_stream_window_size,
            http2_keep_alive_interval=http2.keep_alive_interval,
            http2_keep_alive_timeout=math.ceil(http2.keep_alive_timeout),
            http2_max_concurrent_streams=http2.max_concurrent_streams,
            http2_max_frame_size=http2.max_frame_size,
            http2_max_headers_size=max_headers_size(http2.max_headers_size),
            http2_max_send_buffer_size=http2.max_send_buffer_size,
            ssl=TlsOptions.from_config(config),
            multiprocess=config.workers > 1,
            access_log=access_log,
            on_exception=on_exception,
        )


def max_headers_size(configured: int) -> int:
    """The bound for decoded header sections. The default of 16 MiB, from granian 2, counts as 64 KiB."""
    return 65_536 if configured == HTTP2Settings().max_headers_size else min(configured, 2**32 - 1)


__all__ = ["AccessLog", "WorkerOptions"]
