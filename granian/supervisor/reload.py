"""Watching files for changes, in a process of its own: the supervisor that forks has no threads."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..config import Config
from ..log import logger
from .child import die_with_parent, reset_signals
from .process import keep_from_workers, start_process


class FileWatch:
    """The watcher's process and the pipe that its changes come through."""

    def __init__(self, config: Config) -> None:
        self.pipe: Connection | None
        self._places = ", ".join(map(str, config.reload_paths or [Path.cwd()]))
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        keep_from_workers(self.pipe)
        self._process = start_process(_watch, (config, theirs), "granian-reload")
        theirs.close()

    def read(self) -> list[str]:
        """Lines about what has changed since the last time."""
        lines: list[str] = []
        while self.pipe is not None:
            try:
                if not self.pipe.poll():
                    break
                changes = self.pipe.recv()
                if changes is None:
                    logger.info("Watching for changes in %s", self._places)
                else:
                    lines += changes
            except (EOFError, OSError):
                logger.error("The watch for file changes has ended")
                self.pipe.close()
                self.pipe = None
        return list(dict.fromkeys(lines))

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        if self.pipe is not None:
            self.pipe.close()


def _watch(config: Config, pipe: Connection, inherited: Sequence[int]) -> None:
    reset_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in inherited:
        os.close(descriptor)
    die_with_parent(0)
    from watchfiles import watch

    paths = config.reload_paths or [Path.cwd()]
    told = False
    for changes in watch(
        *paths,
        watch_filter=make_filter(config),
        step=config.reload_tick,
        rust_timeout=ROUND,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        try:
            if not told:
                # The watch has been set up once the first round is over.
                pipe.send(None)
                told = True
            if changes:
                pipe.send([f"{change.raw_str().capitalize()}: {path}" for change, path in sorted(changes)])
        except OSError:
            return


def make_filter(config: Config) -> Any:
    """A filter with the configured exceptions, made of a class that stays as it is."""
    from watchfiles.filters import DefaultFilter

    base: Any = config.reload_filter or DefaultFilter

    class Filter(base):  # type: ignore[misc]
        ignore_dirs = (*base.ignore_dirs, *(config.reload_ignore_dirs or ()))
        ignore_entity_patterns = (*base.ignore_entity_patterns, *(config.reload_ignore_patterns or ()))
        ignore_paths = (*base.ignore_paths, *map(str, config.reload_ignore_paths or ()))

    for pattern in Filter.ignore_entity_patterns:
        re.compile(pattern)
    return Filter()


# Milliseconds between two looks at whether the supervisor is still there.
ROUND = 500
