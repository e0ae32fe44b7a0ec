"""What a worker's event loop calls when the core has something to do."""

from __future__ import annotations

from collections.abc import Callable

from ._granian import Worker


def turn_of(worker: Worker, limit: int | None, tell_spent: Callable[[], None]) -> Callable[[], None]:
    """The core's turn; with a limit, `tell_spent` is called once after so many responses."""
    if limit is None:
        turn: Callable[[], None] = worker.turn
        return turn
    told = False

    def counted_turn() -> None:
        nonlocal told
        worker.turn()
        if not told and worker.handled >= limit:
            told = True
            tell_spent()

    return counted_turn
