"""A worker on an event loop that runs already: the application's start, its sockets, its drain and its end."""

from __future__ import annotations

import asyncio
from typing import Any

from .._granian import Worker
from ..config import Config, WorkerOptions
from ..constants import Interfaces
from ..interfaces import served
from ..interfaces.asgi import LifespanProtocol
from ..interfaces.rsgi import RSGILifespan
from ..log import log_app_exception, log_request_builder
from ..sockets import Listeners
from .renewal import Renewal


class AsyncWorker:
    """One generation of the application on the running loop; `interface` is anything but `auto` and `wsgi`."""

    def __init__(self, app: Any, interface: Interfaces, config: Config) -> None:
        self._app = app
        self._interface = interface
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._lifespan = LifespanProtocol(app) if interface == Interfaces.ASGI else None
        self._callbacks = RSGILifespan(app) if interface == Interfaces.RSGI else None
        self._worker: Worker | None = None
        # Another one is there by the time that it stops.
        self.is_replaced = False
        self._renewal: Renewal | None = None

    async def start(self, listeners: Listeners) -> None:
        """Starts the application and accepts connections; what has started ends again if the rest fails.

        # Errors
        `FatalError` if the lifespan startup fails, `ConfigurationError` for what the core refuses, and whatever
        `__rsgi_init__` raises.
        """
        if self._lifespan is not None:
            await self._lifespan.wait_startup()
        if self._callbacks is not None:
            self._callbacks.startup(self._loop)
        try:
            self._listen(listeners)
        except BaseException:
            worker, self._worker = self._worker, None
            if worker is not None:
                self._close(worker)
            await self._end()
            raise

    async def stop(self, timeout: float) -> None:
        """Drains for `timeout` seconds at most, then ends the application; a cancellation only hurries it."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        drained = asyncio.Event()
        worker.drain(lambda: self._loop.call_soon_threadsafe(drained.set) and None, self.is_replaced)
        try:
            await asyncio.wait_for(drained.wait(), timeout)
        except asyncio.TimeoutError:
            await self._cut(worker, drained)
        except asyncio.CancelledError:
            await self._cut(worker, drained)
            raise
        finally:
            self._close(worker)
            await self._end()

    def _listen(self, listeners: Listeners) -> None:
        config = self._config
        options = WorkerOptions.from_config(
            config,
            interface=self._interface,
            state=self._lifespan.state if self._lifespan is not None else None,
            access_log=log_request_builder(config.log_access_format) if config.log_access else None,
            on_exception=log_app_exception,
        )
        app = served(self._app, self._interface)
        self._worker = Worker(app, options, self._loop)
        self._loop.add_reader(self._worker.fileno(), self._worker.turn)
        redirects = listeners.redirects(config.ssl_redirect_to_port)
        for position, listener in listeners.sockets(0).items():
            redirects.listen(self._worker, position, listener)
        self._renewal = Renewal(self._worker, config)

    async def _cut(self, worker: Worker, drained: asyncio.Event) -> None:
        worker.cancel()
        try:
            await asyncio.wait_for(drained.wait(), CANCEL_TIME)
        except asyncio.TimeoutError:
            pass

    def _close(self, worker: Worker) -> None:
        if self._renewal is not None:
            self._renewal.close()
        self._loop.remove_reader(worker.fileno())
        worker.close()

    async def _end(self) -> None:
        if self._lifespan is not None:
            await self._lifespan.wait_shutdown(self._config.drain_timeout_effective)
        if self._callbacks is not None:
            self._callbacks.shutdown(self._loop)


# For what was cancelled to come to its end (s).
CANCEL_TIME = 0.5
