"""`Console`: the log's way to a terminal, pipe or file, which loses no line to an encoding and waits for no reader.

A pipe that nobody reads fills, and the next write to it never returns: the event loop or the supervisor that logs would
stand still, also on its way to the end. Lines that find no room for `PATIENCE` are dropped and counted instead.
"""

from __future__ import annotations

import io
import logging
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Any

from .formatters import Formatter, JsonFormatter, coloured, takes_colours

if TYPE_CHECKING:
    Handler = logging.StreamHandler[Any]
else:
    # It takes no parameter before CPython 3.11.
    Handler = logging.StreamHandler


class Console(Handler):
    """Writes lines to a text stream, `sys.stdout` by default.

    Characters that the stream's encoding does not have are written as escapes. Where the stream is a pipe, a socket or
    a terminal, no line waits longer than `PATIENCE` for room: it is dropped, and so are the next ones, without another
    wait, until there is room again; then a line says how many were. Lines for a reader that has gone are dropped.
    """

    def __init__(self, stream: Any = None) -> None:
        super().__init__(sys.stdout if stream is None else stream)
        # Lines that were dropped since the last one that found room.
        self._lost = 0
        # The last line ends in its middle.
        self._is_cut = False
        # The stream that `_pipe` is behind.
        self._examined: Any = None
        self._pipe: Pipe | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record as one line."""
        try:
            text = self.format(record) + self.terminator
            pipe = self._behind()
            if pipe is None:
                self._write_stream(text)
            else:
                self._write_pipe(pipe, text)
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """The record's text, with colours for a terminal if its formatter is the server's."""
        text = super().format(record)
        if isinstance(self.formatter, Formatter) and takes_colours(self.stream):
            return coloured(text, record.levelname)
        return text

    def flush(self) -> None:
        """Flushes the stream, unless that would wait."""
        try:
            pipe = self._behind()
            if pipe is None or pipe.has_room(0):
                super().flush()
        except (OSError, ValueError):
            # It is closed, or its reader has gone.
            pass

    def _behind(self) -> Pipe | None:
        """What the stream writes to, if that can wait for somebody."""
        if self.stream is not self._examined:
            self._examined = self.stream
            self._pipe = _pipe_of(self.stream)
        return self._pipe

    def _write_stream(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            # Nothing of it has been written.
            encoding = self.stream.encoding
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self.stream.flush()

    def _write_pipe(self, pipe: Pipe, text: str) -> None:
        """Writes past the stream's own buffer, which keeps what it could not write in the way of all that follows."""
        if not pipe.has_room(0 if self._lost else PATIENCE):
            self._lost += 1
            return
        try:
            # The application's lines that were before this one.
            self.stream.flush()
            data = text.encode(self.stream.encoding or "utf-8", "backslashreplace")
            if self._lost:
                data = self._remark() + data
            self._is_cut = not pipe.write(data)
        except OSError:
            # The reader has gone.
            return
        self._lost = int(self._is_cut)

    def _remark(self) -> bytes:
        lines = "1 line" if self._lost == 1 else f"{self._lost} lines"
        start = "\n" if self._is_cut else ""
        text = f"{lines} of the log could not be written: nobody was reading it"
        if isinstance(self.formatter, JsonFormatter):
            record = logging.LogRecord("_granian", logging.WARNING, "", 0, text, None, None)
            return f"{start}{self.formatter.format(record)}\n".encode()
        return f"{start}[WARNING] {text}\n".encode()


class Pipe:
    """A pipe, a socket or a terminal, and whether it has room."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def has_room(self, seconds: float) -> bool:
        """Whether a piece can be written without waiting, `seconds` from now at the latest."""
        return bool(self._poll.poll(seconds * 1000))

    def write(self, data: bytes) -> bool:
        """Writes in pieces that a pipe with room takes at once; whether all was written."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view[:PIECE]) :]
            except BlockingIOError:
                # Somebody who shares the pipe has made it non-blocking, and others have filled it meanwhile.
                pass
            if view and not self.has_room(PATIENCE):
                return False
        return True


def _pipe_of(stream: Any) -> Pipe | None:
    if not isinstance(stream, io.TextIOWrapper) or not hasattr(select, "poll"):
        return None
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return None
    can_wait = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)
    return Pipe(descriptor) if can_wait else None


# Seconds that a line waits for room, once.
PATIENCE = 1.0
# Bytes that a pipe takes at once when it says that it has room.
PIECE = getattr(select, "PIPE_BUF", 512)
