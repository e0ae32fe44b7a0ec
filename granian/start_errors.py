"""The log of errors at start: one line for an error of the server, the traceback for one of the application."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
import traceback

from ._loops import loops
from .errors import FatalError
from .importer import find_target
from .log import logger


def tell(message: str) -> None:
    """Logs an error that ends a start, or writes it to the standard error if the log does not show errors."""
    logger.error("%s", message)
    if not logger.isEnabledFor(logging.ERROR) and sys.stderr is not None:
        print(message, file=sys.stderr, flush=True)


def reason_of(error: OSError) -> str:
    """What the system has refused, with the limit where it is one of this process's."""
    text = error.strerror or str(error)
    if error.errno != errno.EMFILE:
        return text
    import resource

    return f"{text}, of which this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} (ulimit -n)"


def describe(error: BaseException) -> str:
    """The text of an error at start: its traceback if the application raised it, else its message."""
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        return reason_of(error)
    if isinstance(error, FatalError):
        return str(error) if error.__cause__ is None else f"{error}\n{describe(error.__cause__)}"
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, RuntimeError | AttributeError | ValueError) and frames and frames[-1].filename in _OWN_WORDS:
        return str(error)
    shown = error.__traceback__
    while shown is not None and _is_machinery(shown.tb_frame.f_code.co_filename):
        shown = shown.tb_next
    return "".join(traceback.format_exception(type(error), error, shown)).rstrip()


def _is_machinery(file: str) -> bool:
    """Whether the frame is this package's or the import system's; the application's frames follow them."""
    return file.startswith((_PACKAGE, "<frozen importlib")) or file == importlib.__file__


# The system has run out of something, whoever has asked for it.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
_PACKAGE = os.path.join(os.path.dirname(__file__), "")
# An error raised in these files needs no traceback.
_OWN_WORDS = (find_target.__code__.co_filename, type(loops).get.__code__.co_filename)
