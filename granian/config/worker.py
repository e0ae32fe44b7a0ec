"""`WorkerOptions`: what the core reads of the options, once per worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..constants import Interfaces

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
            multiprocess=config.workers > 1,
        )
