"""`Serving`: the core's worker on an event loop, from its making to its close, for both kinds of life."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .._granian import LoadedTls, Worker, load_tls
from ..access_log import AccessLogOptions, RecordThread
from ..config import Config, TlsOptions, WorkerOptions
from ..config.metrics import MetricsOptions
from ..constants import Interfaces
from ..errors import ConfigurationError
from ..formatters import worker_number
from ..interfaces import served
from ..log import log_app_exception, logger
from ..metrics.page import Page
from ..sockets import Accepting, Roles
from ..tasks import resolve
from .watch import Watch


@dataclass(frozen=True)
class Application:
    """What is served: any interface but `auto`, and the state of its lifespan, if it has one."""

    app: Any
    interface: Interfaces
    state: dict[str, Any] | None


class Serving:
    """Serves an application on the loop until it is drained and closed; its numbers go to the page."""

    def __init__(
        self,
        application: Application,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        page: Page | None = None,
    ) -> None:
        access_log = AccessLogOptions.from_config(config, worker_number() or 1)
        options = WorkerOptions.from_config(
            config,
            interface=application.interface,
            state=application.state,
            access_log=access_log,
            on_exception=log_app_exception,
        )
        if page is not None:
            options = replace(options, metrics=MetricsOptions.from_config(config, page.fileno()))
        self.worker = Worker(served(application.app, application.interface), options, loop)
        if page is not None:
            # The core has mapped it.
            page.close_descriptor()
        self.accepting: Accepting | None = None
        records = self.worker.access_records
        self._records = RecordThread(records, access_log.template) if records and access_log else None
        if self._records is not None:
            self._records.start()
        is_threaded = application.interface == Interfaces.WSGI and options.blocking_threads > 1
        self.watch = Watch(self.worker.in_flight, loop, config.slow_request, config.loop_lag, is_threaded)
        self.watch.start()
        self._loop = loop
        self._config = config
        self._is_closed = False
        # Certificates that are being read.
        self._tls: asyncio.Future[LoadedTls] | None = None
        loop.add_reader(self.worker.fileno(), self.worker.turn)

    def set_turn(self, turn: Callable[[], None]) -> None:
        """`turn` is called in the place of the core's own, which it calls."""
        self.worker.set_turn(turn)
        self._loop.add_reader(self.worker.fileno(), turn)

    def listen(self, roles: Roles, sockets: dict[int, socket.socket]) -> None:
        """Accepts from now on."""
        self.accepting = Accepting(self.worker, roles, sockets)

    def reload_tls(self) -> None:
        """Reads certificates and keys anew, for the connections to come."""
        options = TlsOptions.from_config(self._config)
        if options is not None:
            # On a thread, since to open an encrypted key takes longer than requests should wait.
            self._tls = self._loop.run_in_executor(None, load_tls, options)
            self._tls.add_done_callback(self._take_tls)

    def drain(self, is_replaced: bool) -> asyncio.Future[None]:
        """Accepts nothing new; the future is done when no connection and no call of the application is left."""
        drained: asyncio.Future[None] = self._loop.create_future()
        # The last call may end on a thread of the pool.
        self.worker.drain(lambda: self._loop.call_soon_threadsafe(resolve, drained) and None, is_replaced)
        return drained

    async def cut(self, drained: asyncio.Future[None], timeout: float) -> None:
        """Ends the drain: cancels what is left, and gives it `timeout` seconds."""
        if count := self.worker.requests:
            logger.warning("Cancelling %d request%s that did not end", count, "s" if count > 1 else "")
        self.worker.cancel()
        await asyncio.wait([drained], timeout=timeout)

    def close(self) -> None:
        """Drops everything at once."""
        self._is_closed = True
        self._loop.remove_reader(self.worker.fileno())
        self.watch.close()
        self.worker.close()
        if self._records is not None:
            self._records.join(RECORDS_TIMEOUT)
        if self.accepting is not None:
            self.accepting.close()

    def _take_tls(self, loaded: asyncio.Future[LoadedTls]) -> None:
        # An older result than the last one asked for is dropped.
        if self._is_closed or loaded is not self._tls or loaded.cancelled():
            return
        try:
            self.worker.set_tls(loaded.result())
        except ConfigurationError as error:
            # The supervisor has read them, but they may have changed since. It will look again.
            logger.warning("The certificates stay as they were: %s", error)


# Seconds for the last lines of the access log.
RECORDS_TIMEOUT = 0.5
