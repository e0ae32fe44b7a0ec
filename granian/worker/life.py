"""One worker, from loading the application to leaving.

Owns the order of a worker's life: load, start, listen, serve, drain, cancel, shut down, close. It runs
in a process or a thread of its own; how it got there, and what becomes of it, is the supervisor's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from .. import forks
from .._loops import loops
from ..importer import find_target, finish_factory
from ..interfaces import Lifespan, LifespanProtocol, lifespan_of
from ..interfaces.fit import fitting_interface
from ..log import logger
from ..start_errors import describe
from ..tasks import cancel_all, others, resolve, taken, when_done
from .logfiles import keep_loggers, reopen_log_files
from .pipe import WorkerPipe, uninterrupted
from .report import Command, Report
from .request_limit import counted_turn
from .serving import Application, Serving
from .spec import WorkerSpec


class WorkerLife:
    """The life of one worker on the calling thread."""

    def __init__(self, spec: WorkerSpec, pipe: Connection) -> None:
        self.spec = spec
        self.loop: asyncio.AbstractEventLoop | None = None
        # The exit code of the process, even if it ends before `run` returns.
        self.exit_code = 0
        self._process = os.getpid()
        self._pipe = WorkerPipe(pipe)
        self._serving: Serving | None = None
        self._lifespan: Lifespan | None = None
        self._main: asyncio.Task[None] | None = None
        self._starting = True
        self._stopping = False
        self._is_replaced = False
        self._reason: str | None = None  # of a stop that nobody asked for
        self._stop = asyncio.Event()
        self._hurry: asyncio.Future[None]
        self._deadline = 0.0
        # Set by the process around this life: called when the end begins, with seconds until it must be over.
        self.on_stopping: Callable[[float], None] = lambda seconds: None
        # Called when the application is loaded, before it starts.
        self.on_loaded: Callable[[], None] = lambda: None
        # Tasks from before the first request belong to the application's lifespan.
        self._startup_tasks: set[asyncio.Task[Any]] = set()

    def run(self) -> int:
        """Runs the worker to its end; returns the exit code."""
        try:
            self._load()
        except BaseException as error:
            self._fail(error)
            return self.exit_code
        assert self.loop is not None
        try:
            self._live(self.loop)
        except BaseException:
            self.exit_code = 1
            raise
        finally:
            self._close(self.loop)
        return self.exit_code

    @property
    def serving(self) -> Serving | None:
        """The core's worker and its watch, while there are any."""
        return self._serving

    def request_stop(self) -> None:
        """Begins the drain; from a signal's handler on the worker's own thread, or another one."""
        if self._stopping:
            return
        self._stopping = True
        self._deadline = time.monotonic() + self.spec.drain_timeout
        self._begin_stop()

    def request_cancel(self) -> None:
        """Ends the drain at once."""
        self.request_stop()
        self._deadline = min(self._deadline, time.monotonic())
        self.on_stopping(FORCED)
        self.call_soon(self._handle_cancel)

    def call_soon(self, function: Callable[[], Any]) -> None:
        """Calls it on the event loop; from a signal's handler or another thread."""
        try:
            if self.loop is not None:
                self.loop.call_soon_threadsafe(function)
        except RuntimeError:
            # The loop is closed, and the worker about to end.
            pass

    # Starting.

    def _load(self) -> None:
        config = self.spec.config
        self.loop = loop = loops.get(config.loop)
        app = self._find_app(loop)
        keep_loggers()
        interface = fitting_interface(app, config.interface, config.target)
        self._lifespan = lifespan_of(app, interface)
        self._pipe.watch(loop, self._handle_commands)
        self.on_loaded()
        self._lifespan.startup(loop)
        keep_loggers()
        self._startup_tasks = asyncio.all_tasks(loop)
        self._serving = Serving(Application(app, interface, self._lifespan.state), config, loop, self.spec.page)
        if self.spec.request_limit is not None:
            worker, limit = self._serving.worker, self.spec.request_limit
            self._serving.set_turn(counted_turn(worker, limit, lambda: self._pipe.report(Report.SPENT)))
        self._serving.listen(self.spec.roles, self.spec.sockets)

    def _find_app(self, loop: asyncio.AbstractEventLoop) -> Any:
        config = self.spec.config
        if self.spec.loader is not None:
            return self.spec.loader.load(config.target)
        app = find_target(config.target, config.working_dir)
        return finish_factory(app, loop, config.target) if config.factory else app

    def _adopt(self, position: int, descriptor: int | None) -> None:
        """Accepts on a socket whose own worker is gone."""
        listener = self._pipe.listener() if descriptor is None else socket.socket(fileno=os.dup(descriptor))
        accepting = self._serving.accepting if self._serving is not None else None
        if accepting is None or self._stopping:
            return listener.close()
        accepting.adopt(position, listener)

    def _fail(self, error: BaseException) -> None:
        self._starting = False
        if not self._stopping:
            self.exit_code = 1
        if self.loop is not None:
            try:
                # Tasks of the start end in order.
                self.loop.run_until_complete(asyncio.wait_for(self._end_tasks(), GRACE / 2))
            except (Exception, SystemExit, KeyboardInterrupt, asyncio.CancelledError) as second:
                logger.debug("The tasks of a failed start did not end: %r", second)
            self._close(self.loop)
        if self._stopping:
            return self._pipe.report(Report.GONE)
        keep_loggers()
        self._pipe.report(Report.FAILED, describe(error))

    # Serving.

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._lifespan is not None
        self._starting = False
        self._hurry = loop.create_future()
        self._main = loop.create_task(self._serve(loop), name="granian-worker")
        while not self._main.done():
            try:
                loop.run_until_complete(self._main)
            except (SystemExit, KeyboardInterrupt) as error:
                if os.getpid() != self._process:
                    forks.leave(error)
                # It may be how the application itself answers the signal that tells this worker to stop.
                self._handle_commands()
                if self._stopping:
                    logger.debug("The application has left with %r", error)
                    # The handler may have run in the middle of it.
                    self._begin_stop()
                    continue
                logger.error("The application has left with %r, stopping", error)
                self._reason = f"the application has left with {error!r}"
                self.exit_code = 1
                self.request_stop()
        try:
            self._lifespan.shutdown(loop, max(self._deadline + GRACE / 2 - time.monotonic(), MOMENT))
        except Exception as error:
            logger.error("The application's shutdown failed", exc_info=error)
        loop.run_until_complete(self._end_tasks())
        self._pipe.report(Report.GONE)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pipe.report(Report.READY)
        if self.spec.config.hang_timeout:
            self._beat(loop, self.spec.config.hang_timeout / BEATS)
        await self._stop.wait()
        await self._drain(loop)

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        serving = self._serving
        assert serving is not None and serving.accepting is not None
        # A signal overtakes what was said before it.
        self._handle_commands()
        drained = serving.drain(self._is_replaced)
        # The supervisor may end the sockets then.
        await taken(serving.accepting.listeners)
        self._pipe.report(Report.DRAINING, self._reason)
        if not await self._wait(drained, self._deadline):
            await serving.cut(drained, GRACE / 4)
        await self._wait_for_background(loop)

    async def _wait_for_background(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leaves tasks that requests have started `--background-timeout` seconds to end by themselves.

        None is cancelled yet: a task group that the lifespan holds open takes the cancellation of its child by anybody
        else for a failure.
        """
        until = min(self._deadline, time.monotonic() + self.spec.config.background_timeout)
        while tasks := others(loop, self._startup_tasks):
            if not await self._wait(when_done(loop, tasks), until):
                logger.debug("Not waiting any longer for %d background tasks", len(tasks))
                return

    async def _wait(self, future: asyncio.Future[None], until: float) -> bool:
        """Waits for the future until that time, or until the stop is hurried; returns whether it is done."""
        left = max(until - time.monotonic(), 0)
        await asyncio.wait([future, self._hurry], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return future.done()

    async def _end_tasks(self) -> None:
        assert self.loop is not None
        await cancel_all(self.loop, set(), GRACE / 4)
        await self.loop.shutdown_asyncgens()

    def _beat(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._pipe.beat()
        if not self._stopping:
            loop.call_later(interval, self._beat, loop, interval)

    # The pipe and the end.

    def _handle_commands(self) -> None:
        try:
            with uninterrupted():
                for command, value in self._pipe.commands():
                    self._handle_command(command, value)
        except EOFError:
            # The supervisor is dead.
            self._pipe.unwatch()
            self.request_stop()

    def _handle_command(self, command: Command, value: Any) -> None:
        match command:
            case Command.LISTEN:
                self._adopt(*value)
            case Command.UNLISTEN if self._serving is not None and self._serving.accepting is not None:
                self._serving.accepting.leave(value)
            case Command.RELOAD_TLS if self._serving is not None:
                self._serving.reload_tls()
            case Command.UNREADY if self._serving is not None:
                self._serving.worker.set_ready(False)
            case Command.REPLACED:
                self._is_replaced = True
            case Command.STOP:
                self.request_stop()
            case Command.REOPEN_LOGS:
                reopen_log_files(self._serving)
            case Command.CANCEL:
                self.request_cancel()

    def _begin_stop(self) -> None:
        self.on_stopping(self.spec.drain_timeout + GRACE)
        self.call_soon(self._handle_stop)

    def _handle_stop(self) -> None:
        self._stop.set()
        if not self._starting or self.loop is None:
            return
        # The application's startup is cancelled; its lifespan is ended by whoever waits for that.
        lifespan = self._lifespan.lifespan_task() if isinstance(self._lifespan, LifespanProtocol) else None
        for task in asyncio.all_tasks(self.loop) - {lifespan}:
            task.cancel()

    def _handle_cancel(self) -> None:
        if self._main is not None:
            resolve(self._hurry)

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._serving is not None:
            self._serving.close()
        # The worker must be dropped on its own thread.
        self._serving = None
        self._pipe.unwatch()
        loop.close()


# Seconds between the end of the drain and the end of the process.
GRACE = 0.8
# Seconds to end in after a second signal.
FORCED = 0.5
MOMENT = 0.1
# Heartbeats within `hang_timeout`.
BEATS = 4
