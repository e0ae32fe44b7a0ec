"""Fixtures: no test leaves the loggers changed. Hooks: a test marked `alone` has the machine to itself."""

import logging
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from turns import Turns

# They are options of the server as well.
for name in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
    os.environ.pop(name, None)
FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
TURNS = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: it measures time, memory or processor, so no other test runs beside it")
    # The input of one of several processes (pytest-xdist).
    if (mine := getattr(config, "workerinput", None)) is not None:
        config.stash[TURNS] = Turns(Path(mine["turns"]))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before the start of one of several processes."""
    stash = node.config.stash
    if FOLDER not in stash:
        stash[FOLDER] = tempfile.TemporaryDirectory(prefix="granian-turns-")
    node.workerinput["turns"] = stash[FOLDER].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if FOLDER in config.stash:
        config.stash[FOLDER].cleanup()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Outside of the test's timeout, since to wait for the others is not its time."""
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    with turns.turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(autouse=True)
def unchanged_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("_granian", "granian.access", "theirs")]
    before = [(item.handlers[:], item.level, item.propagate) for item in loggers]
    yield
    for item, (handlers, level, propagate) in zip(loggers, before, strict=True):
        item.handlers[:] = handlers
        item.setLevel(level)
        item.propagate = propagate
