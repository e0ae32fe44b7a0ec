"""`Wish`: what one thread asks of a task of an event loop."""

from __future__ import annotations

import asyncio


class Wish:
    """A request from any thread, kept until the server takes it."""

    def __init__(self) -> None:
        self._is_made = False
        self._taker: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def make(self) -> None:
        """Asks; to ask twice before it is taken is to ask once."""
        self._is_made = True
        if self._taker is None:
            return
        loop, news = self._taker
        try:
            loop.call_soon_threadsafe(news.set)
        except RuntimeError:
            # The loop is closed, and the server with it.
            pass

    async def take(self) -> None:
        """Waits for it."""
        news = asyncio.Event()
        # Set before the check below: a `make` from now on wakes this loop.
        self._taker = asyncio.get_running_loop(), news
        if not self._is_made:
            await news.wait()
        self._is_made = False
