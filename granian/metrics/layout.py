"""The places of numbers on a page, as the core has them (`crates/net/src/metrics/layout.rs`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from .._granian import metrics_layout

# The numbers of a page, without the exchanges.
Words = Sequence[int]


@dataclass(frozen=True)
class Field:
    """One number, a row of numbers by labels, or a histogram."""

    name: str
    at: int
    # counter, gauge or histogram
    kind: str
    # Labels with their values; the last one changes fastest.
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    # The upper bounds of a histogram's buckets, in its unit.
    bounds: tuple[int, ...]

    @cached_property
    def labels(self) -> tuple[dict[str, str], ...]:
        """The labels of each number."""
        names = [name for name, _ in self.axes]
        return tuple(
            dict(zip(names, values, strict=True)) for values in itertools.product(*(values for _, values in self.axes))
        )

    @property
    def width(self) -> int:
        """Its words."""
        return len(self.bounds) + 2 if self.kind == "histogram" else len(self.labels)

    def values(self, words: Words) -> Iterator[tuple[dict[str, str], int]]:
        """Labels and value of each number; not for histograms."""
        return zip(self.labels, words[self.at : self.at + self.width], strict=True)

    def buckets(self, words: Words) -> tuple[list[int], int]:
        """A histogram's counts, each with those below it, the last one of all; and the sum."""
        counts = words[self.at : self.at + len(self.bounds) + 1]
        return list(itertools.accumulate(counts)), words[self.at + len(self.bounds) + 1]


@dataclass(frozen=True)
class Layout:
    """All places."""

    fields: dict[str, Field]
    # Numbers by their names in the core: sizes, counts and first words.
    places: dict[str, int]

    @cached_property
    def route_statuses(self) -> Field:
        """The answers of a route, in its words."""
        return Field("statuses", self.places["route_statuses"], "counter", self.fields["requests"].axes[-1:], ())

    @cached_property
    def route_duration(self) -> Field:
        """The durations of a route, in its words."""
        return Field("duration", self.places["route_duration"], "histogram", (), self.fields["duration"].bounds)

    @cached_property
    def accumulating(self) -> tuple[int, ...]:
        """The words that only grow, and are summed over workers that follow each other."""
        return tuple(
            place
            for field in self.fields.values()
            if field.kind != "gauge"
            for place in range(field.at, field.at + field.width)
        )

    def value(self, words: Words, name: str) -> int:
        """A single number."""
        return words[self.fields[name].at]


def text(words: Words, first: int, length: int) -> str:
    """A text of so many bytes that begins at a word."""
    packed = b"".join(word.to_bytes(8, "little") for word in words[first : first + (length + 7) // 8])
    return packed[:length].decode("utf-8", "replace")


@cache
def layout() -> Layout:
    """The core's."""
    found = dict(metrics_layout())
    fields = {
        name: Field(name, at, kind, tuple((label, tuple(values)) for label, values in axes), tuple(bounds))
        for name, at, kind, axes, bounds in found.pop("fields")
    }
    return Layout(fields, found)
