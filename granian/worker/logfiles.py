"""The log while the server runs: files that are opened anew, and loggers that an application has switched off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..log import access_logger, logger

if TYPE_CHECKING:
    from .serving import Serving


def reopen_log_files(serving: Serving | None = None) -> None:
    """Opens the file of every logging handler that has one, under its name, and that of the access log (SIGUSR1).

    From the worker's own thread, but not from a signal's handler, which may have interrupted a line. A file that cannot
    be opened leaves the old one in use.
    """
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    for handler in {handler for item in loggers for handler in item.handlers}:
        if isinstance(handler, logging.FileHandler):
            try:
                _reopen(handler)
            except OSError as error:
                logger.error("The log file %s cannot be opened anew: %s", handler.baseFilename, error.strerror)
    try:
        if serving is not None:
            serving.worker.reopen_access_log()
    except OSError as error:
        logger.error("The file of the access log cannot be opened anew: %s", error.strerror or error)


def keep_loggers() -> None:
    """Switches our loggers on again: `dictConfig` switches off what it does not know, and errors would be lost."""
    logger.disabled = access_logger.disabled = False


def _reopen(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        if handler.stream is not None:
            old, handler.stream = handler.stream, handler._open()
            old.close()
    finally:
        handler.release()
