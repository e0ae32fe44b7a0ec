"""Watching files for changes, in a process of its own: the supervisor that forks has no threads."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import select
import signal
import stat
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..config import Config
from ..log import escaped, logger
from ..worker.signals import reset_signals
from ..worker.tie import Tie
from .process import keep_from_workers, make_tie, start_method, start_process
from .scan import scanned


class FileWatch:
    """The watcher's process and the pipe that its changes come through."""

    def __init__(self, config: Config) -> None:
        self.pipe: Connection | None
        self._places = ", ".join(map(str, config.reload_paths or [Path.cwd()]))
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        keep_from_workers(self.pipe)
        method = start_method()
        tie, self._lifeline = make_tie(method)
        self._process = start_process(_watch, (config, theirs, Outputs(), tie), "granian-reload", method)
        theirs.close()
        tie.close()

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
                elif isinstance(changes, str):
                    logger.warning("%s", escaped(changes))
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
        if self._lifeline is not None:
            self._lifeline.close()
        if self.pipe is not None:
            self.pipe.close()


class Outputs:
    """The files that this process writes to. They are ignored: a line about a reload would cause the next one."""

    def __init__(self) -> None:
        self._files = {identity for number in (1, 2) if (identity := _identity(number)) is not None}
        loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
        handlers = [handler for one in loggers for handler in getattr(one, "handlers", ())]
        # By name, since a rotated log is another file.
        self._names = {os.path.realpath(one.baseFilename) for one in handlers if isinstance(one, logging.FileHandler)}

    def __contains__(self, path: str) -> bool:
        return os.path.realpath(path) in self._names or _identity(path) in self._files


def _identity(file: int | str) -> tuple[int, int] | None:
    """Device and number of a plain file."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _watch(config: Config, pipe: Connection, outputs: Outputs, tie: Tie, inherited: Sequence[int]) -> None:
    reset_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in inherited:
        os.close(descriptor)
    tie.hold()
    watch_filter, paths = make_filter(config, outputs), config.reload_paths or [Path.cwd()]
    try:
        _send(pipe, _told(config, paths, watch_filter))
    except (OSError, RuntimeError) as error:
        # As many watches as a large tree needs are not to be had, or the file system has none.
        text = f"The system does not tell of changes ({error}): the files are looked at again and again instead"
        try:
            pipe.send(text)
        except OSError:
            return
        _send(pipe, scanned(paths, watch_filter, ROUND / 1000))


def _told(config: Config, paths: Sequence[Path], watch_filter: Any) -> Iterator[set[Any]]:
    """Sets of changes as the system tells of them, empty ones while there are none.

    # Errors
    `OSError` or `RuntimeError` if it cannot.
    """
    from watchfiles import watch

    yield from watch(
        *paths,
        watch_filter=watch_filter,
        step=config.reload_tick,
        rust_timeout=ROUND,
        yield_on_timeout=True,
        raise_interrupt=False,
        # What may not be read is not what is edited.
        ignore_permission_denied=True,
    )


def _send(pipe: Connection, source: Iterator[set[Any]]) -> None:
    """Sends `None` once the watch is set up, and then lines about changes, until nobody is there to read them."""
    told = False
    for changes in source:
        if _is_deserted(pipe):
            return
        lines = [f"{change.raw_str().capitalize()}: {path}" for change, path in sorted(changes)]
        try:
            if not told:
                # After the first round the watch is set up.
                pipe.send(None)
                told = True
            if lines:
                pipe.send(lines)
        except OSError:
            return


def _is_deserted(pipe: Connection) -> bool:
    """Whether the pipe has no reader any more: the supervisor is dead."""
    poll = select.poll()
    # `poll` reports errors whatever the mask.
    poll.register(pipe.fileno(), 0)
    return bool(poll.poll(0))


def make_filter(config: Config, outputs: Outputs) -> Any:
    """A filter with the configured exceptions, made of a class that stays as it is."""
    from watchfiles.filters import DefaultFilter

    base: Any = config.reload_filter or DefaultFilter

    class Filter(base):  # type: ignore[misc]
        ignore_dirs = (*base.ignore_dirs, *(config.reload_ignore_dirs or ()))
        ignore_entity_patterns = (*base.ignore_entity_patterns, *(config.reload_ignore_patterns or ()))
        ignore_paths = (*base.ignore_paths, *map(str, config.reload_ignore_paths or ()))

        def __call__(self, change: Any, path: str) -> bool:
            return bool(super().__call__(change, path)) and path not in outputs

    for pattern in Filter.ignore_entity_patterns:
        re.compile(pattern)
    return Filter()


# Milliseconds between two checks that the supervisor lives.
ROUND = 500
