"""Times in the form that the core reads: `timedelta`, so that no name needs a unit."""

from __future__ import annotations

from datetime import timedelta


def duration(seconds: float) -> timedelta:
    """The time; a century where it is longer than that, or no number."""
    return timedelta(seconds=max(seconds, 0)) if seconds <= LONGEST else timedelta(seconds=LONGEST)


def limit(seconds: float) -> timedelta | None:
    """The time; `None`, which is no limit, for 0."""
    return duration(seconds) or None


# A `timedelta` could not hold every number that an option takes.
LONGEST = 100 * 365 * 86_400.0
