"""A server inside a program that has an event loop of its own.

One worker on the caller's loop: no processes, no signals. The application is an object, not a name.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..constants import Interfaces
from ..errors import ConfigurationError, FatalError
from ..interfaces.detect import detect
from ..interfaces.fit import fitting_interface
from ..log import LogLevels, configure_logging, logger
from ..sockets import Listeners
from ..worker.async_life import AsyncWorker
from .common import addresses_of
from .embed_status import EmbeddedStatus
from .overrides import tell_uncalled
from .surface import Surface, show_signature
from .wish import Wish

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..config.keywords import EmbeddedKeywords


class Server(Surface):
    """`await serve()` on a running loop; `stop()` and `reload()` from any thread.

    `target` is the application, or with `factory=True` a function without arguments that makes it. Options are
    those of `Granian` as far as they concern one worker; `backlog` is 128 unless given.

    # Errors
    `ConfigurationError` for an option that is wrong, or that an embedded server does not have; `TypeError` for an
    unknown one.
    """

    def __init__(self, target: Any, *arguments: Any, **options: Unpack[EmbeddedKeywords]) -> None:
        configure_logging(LogLevels.info)
        named = {"backlog": BACKLOG, **_named(arguments, dict(options))}
        self.target = target
        self.factory = bool(named.pop("factory", False))
        super().__init__(Config.from_kwargs(target="embedded:target", **named))
        if (self.config.blocking_threads or 1) > 1:
            raise ConfigurationError("blocking_threads", "Blocking threads > 1 is not supported on ASGI and RSGI")
        self.url: str | None = None
        self._stop_wish = Wish()
        self._reload_wish = Wish()
        self._is_over = False
        self._worker: AsyncWorker | None = None
        self._status: EmbeddedStatus
        # The drain of a replaced worker.
        self._retirement: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Event | None = None
        config = self.config
        configure_logging(config.log_level, config.log_dictconfig, config.log_enabled, config.log_format)

    def stop(self) -> None:
        """Ends `serve()`, or lets it end as soon as it begins; nothing if it has ended."""
        if not self._is_over:
            self._stop_wish.make()

    def reload(self) -> None:
        """Starts the application anew, and then ends the old one; nothing if `serve()` has ended."""
        if not self._is_over:
            self._reload_wish.make()

    async def __aenter__(self) -> Server:
        self._listening = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self.serve())
        ready = asyncio.ensure_future(self._listening.wait())
        try:
            await asyncio.wait([ready, self._task], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await _cancelled(self._task)
            raise
        finally:
            ready.cancel()
        if self._task.done():
            await self._task
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._task is not None
        if not self._task.done():
            self.stop()
        await self._task

    async def serve(self, spawn_target: Callable[[Any, Interfaces, Config], AsyncWorker] | None = None) -> None:
        """Serves on the running loop until it is told to stop, or its task is cancelled.

        `spawn_target(app, interface, config)` makes a worker in the place of `AsyncWorker`.

        # Errors
        `FatalError` if the application or the server cannot start.
        """
        logger.warning("Embedded server is experimental!")
        tell_uncalled(self)
        self._is_over = False
        try:
            app = self.target() if self.factory else self.target
            if asyncio.iscoroutine(app):
                app = await app
            interface = detect(app) if self.config.interface == Interfaces.AUTO else self.config.interface
            if interface == Interfaces.WSGI:
                logger.error("WSGI is not available in an embedded server")
                raise ConfigurationError("interface", "WSGI is not available in an embedded server")
            interface = fitting_interface(app, interface, "the application")
            make = spawn_target or AsyncWorker
            await self._open(lambda: make(app, interface, self.config))
        finally:
            self._is_over = True
            self._stop_wish = Wish()
            self._reload_wish = Wish()

    async def _open(self, make: Callable[[], AsyncWorker]) -> None:
        logger.info("Starting granian (embedded)")
        config = self.config
        listeners = Listeners.open(addresses_of(config), 1, config.backlog, config.uds_permissions)
        try:
            with EmbeddedStatus(config) as self._status:
                scheme = "https" if config.ssl_cert is not None else "http"
                self.url = listeners.urls(scheme)[0]
                for line in [*listeners.announcements(scheme), *self._status.lines()]:
                    logger.info("%s", line)
                _run(self.hooks_startup)
                try:
                    await self._serve(make, listeners)
                finally:
                    _run(self.hooks_shutdown)
        finally:
            self.url = None
            listeners.close()

    async def _serve(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> None:
        keeper = asyncio.ensure_future(self._keep(make, listeners))
        stop = asyncio.ensure_future(self._stop_wish.take())
        try:
            await asyncio.wait([keeper, stop], return_when=asyncio.FIRST_COMPLETED)
            if keeper.done():
                # `_keep` only ends with an error.
                return keeper.result()
            logger.info("Shutting down granian")
            # A worker that is starting is not waited for.
            await _cancelled(keeper)
            self._status.is_draining = True
            await self._drain()
        finally:
            stop.cancel()
            try:
                await _cancelled(keeper)
            finally:
                # A cancelled task has no time to drain. After a stop there is nothing left to cut.
                await self._cut()

    async def _keep(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> None:
        """Starts a worker, and another one in its place for every reload."""
        try:
            self._worker = await self._started(make, listeners)
        except FatalError as error:
            logger.error("%s", error)
            if isinstance(error, ConfigurationError):
                raise
            raise FatalError("ASGI lifespan startup") from error
        if self._listening is not None:
            self._listening.set()
        while True:
            await self._reload_wish.take()
            await self._replace(make, listeners)

    async def _replace(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> None:
        logger.info("Reload requested, starting the application anew")
        old = self._worker
        assert old is not None
        try:
            _run(self.hooks_reload)
            logger.info("Respawning worker-1")
            self._worker = await self._started(make, listeners)
        except FatalError as error:
            return logger.error("%s; the old worker serves on", error)
        except Exception as error:
            return logger.error("The reload has failed, the old worker serves on", exc_info=error)
        logger.info("Stopping old worker-1")
        old.is_replaced = True
        self._retirement = asyncio.ensure_future(old.stop(self.config.drain_timeout_effective))
        # `wait` does not cancel it: a stop leaves it its time as well.
        await asyncio.wait([self._retirement])
        logger.info("Stopped old worker-1")

    async def _started(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> AsyncWorker:
        worker = make()
        logger.info("Spawning worker-1 with id: %d", id(worker))
        with self._status.watching(worker, "start" if self._worker is None else "reload"):
            await worker.start(listeners)
        logger.info("Started worker-1")
        return worker

    async def _drain(self) -> None:
        if self._worker is not None:
            logger.info("Stopping worker-1")
            await self._worker.stop(self.config.drain_timeout_effective)
        if self._retirement is not None:
            await asyncio.wait([self._retirement])

    async def _cut(self) -> None:
        worker, self._worker = self._worker, None
        retirement, self._retirement = self._retirement, None
        if retirement is not None:
            retirement.cancel()
        try:
            if worker is not None:
                await worker.stop(0)
        finally:
            if retirement is not None:
                await _cancelled(retirement)


def _named(arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """All options by their names."""
    if len(arguments) > len(POSITIONAL):
        raise TypeError(f"{len(POSITIONAL) + 1} positional arguments at most, {len(arguments) + 1} were given")
    named = dict(zip(POSITIONAL, arguments, strict=False))
    if twice := named.keys() & options.keys():
        raise TypeError(f"given twice: {', '.join(sorted(twice))}")
    known = options.keys() & {field.name for field in dataclasses.fields(Config)}
    if refused := sorted(name for name in known if not is_embeddable(name)):
        raise ConfigurationError(refused[0], "not available in an embedded server")
    return named | options


def is_embeddable(name: str) -> bool:
    """Whether an embedded server has the option of this name."""
    return (
        name in POSITIONAL or name in BY_NAME or name.startswith(("ws_", "ssl_", "static_path_", "metrics_", "health_"))
    )


def _run(hooks: list[Callable[[], Any]]) -> None:
    for hook in hooks:
        hook()


async def _cancelled(task: asyncio.Future[None]) -> None:
    """Cancels the task and waits for its end; its exception is not raised here."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# Granian 2's order.
POSITIONAL = (
    *("address", "port", "uds", "interface", "blocking_threads", "blocking_threads_idle_timeout", "runtime_threads"),
    *("runtime_blocking_threads", "task_impl", "http", "websockets", "backlog", "backpressure", "http1_settings"),
    *("http2_settings", "log_enabled", "log_level", "log_dictconfig", "log_access", "log_access_format", "ssl_cert"),
    *("ssl_key", "ssl_key_password", "ssl_protocol_min", "ssl_ca", "ssl_crl", "ssl_client_verify", "url_path_prefix"),
    *("factory", "static_path_route", "static_path_mount", "static_path_dir_to_file", "static_path_expires"),
)
# Keywords, beside all of websockets, TLS and static files.
BY_NAME = (
    *("bind", "fd", "uds_permissions", "drain_timeout", "keep_alive_timeout", "request_body_timeout"),
    *("request_body_min_rate", "write_timeout", "request_timeout", "cancel_on_disconnect", "max_headers"),
    *("max_target_size", "max_body_size", "max_requests_per_connection", "max_connections"),
    *("max_connections_per_client", "max_queued_requests", "queue_timeout", "overload", "overload_target"),
    *("overload_interval", "compress", "log_format", "access_log_file", "access_log_exclude"),
    *("access_log_sample", "request_id_header", "slow_request", "loop_lag", "forwarded_allow_ips"),
    *("forwarded_headers", "proxy_protocol", "sendfile_map", "runtime_mode"),
)
# Connections that wait in a listening socket of one worker.
BACKLOG = 128
show_signature(Server, POSITIONAL, is_embeddable, backlog=BACKLOG)

__all__ = ["AsyncWorker", "Server"]
