"""A server inside a program that has an event loop of its own.

One worker on the caller's loop: no processes, no signals. The application is an object, not a name.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
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
        if self._callbacks is not None:
            self._callbacks.startup(self._loop)
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
    """`await serve()` on a running loop; `stop()` and `reload()` from any thread."""

    def __init__(self, target: Any, *arguments: Any, **options: Any) -> None:
        configure_logging(LogLevels.info)
        factory = options.pop("factory", False)
        names = [field.name for field in dataclasses.fields(Config)][1:]
        unknown = (dict(zip(POSITIONAL, arguments, strict=False)) | options).keys() - set(
            names
        ) | options.keys() & REFUSED
        if unknown:
            raise TypeError(f"an embedded server has no {', '.join(sorted(unknown))}")
        named = {"backlog": 128, **dict(zip(POSITIONAL, arguments, strict=False)), **options}
        self.target = target
        self.factory = factory
        self.config = Config.from_kwargs(target="embedded:target", **named)
        self.hooks_startup: list[Callable[[], Any]] = []
        self.hooks_reload: list[Callable[[], Any]] = []
        self.hooks_shutdown: list[Callable[[], Any]] = []
        self.url: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wishes: asyncio.Queue[str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Event | None = None
        configure_logging(self.config.log_level, self.config.log_dictconfig, self.config.log_enabled)

    def on_startup(self, hook: Hook) -> Hook:
        """Runs `hook` before the application starts."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Runs `hook` before the application is started anew."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Runs `hook` after the application has ended."""
        self.hooks_shutdown.append(hook)
        return hook

    def stop(self) -> None:
        """Ends `serve()`."""
        self._wish("stop")

    def reload(self) -> None:
        """Starts the application anew, and then ends the old one."""
        self._wish("reload")

    async def __aenter__(self) -> Server:
        self._listening = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self.serve())
        ready = asyncio.ensure_future(self._listening.wait())
        await asyncio.wait([ready, self._task], return_when=asyncio.FIRST_COMPLETED)
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
        `FatalError` if the application or the server cannot start.
        """
        app = self.target() if self.factory else self.target
        if asyncio.iscoroutine(app):
            app = await app
        interface = detect(app) if self.config.interface == Interfaces.AUTO else self.config.interface
        if interface == Interfaces.WSGI:
            raise ConfigurationError("interface", "WSGI is not available in an embedded server")
        self._loop = asyncio.get_running_loop()
        self._wishes = asyncio.Queue()
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
            await self._serve(lambda: make(app, interface, config), listeners)
            _run(self.hooks_shutdown)
        finally:
            self._wishes = None
            self.url = None
            listeners.close()

    async def _serve(self, make: Callable[[], AsyncWorker], listeners: Listeners) -> None:
        assert self._wishes is not None
        worker = make()
        logger.info("Spawning worker-1 with id: %d", id(worker))
        try:
            await worker.start(listeners)
        except FatalError as error:
            logger.error("%s", error)
            raise FatalError("ASGI lifespan startup") from error
        logger.info("Started worker-1")
        if self._listening is not None:
            self._listening.set()
        try:
            while await self._wishes.get() == "reload":
                worker = await self._replace(worker, make, listeners)
            logger.info("Shutting down granian")
            logger.info("Stopping worker-1")
            await worker.stop(self.config.drain_timeout_effective)
        finally:
            # Where the task was cancelled there is no time to drain; after a stop there is nothing left.
            await worker.stop(0)

    async def _replace(self, worker: AsyncWorker, make: Callable[[], AsyncWorker], listeners: Listeners) -> AsyncWorker:
        logger.info("HUP signal received, gracefully respawning workers..")
        _run(self.hooks_reload)
        new = make()
        logger.info("Respawning worker-1")
        logger.info("Spawning worker-1 with id: %d", id(new))
        try:
            await new.start(listeners)
        except FatalError as error:
            logger.error("%s; the old worker serves on", error)
            return worker
        logger.info("Started worker-1")
        logger.info("Stopping old worker-1")
        await worker.stop(self.config.drain_timeout_effective)
        logger.info("Stopped old worker-1")
        return new

    def _wish(self, wish: str) -> None:
        if self._loop is None or self._wishes is None:
            raise RuntimeError("the server does not serve")
        self._loop.call_soon_threadsafe(self._wishes.put_nowait, wish)


def _run(hooks: list[Callable[[], Any]]) -> None:
    for hook in hooks:
        hook()


# For what was cancelled to come to its end.
CANCEL_TIME = 0.5
POSITIONAL = ["address", "port", "uds", "interface", "blocking_threads", "blocking_threads_idle_timeout"]
REFUSED = {
    "workers",
    "runtime_mode",
    "loop",
    "workers_lifetime",
    "workers_max_rss",
    "workers_kill_timeout",
    "metrics_enabled",
    "reload",
    "pid_file",
    "env_files",
    "process_name",
    "working_dir",
}

__all__ = ["AsyncWorker", "Server"]
