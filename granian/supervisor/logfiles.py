"""Log files that something else has moved away are opened anew (SIGUSR1).

Not in a signal's handler, which may come in the middle of a line.
"""

from __future__ import annotations

import logging

from ..log import logger


def reopen_log_files() -> None:
    """Opens the file of every logging handler that has one, under its name."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    for handler in {handler for item in loggers for handler in item.handlers}:
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            _reopen(handler)


def _reopen(handler: logging.FileHandler) -> None:
    try:
        stream = handler._open()
    except OSError as error:
        logger.error("The log goes on where it was: %s", error)
        return
    handler.acquire()
    try:
        handler.stream, old = stream, handler.stream
        old.close()
    finally:
        handler.release()
