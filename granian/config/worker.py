"""`WorkerOptions`: the options in the form that the core reads, once per worker.

The core has a struct for each group, with the same names: `crates/core/src/options`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..access_log import AccessLogOptions
from ..constants import Interfaces
from .http import Http1Options, Http2Options
from .limits import LimitOptions
from .metrics import MetricsOptions
from .proxies import ProxyOptions
from .static_files import StaticFilesOptions, parse_sendfile
from .times import duration
from .tls import TlsOptions
from .websocket import WebSocketOptions

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class WorkerOptions:
    """Attributes that the core reads by name."""

    # asgi, rsgi or wsgi
    interface: str
    # The application's lifespan state, if it has one.
    state: dict[str, Any] | None
    # Threads that call a WSGI application; 1: it is called on the event loop's thread.
    blocking_threads: int
    blocking_threads_idle_timeout: timedelta
    # Threads of connections; 0: they live on the event loop's thread.
    io_threads: int
    # Calls of the application at once.
    backpressure: int
    # Bytes of a request's body that waits in a file for the call of a WSGI application.
    wsgi_spool_limit: int
    # Bytes of all such files together.
    wsgi_spool_total: int
    url_path_prefix: str
    # The service has several workers.
    multiprocess: bool
    access_log: AccessLogOptions | None
    # The header that requests' names come in and go out by, in lower case. None: requests get none.
    request_id_header: str | None
    on_exception: Callable[[BaseException], None]
    # auto, 1 or 2
    http: str
    http1: Http1Options
    http2: Http2Options
    limits: LimitOptions
    websocket: WebSocketOptions
    # None: no proxy in front is believed.
    proxies: ProxyOptions | None
    # None: no folder is served beside the application.
    static_files: StaticFilesOptions | None
    # Prefixes of X-Accel-Redirect and the folders that responses may name files in.
    sendfile_map: list[tuple[str, Path]]
    # Responses are compressed for clients that take it.
    compress: bool
    # The path on which the worker says whether it is ready; None: the application has all paths.
    health_path: str | None
    # None: nobody reads the worker's numbers.
    metrics: MetricsOptions | None
    # None: connections are not secured.
    tls: TlsOptions | None

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        interface: Interfaces,
        state: dict[str, Any] | None,
        access_log: AccessLogOptions | None,
        on_exception: Callable[[BaseException], None],
    ) -> WorkerOptions:
        """The options of a worker whose application speaks `interface`, and whose numbers nobody reads."""
        return cls(
            interface=str(Interfaces.ASGI if interface == Interfaces.ASGINL else interface),
            state=state,
            blocking_threads=config.blocking_threads_for(interface),
            blocking_threads_idle_timeout=duration(config.blocking_threads_idle_timeout),
            io_threads=config.io_threads,
            backpressure=config.backpressure_for(interface),
            # A body that is larger than the total never fits.
            wsgi_spool_limit=min(config.wsgi_spool_limit, config.wsgi_spool_total or config.wsgi_spool_limit),
            wsgi_spool_total=config.wsgi_spool_total or 4 * config.wsgi_spool_limit,
            url_path_prefix=config.url_path_prefix or "",
            multiprocess=config.workers > 1,
            access_log=access_log,
            request_id_header=config.request_id_header.lower() if config.request_id_header else None,
            on_exception=on_exception,
            http=str(config.http),
            http1=Http1Options.from_settings(config.http1_settings),
            http2=Http2Options.from_settings(config.http2_settings),
            limits=LimitOptions.from_config(config),
            websocket=WebSocketOptions.from_config(config, interface),
            proxies=ProxyOptions.from_config(config),
            static_files=StaticFilesOptions.from_config(config),
            sendfile_map=[parse_sendfile(text) for text in config.sendfile_map],
            compress=config.compress,
            health_path=config.health_path,
            metrics=None,
            tls=TlsOptions.from_config(config),
        )
