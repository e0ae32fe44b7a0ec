"""`ExitGuard`: the certain end of a worker process, whatever still runs in it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from ..log import logger


class ExitGuard:
    """A thread that ends the process at a deadline, whatever is still running in it."""

    def __init__(self, exit_code: Callable[[], int]) -> None:
        self.deadline: float | None = None
        self._exit_code = exit_code
        self._changed = threading.Condition()
        self._is_leaving = False
        # Those that multiprocessing waits for at the interpreter's exit.
        self._children: list[BaseProcess] = []

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

    def leave(self, seconds: float) -> None:
        """Bounds what is left of the process once the worker's life is over.

        Threads and child processes of the application have so many seconds to end; without any, the interpreter's exit
        has what the deadline leaves.
        """
        self._is_leaving = True
        children = multiprocessing.active_children()
        self._children = [child for child in children if not child.daemon]
        if children or _threads():
            self.arm(seconds)
        elif self.deadline is None:
            self.arm(EXIT_TIMEOUT)
        if self._children:
            threading.Thread(target=self._end_children, name="granian-children", daemon=True).start()

    def _end_children(self) -> None:
        """Tells children to end that have not done so by half the time. The main thread waits for them meanwhile."""
        time.sleep(self.left() / 2)
        for child in self._children:
            if _is_alive(child):
                logger.warning("Telling %s to end, a child process of the application", _named(child))
                try:
                    child.terminate()
                except (OSError, ValueError):
                    # It has just ended.
                    pass

    def _watch(self) -> None:
        while left := self.left():
            with self._changed:
                self._changed.wait(min(left, GUARD_STEP))
        # A stuck thread may hold a lock of the log, so the last lines have a thread of their own.
        speaker = threading.Thread(target=self._say_last_words, daemon=True)
        speaker.start()
        speaker.join(MOMENT)
        os._exit(self._exit_code())

    def _say_last_words(self) -> None:
        if self._is_leaving:
            left = [*_threads(), *(_named(child) for child in multiprocessing.active_children())]
            waited_for = ", ".join(left) or "the interpreter's exit"
        else:
            waited_for = "the event loop"
        logger.warning("Leaving without waiting for %s", waited_for)
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass


def _threads() -> list[str]:
    """Threads that the interpreter waits for."""
    # It waits for those of executors even if they are daemonic, as threads of daemonic threads are.
    jobs = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
    main = threading.main_thread()
    threads = [item for item in threading.enumerate() if item is not main]
    return [f"thread {item.name}" for item in threads if not item.daemon or item in jobs]


def _named(child: BaseProcess) -> str:
    return f"{child.name} (PID {child.pid})"


def _is_alive(child: BaseProcess) -> bool:
    """Without reaping it: the main thread waits for it."""
    try:
        return not wait([child.sentinel], 0)
    except (OSError, ValueError):
        return False


GUARD_STEP = 0.2
MOMENT = 0.1
# Seconds that the exit of the interpreter may take after a worker has ended without being asked.
EXIT_TIMEOUT = 5.0
