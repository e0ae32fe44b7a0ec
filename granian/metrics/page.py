"""`Page`: the memory that one worker writes its numbers to; whoever made it reads them, after the worker's death too.

On Linux the memory is a memfd, elsewhere an unlinked temporary file. Windows would need a named mapping instead of a
descriptor.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
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
        # Another exchange may have got a row while it was copied: then its number is another one.
        found = {place: row for place, row in self._table("row") if row[0] & TAKEN}
        return [row for place, row in found.items() if self._read(place, 1)[0] >> STATE_BITS == row[0] >> STATE_BITS]

    def ring(self) -> list[tuple[int, ...]]:
        """A copy of the entries of exchanges that were slow or failed, the oldest first."""
        found = {place: entry for place, entry in self._table("ring") if entry[0]}
        return sorted(entry for place, entry in found.items() if self._read(place, 1)[0] == entry[0])

    def _table(self, name: str) -> Iterator[tuple[int, tuple[int, ...]]]:
        """First word and copy of each row of a table."""
        places = layout().places
        first = places["rows" if name == "row" else name]
        count, width = places[f"{name}_count"], places[f"{name}_words"]
        words = self._read(first, count * width)
        for at in range(0, count * width, width):
            yield first + at, tuple(words[at : at + width])

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
