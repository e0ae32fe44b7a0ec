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

from .layout import Words, layout, text


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

    def rows(self) -> list[tuple[int, int]]:
        """The exchanges in progress: when each arrived, ns, and its place for `row`."""
        states, arrivals, places = self._column("row", 0), self._column("row", ARRIVED), self._places("row")
        found = zip(states, arrivals, places, strict=True)
        return [(arrived, place) for state, arrived, place in found if state & TAKEN]

    def row(self, place: int) -> Words | None:
        """A copy of an exchange in progress, if the row has one."""
        row = self._read(place, layout().places["row_words"])
        # Another exchange may have got the row while it was copied: then its number is another one.
        is_whole = self._read(place, 1)[0] >> STATE_BITS == row[0] >> STATE_BITS
        return row if row[0] & TAKEN and is_whole else None

    def ring(self) -> list[tuple[int, int]]:
        """The exchanges that were slow or failed: when each ended, ns, and its place for `entry`."""
        numbers, ends, places = self._column("ring", 0), self._column("ring", ENDED), self._places("ring")
        found = zip(numbers, ends, places, strict=True)
        return [(ended, place) for number, ended, place in found if number]

    def entry(self, place: int) -> Words | None:
        """A copy of such an exchange, unless another one takes its place."""
        entry = self._read(place, layout().places["ring_words"])
        return entry if entry[0] and self._read(place, 1)[0] == entry[0] else None

    def routes(self) -> list[tuple[str, Words]]:
        """The routes that the application has named: the words of each, whose places begin with its own."""
        places = layout().places
        found = zip(self._column("route", 0), self._places("route"), strict=True)
        rows = ((length, self._read(place, places["route_words"])) for length, place in found if length)
        return [(text(row, places["route_name"], length), row) for length, row in rows]

    def _places(self, table: str) -> range:
        """The first words of a table's rows."""
        places = layout().places
        first, width = places[f"{table}s"], places[f"{table}_words"]
        return range(first, first + places[f"{table}_count"] * width, width)

    def _column(self, table: str, word: int) -> Words:
        """One word of each row of a table."""
        assert self._memory is not None
        rows = self._places(table)
        with memoryview(self._memory) as view, view.cast("Q") as words:
            return words[rows.start + word : rows.stop : rows.step].tolist()

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


# Words of a row and of an entry.
ARRIVED = ENDED = 1
# Bits of a row's first word: it is taken; those above the state are the exchange's number.
TAKEN = 128
STATE_BITS = 8
