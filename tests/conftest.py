"""Fixtures: no test leaves the loggers changed."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unchanged_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("_granian", "granian.access", "theirs")]
    before = [(item.handlers[:], item.level, item.propagate) for item in loggers]
    yield
    for item, (handlers, level, propagate) in zip(loggers, before, strict=True):
        item.handlers[:] = handlers
        item.setLevel(level)
        item.propagate = propagate
