"""`--max-requests`: counts responses, and says once that a worker has given enough of them."""

from __future__ import annotations

from collections.abc import Callable

from .._granian import Worker


def counted_turn(worker: Worker, limit: int, tell_spent: Callable[[], None]) -> Callable[[], None]:
    """The core's turn, which calls `tell_spent` once, after `limit` responses."""
    told = False
    worker.tell_after(limit)

    def turn() -> None:
        nonlocal told
        worker.turn()
        if not told and worker.handled >= limit:
            told = True
            tell_spent()

    return turn
