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
from typing import Any


class Console(logging.StreamHandler[Any]):
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
        # The stream whose descriptor `_pipe` is.
        self._examined: Any = None
        self._pipe: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record as one line."""
        try:
            text = self.format(record) + self.terminator
            descriptor = self._descriptor()
            if descriptor is None:
                self._write_stream(text)
            else:
                self._write_pipe(descriptor, text)
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Flushes the stream, unless that would wait."""
        try:
            descriptor = self._descriptor()
            if descriptor is None or _has_room(descriptor, 0):
                super().flush()
        except (OSError, ValueError):
            # It is closed, or its reader has gone.
            pass

    def _descriptor(self) -> int | None:
        """The stream's descriptor, if writing to it can wait for somebody."""
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

    def _write_pipe(self, descriptor: int, text: str) -> None:
        """Writes past the stream's own buffer, which keeps what it could not write in the way of all that follows."""
        if not _has_room(descriptor, 0 if self._lost else PATIENCE):
            self._lost += 1
            return
        try:
            # The application's lines that were before this one.
            self.stream.flush()
            data = text.encode(self.stream.encoding or "utf-8", "backslashreplace")
            if self._lost:
                data = self._remark() + data
            self._is_cut = not _write(descriptor, data)
        except OSError:
            # The reader has gone.
            return
        self._lost = int(self._is_cut)

    def _remark(self) -> bytes:
        lines = "1 line" if self._lost == 1 else f"{self._lost} lines"
        start = "\n" if self._is_cut else ""
        return f"{start}[WARNING] {lines} of the log could not be written: nobody was reading it\n".encode()


def _pipe_of(stream: Any) -> int | None:
    if not isinstance(stream, io.TextIOWrapper) or not hasattr(select, "poll"):
        return None
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) else None


def _has_room(descriptor: int, seconds: float) -> bool:
    """Whether a piece can be written without waiting, `seconds` from now at the latest."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def _write(descriptor: int, data: bytes) -> bool:
    """Writes in pieces that a pipe with room takes at once; whether all was written."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view[:PIECE]) :]
        except BlockingIOError:
            # Somebody who shares the pipe has made it non-blocking, and others have filled it meanwhile.
            if not _has_room(descriptor, PATIENCE):
                return False
            continue
        if view and not _has_room(descriptor, PATIENCE):
            return False
    return True


# Seconds that a line waits for room, once.
PATIENCE = 1.0
# Bytes that a pipe takes at once when it says that it has room.
PIECE = getattr(select, "PIPE_BUF", 512)
