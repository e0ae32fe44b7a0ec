"""The log while the server runs: files that are opened anew, and loggers that an application has switched off."""

from __future__ import annotations

import logging

from ..log import access_logger, logger


def reopen_log_files() -> None:
    """Opens the file of every logging handler that has one, under its name (SIGUSR1).

    From any thread, but not from a signal's handler, which may have interrupted a line. A file that cannot
    be opened leaves the old one in use.
    """
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    for handler in {handler for item in loggers for handler in item.handlers}:
        if isinstance(handler, logging.FileHandler):
            try:
                _reopen(handler)
            except OSError as error:
                logger.error("The log file %s cannot be opened anew: %s", handler.baseFilename, error.strerror)


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
