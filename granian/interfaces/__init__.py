"""The Python part of the interfaces: one lifespan each.

A lifespan has `startup()` before the worker accepts and `shutdown()` after it has drained. The
messages of the connections themselves are the core's.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from ..constants import Interfaces
from .asgi import LifespanProtocol
from .rsgi import RSGILifespan, callable_of, coroutine_function_of
from .wsgi import WSGILifespan


class Lifespan(Protocol):
    """The application's start and end around serving."""

    state: dict[str, Any] | None

    def startup(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs before the first request, with the loop at rest."""

    def shutdown(self, loop: asyncio.AbstractEventLoop, timeout: float | None = None) -> None:
        """Runs after the last request, with the loop at rest."""


def lifespan_of(app: Any, interface: Interfaces) -> Lifespan:
    """The lifespan of an application on the interface."""
    if interface == Interfaces.ASGI:
        return LifespanProtocol(app)
    if interface == Interfaces.RSGI:
        return RSGILifespan(app)
    return WSGILifespan()


def served(app: Any, interface: Interfaces) -> Any:
    """The callable that the core calls for each request."""
    if interface == Interfaces.WSGI:
        return app
    return callable_of(app) if interface == Interfaces.RSGI else coroutine_function_of(app)


__all__ = ["Lifespan", "LifespanProtocol", "RSGILifespan", "WSGILifespan", "lifespan_of", "served"]
