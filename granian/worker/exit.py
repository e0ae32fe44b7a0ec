"""`ExitGuard`: the certain end of a worker process, whatever still runs in it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from ..log import logger


class ExitGuard:
    """A thread that ends the process at a deadline, whatever is still running in it."""

    def __init__(self, exit_code: Callable[[], int]) -> None:
        self.deadline: float | None = None
        self._exit_code = exit_code
        self._changed = threading.Condition()

    def arm(self, seconds: float) -> None:
        """Sets the deadline, or brings it forward."""
        deadline = time.monotonic() + seconds
        start = self.deadline is None
        # A signal's handler may come while this thread has the lock.
        self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)
        if start:
            threading.Thread(target=self._watch, name="granian-exit-guard", daemon=True).start()

    def left(self) -> float:
        """Seconds until the deadline."""
        return 0.0 if self.deadline is None else max(self.deadline - time.monotonic(), 0)

    def _watch(self) -> None:
        while left := self.left():
            with self._changed:
                self._changed.wait(min(left, GUARD_STEP))
        # A stuck thread may hold a lock of the log, so the last lines have a thread of their own.
        speaker = threading.Thread(target=_say_last_words, daemon=True)
        speaker.start()
        speaker.join(MOMENT)
        os._exit(self._exit_code())


def _say_last_words() -> None:
    names = [item.name for item in threading.enumerate() if not item.daemon and item is not threading.main_thread()]
    logger.warning("Leaving without waiting for %s", ", ".join(names) or "the event loop")
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


GUARD_STEP = 0.2
MOMENT = 0.1
