"""WSGI applications know no startup and no shutdown; so does `asginl`, ASGI without lifespan."""

from __future__ import annotations

import asyncio
from typing import Any


class WSGILifespan:
    """Does nothing."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None

    def startup(self, loop: asyncio.AbstractEventLoop) -> None:
        pass

    def shutdown(self, loop: asyncio.AbstractEventLoop, timeout: float | None = None) -> None:
        pass
