"""`GRANIAN_DISABLE`: names of the mechanisms that are turned off, of those in docs/tuning.md."""

from __future__ import annotations

import os

from .errors import ConfigurationError

VARIABLE = "GRANIAN_DISABLE"
NAMES = frozenset({"adaptive-limit", "deferred-writes", "early-writes", "allocator", "loopback-reno"})


def disabled() -> frozenset[str]:
    """The names, divided by commas in the variable.

    # Errors
    `ConfigurationError` for one that there is not.
    """
    names = frozenset(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))
    if unknown := sorted(names - NAMES):
        known = ", ".join(sorted(NAMES))
        raise ConfigurationError(VARIABLE, f"no such mechanism: {', '.join(unknown)} (there are: {known})")
    return names
