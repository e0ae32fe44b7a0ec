"""A worker on an event loop that runs already: the application's start, its sockets, its drain and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..config import Config
from ..constants import Interfaces
from ..interfaces.asgi import LifespanProtocol
from ..interfaces.rsgi import RSGILifespan
from ..metrics.page import Page
from ..sockets import Listeners
from .renewal import Renewal
from .serving import Application, Serving


class AsyncWorker:
    """One generation of the application on the running loop; `interface` is anything but `auto` and `wsgi`."""

    def __init__(self, app: Any, interface: Interfaces, config: Config) -> None:
        self._app = app
        self._interface = interface
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._lifespan = LifespanProtocol(app) if interface == Interfaces.ASGI else None
        self._callbacks = RSGILifespan(app) if interface == Interfaces.RSGI else None
        self._serving: Serving | None = None
        # True if another one has its place when it stops.
        self.is_replaced = False
        self._renewal: Renewal | None = None
        # Where its numbers go, if somebody reads them.
        self.page: Page | None = None
        # Called when it begins to drain, and with True when it has ended.
        self.on_end: Callable[[bool], None] = lambda is_over: None

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
            serving, self._serving = self._serving, None
            if serving is not None:
                self._close(serving)
            await self._end()
            raise

    async def stop(self, timeout: float) -> None:
        """Drains for `timeout` seconds at most, then ends the application; a cancellation only hurries it."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        self.on_end(False)
        drained = serving.drain(self.is_replaced)
        try:
            if drained not in (await asyncio.wait([drained], timeout=timeout))[0]:
                await serving.cut(drained, CANCEL_TIME)
        except asyncio.CancelledError:
            await serving.cut(drained, CANCEL_TIME)
            raise
        finally:
            self._close(serving)
            self.on_end(True)
            await self._end()

    def _listen(self, listeners: Listeners) -> None:
        config = self._config
        state = self._lifespan.state if self._lifespan is not None else None
        self._serving = Serving(Application(self._app, self._interface, state), config, self._loop, self.page)
        self._serving.listen(listeners.roles(config.ssl_redirect_to_port), listeners.sockets(0))
        self._renewal = Renewal(self._serving.worker, config)

    def _close(self, serving: Serving) -> None:
        if self._renewal is not None:
            self._renewal.close()
        serving.close()

    async def _end(self) -> None:
        if self._lifespan is not None:
            await self._lifespan.wait_shutdown(self._config.drain_timeout_effective)
        if self._callbacks is not None:
            self._callbacks.shutdown(self._loop)


# Seconds for cancelled requests to end.
CANCEL_TIME = 0.5
