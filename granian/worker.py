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

from ._granian import LoadedTls, Worker, load_tls
from ._loops import loops
from .config import TlsOptions, WorkerOptions
from .constants import Interfaces
from .errors import ConfigurationError
from .failure import describe
from .importer import find_target, finish_factory
from .interfaces import Lifespan, LifespanProtocol, lifespan_of, served
from .interfaces.detect import detect
from .log import log_app_exception, log_request_builder, logger
from .sockets import Accepting
from .supervisor.logfiles import keep_loggers
from .supervisor.pipe import WorkerPipe
from .supervisor.report import Boot, Command, Report
from .tasks import cancel_all, others, resolve, taken, when_done
from .turns import turn_of


class WorkerLife:
    """The life of one worker on the calling thread."""

    def __init__(self, boot: Boot, pipe: Connection) -> None:
        self.boot = boot
        self.worker: Worker | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        # What the process ends with, even if it is ended before `run` returns.
        self.exit_code = 0
        self._pipe = WorkerPipe(pipe)
        self._accepting: Accepting | None = None
        # Certificates that are being read.
        self._tls: asyncio.Future[LoadedTls] | None = None
        self._lifespan: Lifespan | None = None
        self._main: asyncio.Task[None] | None = None
        self._starting = True
        self._stopping = False
        self._is_replaced = False
        # Why it stops, if nobody has told it to.
        self._reason: str | None = None
        self._stop = asyncio.Event()
        self._hurry: asyncio.Future[None]
        self._deadline = 0.0
        # Set by the process around this life: called when the end begins, with seconds until it must be over.
        self.on_stopping: Callable[[float], None] = lambda seconds: None
        # And when the application is there, but has not started yet.
        self.on_loaded: Callable[[], None] = lambda: None
        # What was there before the first request belongs to the application's lifespan.
        self._startup_tasks: set[asyncio.Task[Any]] = set()

    def run(self) -> int:
        """Lives; gives the exit code."""
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

    def request_stop(self) -> None:
        """Begins the drain; from a signal's handler on the worker's own thread, or another one."""
        if self._stopping:
            return
        self._stopping = True
        self._deadline = time.monotonic() + self.boot.drain_timeout
        self.on_stopping(self.boot.drain_timeout + GRACE)
        self.call_soon(self._handle_stop)

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
            # The loop is closed: the end is near.
            pass

    # Starting.

    def _load(self) -> None:
        config = self.boot.config
        self.loop = loop = loops.get(config.loop)
        app = self._find_app(loop)
        keep_loggers()
        interface = detect(app) if config.interface == Interfaces.AUTO else Interfaces(config.interface)
        self._lifespan = lifespan_of(app, interface)
        self._pipe.watch(loop, self._handle_commands)
        self.on_loaded()
        self._lifespan.startup(loop)
        keep_loggers()
        self._startup_tasks = asyncio.all_tasks(loop)
        options = WorkerOptions.from_config(
            config,
            interface=interface,
            state=self._lifespan.state,
            access_log=log_request_builder(config.log_access_format) if config.log_access else None,
            on_exception=log_app_exception,
        )
        target = served(app, interface)
        self.worker = Worker(target, options, loop)
        turn = turn_of(self.worker, self.boot.request_limit, lambda: self._pipe.report(Report.SPENT))
        self.worker.set_turn(turn)
        loop.add_reader(self.worker.fileno(), turn)
        self._accepting = Accepting(self.worker, self.boot.redirects, self.boot.sockets)

    def _find_app(self, loop: asyncio.AbstractEventLoop) -> Any:
        config = self.boot.config
        if self.boot.loader is not None:
            return self.boot.loader.load(config.target)
        app = find_target(config.target, config.working_dir)
        return finish_factory(app, loop) if config.factory else app

    def _reload_tls(self) -> None:
        options = TlsOptions.from_config(self.boot.config)
        if self.loop is None or options is None:
            return
        # To open an encrypted key takes longer than requests should wait.
        self._tls = self.loop.run_in_executor(None, load_tls, options)
        self._tls.add_done_callback(self._take_tls)

    def _take_tls(self, loaded: asyncio.Future[LoadedTls]) -> None:
        # Those that have been asked for last are read last.
        if self.worker is None or loaded is not self._tls or loaded.cancelled():
            return
        try:
            self.worker.set_tls(loaded.result())
        except ConfigurationError as error:
            # The supervisor has read them, but they may have changed since. It will look again.
            logger.warning("The certificates stay as they were: %s", error)

    def _adopt(self, position: int, descriptor: int | None) -> None:
        """Accepts on a socket whose own worker is gone."""
        listener = self._pipe.listener() if descriptor is None else socket.socket(fileno=os.dup(descriptor))
        if self._accepting is None or self._stopping:
            return listener.close()
        self._accepting.adopt(position, listener)

    def _fail(self, error: BaseException) -> None:
        self._starting = False
        if not self._stopping:
            self.exit_code = 1
        if self.loop is not None:
            try:
                # What has been started so far ends in order.
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
        if self.boot.config.hang_timeout:
            self._beat(loop, self.boot.config.hang_timeout / BEATS)
        await self._stop.wait()
        await self._drain(loop)

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self.worker is not None and self._accepting is not None
        drained = loop.create_future()
        # The last call may end on a thread of the pool.
        # A signal overtakes what was said before it.
        self._handle_commands()
        self.worker.drain(lambda: loop.call_soon_threadsafe(resolve, drained) and None, self._is_replaced)
        # The supervisor may end the sockets then.
        await taken(self._accepting.listeners)
        self._pipe.report(Report.DRAINING, self._reason)
        if not await self._wait(drained):
            if count := self.worker.requests:
                logger.warning("Cancelling %d request%s that did not end", count, "s" if count > 1 else "")
            self.worker.cancel()
            await asyncio.wait([drained], timeout=GRACE / 4)
        while tasks := others(loop, self._kept_tasks()):
            if not await self._wait(when_done(loop, tasks)):
                break
        await cancel_all(loop, self._kept_tasks(), GRACE / 4)

    async def _wait(self, future: asyncio.Future[None]) -> bool:
        """Waits within the drain's time; whether it came to its end."""
        left = max(self._deadline - time.monotonic(), 0)
        await asyncio.wait([future, self._hurry], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return future.done()

    def _kept_tasks(self) -> set[asyncio.Task[Any]]:
        """Tasks that end with the application's lifespan and not with the drain."""
        assert self._main is not None
        return {self._main, *self._startup_tasks}

    async def _end_tasks(self) -> None:
        assert self.loop is not None
        await cancel_all(self.loop, set(), GRACE / 8)
        await self.loop.shutdown_asyncgens()

    def _beat(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._pipe.beat()
        if not self._stopping:
            loop.call_later(interval, self._beat, loop, interval)

    # The pipe and the end.

    def _handle_commands(self) -> None:
        try:
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
            case Command.UNLISTEN if self._accepting is not None:
                self._accepting.leave(value)
            case Command.RELOAD_TLS:
                self._reload_tls()
            case Command.REPLACED:
                self._is_replaced = True
            case Command.STOP:
                self.request_stop()
            case Command.CANCEL:
                self.request_cancel()

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
        if self.worker is not None:
            loop.remove_reader(self.worker.fileno())
            self.worker.close()
        if self._accepting is not None:
            self._accepting.close()
        # It must go on the thread that it has lived on.
        self.worker = self._accepting = None
        self._pipe.unwatch()
        loop.close()


# Between the end of the drain and the end of everything.
GRACE = 0.8
# After a second signal.
FORCED = 0.5
MOMENT = 0.1
# So many heartbeats go into the time that makes a worker stuck.
BEATS = 4
