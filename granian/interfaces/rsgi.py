"""The RSGI application's side of a worker's life: `__rsgi__`, `__rsgi_init__` and `__rsgi_del__`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


class RSGILifespan:
    """Calls `__rsgi_init__(loop)` and `__rsgi_del__(loop)` while the loop does not run."""

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] | None = None
        self._init: Callable[[asyncio.AbstractEventLoop], object] | None = getattr(app, "__rsgi_init__", None)
        self._del: Callable[[asyncio.AbstractEventLoop], object] | None = getattr(app, "__rsgi_del__", None)

    def startup(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._init is not None:
            self._init(loop)

    def shutdown(self, loop: asyncio.AbstractEventLoop, timeout: float | None = None) -> None:
        if self._del is not None:
            self._del(loop)


def callable_of(app: Any) -> Any:
    """The callable that the core calls for each request: the application's `__rsgi__`, or the application."""
    return coroutine_function_of(getattr(app, "__rsgi__", app))


def coroutine_function_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself if all of it runs in the request's task, else one around it that does.

    A plain function may set a context variable before it returns its coroutine, and that must happen in the task too.
    """
    called = type(function).__call__
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called):
        return function

    async def call(*arguments: Any) -> Any:
        return await function(*arguments)

    return call
