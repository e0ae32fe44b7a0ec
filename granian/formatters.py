"""The forms of lines of the log: text for people, with escapes and colours, and JSON."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from enum import Enum
from typing import Any


class LogFormats(str, Enum):
    """Forms of both logs."""

    text = "text"
    json = "json"

    def __str__(self) -> str:
        return self.value


class Formatter(logging.Formatter):
    """Formats records for people's eyes: what would command a terminal is escaped, in tracebacks too.

    Formats may name `origin`: the process's number, and the worker's name in a worker.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, or the lines where the record has several."""
        record.origin = _origin()
        text = super().format(record)
        return text if text.isprintable() else "".join(map(_shown, text))


class JsonFormatter(logging.Formatter):
    """Formats records as objects of JSON, one a line: time, level, logger, process, worker, message, and `facts`, a
    dictionary that the record may have. Records of the access log have their atoms as members in the message's place.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line; nothing but printable ASCII."""
        members: dict[str, Any] = {
            "time": iso_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "worker": worker_number(),
        }
        if record.name == "granian.access" and isinstance(record.args, dict):
            members |= {name: value for name, value in record.args.items() if name not in IN_FRONT}
        else:
            members["message"] = record.getMessage()
        members |= getattr(record, "facts", None) or {}
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            members["stack"] = self.formatStack(record.stack_info)
        return json.dumps(members, default=str)


def coloured(text: str, level: str) -> str:
    """The text of a `Formatter` for a terminal: the level in its colour, what is before it dim."""
    before, mark, rest = text.partition(f"[{level}]")
    if not mark or level not in COLOURS:
        return text
    dim = f"{DIM}{before.rstrip()}{RESET} " if before.strip() else ""
    return f"{dim}{COLOURS[level]}{mark}{RESET}{rest}"


def takes_colours(stream: Any) -> bool:
    """Whether the stream is a terminal, of somebody who has not asked for no colours (https://no-color.org)."""
    try:
        is_terminal = bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def name_worker(number: int, is_thread: bool = False) -> None:
    """Lines of this process, or of this thread only, are the worker's from now on."""
    global _process_worker
    if is_thread:
        _thread.worker = number
    else:
        _process_worker = number


def worker_number() -> int | None:
    """The number of the worker that this code runs in."""
    return getattr(_thread, "worker", _process_worker)


def iso_time(seconds: float) -> str:
    """Local time as ISO 8601 has it, with milliseconds."""
    local = time.localtime(seconds)
    offset = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{int(seconds % 1 * 1000):03}{offset[:3]}:{offset[3:]}"


def escaped(text: str) -> str:
    r"""A value that comes from outside, as it may stand in a line of a log.

    Nobody forges a line or a field with it: `"` and `\` are behind a backslash, and characters that are not printable,
    such as line ends, terminals' commands and lone surrogates, are escapes of Python's (`\n`, `\x1b`, `\u2028`).
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_ESCAPES.get(char) or _shown(char) for char in text)


def _origin() -> str:
    worker = worker_number()
    return f"{os.getpid()}" if worker is None else f"{os.getpid()} worker-{worker}"


def _shown(char: str) -> str:
    return char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()


_thread = threading.local()
_process_worker: int | None = None
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
# Members of every line; atoms of the same name or meaning are not repeated.
IN_FRONT = ("time", "worker", "pid")
DIM, RESET = "\x1b[2m", "\x1b[0m"
COLOURS = {
    "DEBUG": "\x1b[36m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
