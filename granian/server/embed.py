"""A server inside a program that has an event loop of its own.

One worker on the caller's loop: no processes, no signals. The application is an object, not a name.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._granian import Worker
from ..config import Config, WorkerOptions
from ..constants import Interfaces
from ..errors import ConfigurationError, FatalError
from ..interfaces.asgi import LifespanProtocol
from ..interfaces.detect import detect
from ..interfaces.rsgi import RSGILifespan, callable_of
from ..log import LogLevels, configure_logging, log_app_exception, log_request_builder, logger
from ..sockets import Listeners
from .common import Hook, addresses_of
from .names import former


class AsyncWorker:
    """One generation of the application on the running loop."""

    def __init__(self, app: Any, interface: Interfaces, config: Config) -> None:
        self._app = app
        self._interface = interface
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._lifespan = LifespanProtocol(app) if interface == Interfaces.ASGI else None
        self._callbacks = RSGILifespan(app) if interface == Interfaces.RSGI else None
        self._worker: Worker | None = None

    async def start(self, listeners: Listeners) -> None:
        """Starts the application and accepts connections."""
        if self._lifespan is not None:
            await self._lifespan.wait_startup()
        try:
            if self._callbacks is not None:
                self._callbacks.startup(self._loop)
            self._listen(listeners)
        except BaseException:
            await (self._end() if self._worker is None else self.stop(0))
            raise

    def _listen(self, listeners: Listeners) -> None:
        config = self._config
        options = WorkerOptions.from_config(
            config,
            interface=self._interface,
            state=self._lifespan.state if self._lifespan is not None else None,
            access_log=log_request_builder(config.log_access_format) if config.log_access else None,
            on_exception=log_app_exception,
        )
        app = callable_of(self._app) if self._interface == Interfaces.RSGI else self._app
        self._worker = Worker(app, options, self._loop)
        self._loop.add_reader(self._worker.fileno(), self._worker.turn)
        redirects = listeners.redirects(config.ssl_redirect_to_port)
        for position, listener in listeners.sockets(0).items():
            redirects.listen(self._worker, position, listener)

    async def stop(self, timeout: float) -> None:
        """Drains for so long at most, then ends the application; a cancellation only hurries it."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        drained = asyncio.Event()
        worker.drain(lambda: self._loop.call_soon_threadsafe(drained.set) and None)
        try:
            await asyncio.wait_for(drained.wait(), timeout)
        except asyncio.TimeoutError:
            await self._cut(worker, drained)
        except asyncio.CancelledError:
            await self._cut(worker, drained)
            raise
        finally:
            self._loop.remove_reader(worker.fileno())
            worker.close()
            await self._end()

    async def _cut(self, worker: Worker, drained: asyncio.Event) -> None:
        worker.cancel()
        try:
            await asyncio.wait_for(drained.wait(), CANCEL_TIME)
        except asyncio.TimeoutError:
            pass

    async def _end(self) -> None:
        if self._lifespan is not None:
            await self._lifespan.wait_shutdown(self._config.drain_timeout_effective)
        if self._callbacks is not None:
            self._callbacks.shutdown(self._loop)


class Server:
    """`await serve()` on a running loop; `stop()` and `reload()` from any thread.

    `target` is the application itself, or with `factory` what makes it. Options are those of `Granian` as far as
    they mean something without processes; positional ones come in the order of `POSITIONAL`.
    """

    def __init__(self, target: Any, *arguments: Any, **options: Any) -> None:
        configure_logging(LogLevels.info)
        if len(arguments) > len(POSITIONAL):
            raise TypeError(f"an embedded server has {len(POSITIONAL)} positional options at most")
        named = dict(zip(POSITIONAL, arguments, strict=False))
        if twice := named.keys() & options.keys():
            raise TypeError(f"{', '.join(sorted(twice))}: given twice")
        given = named | options
        known = {field.name for field in dataclasses.fields(Config)} - {"target"}
        if unknown := (given.keys() - known) | (given.keys() & REFUSED):
            raise TypeError(f"an embedded server has no {', '.join(sorted(unknown))}")
        self.target = target
        self.factory = given.pop("factory", False)
        self.config = Config.from_kwargs(target="embedded:target", **{"backlog": 128, **given})
        self.hooks_startup: list[Callable[[], Any]] = []
        self.hooks_reload: list[Callable[[], Any]] = []
        self.hooks_shutdown: list[Callable[[], Any]] = []
        self.url: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wishes: deque[str] = deque()
        self._wished: asyncio.Event | None = None
        self._has_ended = False
        self._worker: AsyncWorker | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Event | None = None
        configure_logging(self.config.log_level, self.config.log_dictconfig, self.config.log_enabled)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "config":
            raise AttributeError(name)
        return former(self.config, name)

    def on_startup(self, hook: Hook) -> Hook:
        """Runs `hook` before the application starts."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Runs `hook` before the application is started anew."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Runs `hook` after the application has ended, however it came to that."""
        self.hooks_shutdown.append(hook)
        return hook

    def stop(self) -> None:
        """Ends `serve()`, also one that is still to come."""
        self._wish("stop")

    def reload(self) -> None:
        """Starts the application anew, and then ends the old one."""
        self._wish("reload")

    async def __aenter__(self) -> Server:
        self._listening = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self.serve())
        ready = asyncio.ensure_future(self._listening.wait())
        try:
            await asyncio.wait([ready, self._task], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._task.cancel()
            await asyncio.wait([self._task])
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

        # Errors
        `FatalError` if the application cannot start, `ConfigurationError` if the server cannot.
        """
        app = self.target() if self.factory else self.target
        if asyncio.iscoroutine(app):
            app = await app
        interface = detect(app) if self.config.interface == Interfaces.AUTO else self.config.interface
        if interface == Interfaces.WSGI:
            logger.error("WSGI is not available in an embedded server")
            raise ConfigurationError("interface", "WSGI is not available in an embedded server")
        self._loop, self._wished = asyncio.get_running_loop(), asyncio.Event()
        self._has_ended = False
        logger.info("Starting granian (embedded)")
        config = self.config
        listeners = Listeners.open(addresses_of(config), 1, config.backlog, config.uds_permissions)
        try:
            scheme = "https" if config.ssl_cert is not None else "http"
            self.url = listeners.urls(scheme)[0]
            for line in listeners.announcements(scheme):
                logger.info("%s", line)
            _run(self.hooks_startup)
            make = spawn_target or AsyncWorker
            try:
                await self._serve(lambda: make(app, interface, config), listeners)
            finally:
                _run(self.hooks_shutdown)
        finally:
            self._loop = None
            self._has_ended = True
            self._wishes.clear()
            self.url = None
            listeners.close()

    async def _serve(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> None:
        self._worker = make()
        logger.info("Spawning worker-1 with id: %d", id(self._worker))
        try:
            try:
                await self._worker.start(listeners)
            except FatalError as error:
                logger.error("%s", error)
                raise FatalError("ASGI lifespan startup") from error
            logger.info("Started worker-1")
            if self._listening is not None:
                self._listening.set()
            while await self._next_wish() == "reload":
                await self._replace(make, listeners)
            logger.info("Shutting down granian")
            logger.info("Stopping worker-1")
            await self._worker.stop(self.config.drain_timeout_effective)
        finally:
            # Where the task was cancelled there is no time to drain; after a stop there is nothing left.
            await self._worker.stop(0)
            self._worker = None

    async def _replace(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> None:
        logger.info("Reload requested, gracefully respawning worker-1")
        old = self._worker
        assert old is not None
        try:
            _run(self.hooks_reload)
            new = make()
            logger.info("Spawning worker-1 with id: %d", id(new))
            await new.start(listeners)
        except FatalError as error:
            logger.error("%s; the old worker serves on", error)
            return
        except Exception as error:
            logger.error("The application cannot be started anew; the old worker serves on", exc_info=error)
            return
        logger.info("Started worker-1")
        logger.info("Stopping old worker-1")
        self._worker = new
        drain = asyncio.ensure_future(old.stop(self.config.drain_timeout_effective))
        assert self._wished is not None
        try:
            # A stop that comes meanwhile goes for both.
            while not drain.done() and "stop" not in self._wishes:
                self._wished.clear()
                wished = asyncio.ensure_future(self._wished.wait())
                await asyncio.wait([drain, wished], return_when=asyncio.FIRST_COMPLETED)
                wished.cancel()
            if not drain.done():
                await asyncio.gather(drain, new.stop(self.config.drain_timeout_effective))
        finally:
            if not drain.done():
                drain.cancel()
                await asyncio.wait([drain])
        logger.info("Stopped old worker-1")

    async def _next_wish(self) -> str:
        assert self._wished is not None
        while not self._wishes:
            self._wished.clear()
            await self._wished.wait()
        return self._wishes.popleft()

    def _wish(self, wish: str) -> None:
        if self._has_ended:
            return
        self._wishes.append(wish)
        loop, wished = self._loop, self._wished
        if loop is not None and wished is not None:
            # A loop that is closed has closed the server with it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(wished.set)


def _run(hooks: list[Callable[[], Any]]) -> None:
    for hook in hooks:
        hook()


# For what was cancelled to come to its end.
CANCEL_TIME = 0.5
POSITIONAL = (
    "address",
    "port",
    "uds",
    "interface",
    "blocking_threads",
    "blocking_threads_idle_timeout",
    "runtime_threads",
    "runtime_blocking_threads",
    "task_impl",
    "http",
    "websockets",
    "backlog",
    "backpressure",
    "http1_settings",
    "http2_settings",
    "log_enabled",
    "log_level",
    "log_dictconfig",
    "log_access",
    "log_access_format",
    "ssl_cert",
    "ssl_key",
    "ssl_key_password",
    "ssl_protocol_min",
    "ssl_ca",
    "ssl_crl",
    "ssl_client_verify",
    "url_path_prefix",
    "factory",
    "static_path_route",
    "static_path_mount",
    "static_path_dir_to_file",
    "static_path_expires",
)
# What is about processes.
REFUSED = frozenset(
    {
        "env_files",
        "hang_timeout",
        "loop",
        "max_requests",
        "max_requests_jitter",
        "metrics_enabled",
        "pid_file",
        "preload",
        "process_name",
        "reload",
        "respawn_failed_workers",
        "respawn_interval",
        "rss_sample_interval",
        "rss_samples",
        "runtime_mode",
        "workers",
        "workers_kill_timeout",
        "workers_lifetime",
        "workers_lifetime_jitter",
        "workers_max_rss",
        "working_dir",
    }
)

__all__ = ["AsyncWorker", "Server"]
