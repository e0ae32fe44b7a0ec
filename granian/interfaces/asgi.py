"""ASGI's lifespan protocol: one task that lives as long as the worker serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from ..errors import FatalError
from ..log import escaped, logger

Message = dict[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class LifespanState(Enum):
    """The progress of the application's lifespan."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    # The callable ended: by returning, which the protocol allows, or with an exception.
    ENDED = "ended"


class LifespanProtocol:
    """Runs `app` with a lifespan scope. Its `state` stays what the application made of it to the very end."""

    def __init__(self, app: AsgiApp) -> None:
        self.state: dict[str, Any] | None = {}
        self.status = LifespanState.STARTING
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._moved = asyncio.Event()
        # Whether the application has received or sent a message of the protocol's.
        self._is_spoken = False
        self._failure: str = ""
        # The exception that the application raised after it had reported a failure.
        self._error: Exception | None = None

    def startup(self, loop: asyncio.AbstractEventLoop) -> None:
        """Returns when the application has started, or does without the protocol; raises if it cannot start."""
        try:
            loop.run_until_complete(self.wait_startup())
        except (SystemExit, KeyboardInterrupt):
            # The loop has raised it already. To ask the task for it avoids asyncio's warning.
            self._task_exception()
            raise

    def shutdown(self, loop: asyncio.AbstractEventLoop, timeout: float | None = None) -> None:
        """Tells the application to end and waits for that, `timeout` seconds at most."""
        loop.run_until_complete(self.wait_shutdown(timeout))

    async def wait_startup(self) -> None:
        """`startup` on a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="granian-lifespan")
        self._messages.put_nowait({"type": "lifespan.startup"})
        try:
            await self._moved.wait()
        except asyncio.CancelledError:
            # The cancelled application closes its resources itself.
            await self._end_task()
            raise
        if self.status is LifespanState.FAILED:
            await self._end_task()
            if self._failure:
                logger.error(self._failure)
            raise FatalError("ASGI lifespan startup failed") from self._error

    async def wait_shutdown(self, timeout: float | None = None) -> None:
        """`shutdown` on a running loop."""
        if self._task is None or self.status is not LifespanState.SERVING:
            return
        self.status = LifespanState.STOPPING
        self._moved.clear()
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        try:
            # Waits for the task and not for `shutdown.complete`: code after that message must run too.
            await asyncio.wait([self._task], timeout=timeout)
            if not self._moved.is_set():
                logger.warning("The application's lifespan did not end in time")
        finally:
            await self._end_task()
        if self.status is LifespanState.FAILED:
            logger.error(self._failure or "ASGI lifespan shutdown failed", exc_info=self._error)

    def lifespan_task(self) -> asyncio.Task[None] | None:
        """The task that must not be cancelled before `shutdown`."""
        return self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:
            self._handle_error(error)
        finally:
            if self.status is not LifespanState.FAILED:
                self.status = LifespanState.ENDED
            self._moved.set()

    def _handle_error(self, error: Exception) -> None:
        match self.status:
            case LifespanState.FAILED:
                # The failure is reported already; this is its cause.
                self._error = error
            case LifespanState.STARTING if not self._is_spoken:
                # The specification allows this for applications without the protocol, such as Django's.
                words = " ".join(f"{type(error).__name__}: {error}".split())
                logger.debug("The application has no ASGI lifespan (%s)", escaped(words))
            case LifespanState.STARTING:
                logger.warning(
                    "ASGI Lifespan errored, continuing without Lifespan support"
                    " (to avoid Lifespan completely use 'asginl' as interface)",
                    exc_info=error,
                )
            case _:
                logger.error("ASGI Lifespan errored", exc_info=error)

    async def _receive(self) -> Message:
        self._is_spoken = True
        return await self._messages.get()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        # A message of another protocol is that of an application that takes every scope for a request.
        self._is_spoken = kind.startswith("lifespan.")
        match self.status, kind:
            case LifespanState.STARTING, "lifespan.startup.complete":
                self.status = LifespanState.SERVING
            case LifespanState.STARTING, "lifespan.startup.failed":
                self._fail(message)
            case LifespanState.STOPPING, "lifespan.shutdown.complete":
                self.status = LifespanState.STOPPED
            case LifespanState.STOPPING, "lifespan.shutdown.failed":
                self._fail(message)
            case _:
                raise RuntimeError(f"ASGI lifespan: {kind!r} is not expected while {self.status.value}")
        self._moved.set()

    def _fail(self, message: Message) -> None:
        self.status = LifespanState.FAILED
        self._failure = message.get("message", "")

    async def _end_task(self) -> None:
        assert self._task is not None
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    def _task_exception(self) -> BaseException | None:
        task = self._task
        return task.exception() if task is not None and task.done() and not task.cancelled() else None
