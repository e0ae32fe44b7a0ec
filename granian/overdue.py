"""`report()`: the line about a request that has taken longer than `--request-timeout`."""

from __future__ import annotations

import sys
import traceback

from .log import escaped, logger
from .worker.stacks import thread_name


def report(request: str, seconds: float, thread: int | None) -> None:
    """Logs which request it is, and where the thread is that works on it, if one does.

    `thread` is the number of that thread (`threading.get_ident`), `None` for a task, which is cancelled, and for a call
    that no thread has taken.
    """
    said = f"{escaped(request)} has taken longer than --request-timeout ({seconds:g} s)"
    frame = sys._current_frames().get(thread) if thread is not None else None
    if thread is None or frame is None:
        logger.warning("%s: its call is cancelled", said)
        return
    stack = "".join(traceback.format_stack(frame)).rstrip()
    logger.warning("%s: its thread %s cannot be cancelled and is at\n%s", said, thread_name(thread), stack)
