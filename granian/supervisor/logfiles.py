"""Log files that something else has moved away are opened anew (SIGUSR1)."""

from __future__ import annotations

import logging


def reopen_log_files() -> None:
    """Opens the file of every logging handler that has one, under its name."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    for handler in {handler for item in loggers for handler in item.handlers}:
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            handler.acquire()
            try:
                handler.stream.close()
                handler.stream = handler._open()
            finally:
                handler.release()
