"""`WorkerOptions`: what the core reads of the options, once per worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..constants import Interfaces
from ..http import HTTP2Settings

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class WorkerOptions:
    """Attributes that the core reads by name; times in seconds unless they say ms, sizes in bytes."""

    interface: str
    state: dict[str, Any] | None
    access_log: Callable[..., None] | None
    on_exception: Callable[[BaseException], None]
    blocking_threads: int = 1
    blocking_threads_idle_timeout: int = 30
    backpressure: int = 1024
    root_path: str = ""
    http: str = "auto"
    websockets: bool = True
    # ms
    http1_header_read_timeout: int = 30_000
    http1_keep_alive: bool = True
    http1_max_buffer_size: int = 417_792
    http1_pipeline_flush: bool = False
    http2_adaptive_window: bool = False
    http2_initial_connection_window_size: int = 1024 * 1024
    http2_initial_stream_window_size: int = 1024 * 1024
    # ms
    http2_keep_alive_interval: int | None = None
    http2_keep_alive_timeout: int = 20
    http2_max_concurrent_streams: int = 200
    http2_max_frame_size: int = 16_384
    http2_max_headers_size: int = 65_536
    http2_max_send_buffer_size: int = 409_600
    multiprocess: bool = False

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        interface: Interfaces,
        state: dict[str, Any] | None,
        access_log: Callable[..., None] | None,
        on_exception: Callable[[BaseException], None],
    ) -> WorkerOptions:
        """The options of a worker whose application was found to speak `interface`."""
        http1 = config.http1_settings
        http2 = config.http2_settings
        return cls(
            interface="asgi" if interface == Interfaces.ASGINL else str(interface),
            state=state,
            access_log=access_log,
            on_exception=on_exception,
            blocking_threads=config.blocking_threads_for(interface),
            blocking_threads_idle_timeout=config.blocking_threads_idle_timeout,
            backpressure=config.backpressure_per_worker,
            root_path=config.url_path_prefix or "",
            http=str(config.http),
            websockets=config.websockets,
            http1_header_read_timeout=http1.header_read_timeout,
            http1_keep_alive=http1.keep_alive,
            http1_max_buffer_size=http1.max_buffer_size,
            http1_pipeline_flush=http1.pipeline_flush,
            http2_adaptive_window=http2.adaptive_window,
            http2_initial_connection_window_size=http2.initial_connection_window_size,
            http2_initial_stream_window_size=http2.initial_stream_window_size,
            http2_keep_alive_interval=http2.keep_alive_interval,
            http2_keep_alive_timeout=http2.keep_alive_timeout,
            http2_max_concurrent_streams=http2.max_concurrent_streams,
            http2_max_frame_size=http2.max_frame_size,
            http2_max_headers_size=max_headers_size(http2.max_headers_size),
            http2_max_send_buffer_size=http2.max_send_buffer_size,
            multiprocess=config.workers > 1,
        )


def max_headers_size(configured: int) -> int:
    """The bound for decoded header sections: the default of 16 MiB would be an invitation to use it up."""
    return 65_536 if configured == HTTP2Settings().max_headers_size else min(configured, 2**32 - 1)
