"""Turns of tests that run at the same time in several processes: one that measures has the machine to itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """Two locks, files in a folder that all processes of a run share.

    A test holds `running`, with others or alone. It takes `door` first, so that none starts while one waits to be
    alone.
    """

    def __init__(self, folder: Path) -> None:
        self._door = os.open(folder / "door", os.O_CREAT | os.O_RDWR, 0o600)
        self._running = os.open(folder / "running", os.O_CREAT | os.O_RDWR, 0o600)

    @contextmanager
    def turn(self, alone: bool) -> Iterator[None]:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._running, fcntl.LOCK_UN)
