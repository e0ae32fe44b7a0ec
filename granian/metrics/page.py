"""`Page`: the memory that one worker writes its numbers to; whoever made it reads them, after the worker's death too.

On Linux the memory is a memfd, elsewhere an unlinked temporary file. Windows would need a named mapping instead of a
descriptor.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any

from .layout import Words, layout


class Page:
    """One worker's. It can be sent to a process that is being started, which gets the descriptor only."""

    def __init__(self) -> None:
        size = layout().places["bytes"]
        self._descriptor = _memory(size)
        self._memory: mmap.mmap | None = mmap.mmap(self._descriptor, size)

    def fileno(self) -> int:
        """The descriptor, for the core; -1 once it is closed."""
        return self._descriptor

    def words(self) -> Words:
        """A copy of the numbers; the exchanges are left out."""
        return self._read(0, layout().places["numbers"])

    def rows(self) -> list[tuple[int, ...]]:
        """A copy of each exchange in progress."""
        places = layout().places
        first, width = places["rows"], places["row_words"]
        found = []
        for at in range(first, first + places["row_count"] * width, width):
            row = self._read(at, width) if self._read(at, 1)[0] & TAKEN else ()
            # Another exchange may have got the row meanwhile.
            if row and self._read(at, 1)[0] >> STATE_BITS == row[0] >> STATE_BITS and row[0] & TAKEN:
                found.append(tuple(row))
        return found

    def ring(self) -> list[tuple[int, ...]]:
        """A copy of the entries of exchanges that were slow or failed, the oldest first."""
        places = layout().places
        first, width = places["ring"], places["ring_words"]
        found = []
        for at in range(first, first + places["ring_count"] * width, width):
            entry = self._read(at, width)
            if entry[0] and self._read(at, 1)[0] == entry[0]:
                found.append(tuple(entry))
        return sorted(found)

    def close_descriptor(self) -> None:
        """Leaves the memory as it is; no further worker inherits the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        """Gives the memory back."""
        self.close_descriptor()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _read(self, first: int, count: int) -> Words:
        assert self._memory is not None
        with memoryview(self._memory) as view, view[first * 8 : (first + count) * 8].cast("Q") as words:
            return words.tolist()

    def __reduce__(self) -> tuple[Any, ...]:
        # Works only while a process is started, as with sockets.
        return _received, (reduction.DupFd(self._descriptor),)


def _received(descriptor: Any) -> Page:
    page = Page.__new__(Page)
    page._descriptor = descriptor.detach()
    page._memory = None
    return page


def _memory(size: int) -> int:
    """The descriptor of so many bytes of zeros that nobody else can open."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("granian-metrics")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.truncate(descriptor, size)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


# Bits of a row's first word: it is taken; those above the state are the exchange's number.
TAKEN = 128
STATE_BITS = 8
